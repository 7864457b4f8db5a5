package jpcache.pmem;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import jpcache.support.PagedMemory;

/**
 * What a power cut may have left on {@link SimPmem}: what was durable, and any subset of the words
 * that were on their way.
 *
 * <p>Where there are few subsets {@link #states} gives them all. Where there are many it gives the
 * two extremes; for each store (or some of them) that it alone is missing, that it alone has
 * arrived, and that the stores up to it have; and random ones, dense and thin, by seed.
 */
public final class Remains {
  /** Eight bytes, or less at the ends, of a store that was not drained. */
  record Word(int store, long offsetBytes, MemorySegment bytes) {}

  /** Tells which words have arrived. */
  @FunctionalInterface
  private interface Arrival {
    boolean has(int word);
  }

  /** One of the states that the media may be in. */
  public static final class State {
    private final String name;
    private final Arrival arrival;

    private State(String name, Arrival arrival) {
      this.name = name;
      this.arrival = arrival;
    }

    @Override
    public String toString() {
      return name;
    }
  }

  public static final State NOTHING = new State("nothing arrived", word -> false);
  public static final State EVERYTHING = new State("everything arrived", word -> true);

  private final SimPmem pmem;
  private final PagedMemory.Image durable;
  private final List<Word> words;
  private final int stores;

  Remains(SimPmem pmem, PagedMemory.Image durable, List<Word> words, int stores) {
    this.pmem = pmem;
    this.durable = durable;
    this.words = words;
    this.stores = stores;
  }

  /** How many words may or may not have arrived. */
  public int words() {
    return words.size();
  }

  /** The media come up in this state. May be called again with another. */
  public void leave(State state) {
    pmem.load(durable);
    for (int word = 0; word < words.size(); word++) {
      if (state.arrival.has(word)) {
        pmem.arrived(words.get(word));
      }
    }
  }

  /** The power has not gone at all, only the process: everything is seen, and not durable. */
  public void leaveUndrained() {
    pmem.load(durable);
    words.forEach(pmem::isSeen);
  }

  /** All states if they are no more than {@code most}, otherwise as many of them. */
  public List<State> states(int most, SplittableRandom random) {
    List<State> states = new ArrayList<>(List.of(NOTHING));
    if (words.isEmpty()) {
      return states;
    }
    states.add(EVERYTHING);
    if (words.size() < Integer.SIZE - 1 && 1 << words.size() <= most) {
      int all = 1 << words.size();
      for (int subset = 1; subset < all - 1; subset++) {
        int bits = subset;
        states.add(new State("words 0x" + Integer.toHexString(bits), w -> (bits >> w & 1) != 0));
      }
      return states;
    }
    for (int i = 0; stores > 1 && i < stores && states.size() < most / 2; i++) {
      int store = stores <= most / 6 ? i : random.nextInt(stores);
      states.add(new State("without store " + store, w -> words.get(w).store != store));
      states.add(new State("store " + store + " alone", w -> words.get(w).store == store));
      states.add(new State("stores to " + store, w -> words.get(w).store <= store));
    }
    while (states.size() < most) {
      states.add(random(random.nextLong(), 1 + random.nextInt(15)));
    }
    return states;
  }

  /** One state, by seed. */
  public State random(SplittableRandom random) {
    List<State> some = states(8, random);
    return some.get(random.nextInt(some.size()));
  }

  private static State random(long seed, int sixteenths) {
    return new State(
        sixteenths + "/16 of the words, by seed " + seed,
        word -> (mix(seed + word) & 15) < sixteenths);
  }

  private static long mix(long value) {
    long mixed = (value ^ value >>> 30) * 0xBF58476D1CE4E5B9L;
    mixed = (mixed ^ mixed >>> 27) * 0x94D049BB133111EBL;
    return mixed ^ mixed >>> 31;
  }
}
