package jpcache.media;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import jpcache.Seeds;
import jpcache.pmem.Remains;
import jpcache.pmem.SimPmem;
import jpcache.support.PagedMemory;
import jpcache.support.Power;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Formatting a cache that was in use, cut off at every event. */
class FormatCutTest {
  private static final int STATES = 64;
  private static final CacheInfo SETTINGS =
      new CacheInfo(0, 31, CacheInfo.flags(true, CacheMode.WRITE_BACK, 33));
  private static final Label LABEL = Label.of(1 << 20, "wwid:naa.5000", "/dev/sdx");

  private final long seed = Seeds.next(getClass());
  private final SplittableRandom random = new SplittableRandom(seed);
  private final Power power = new Power();
  private final SimPmem pmem = new SimPmem(Layout.MIN_DEVICE_BYTES, power);
  private long states;

  @AfterEach
  void close() {
    pmem.close();
  }

  @Test
  void aCutAnywhereLeavesTheOldCacheNoCacheOrTheWholeNewOneAndFormatCanBeRunAgain() {
    PagedMemory.Image old = usedCache();
    CacheMedia before = media();
    int wholeOld = 0;
    int none = 0;
    int wholeNew = 0;
    long point = 0;
    for (boolean cut = true; cut; point++) {
      pmem.load(old);
      power.cutAfter(point);
      cut = isCut();
      Remains remains = pmem.remains();
      power.stay();
      for (Remains.State state : remains.states(STATES, random)) {
        remains.leave(state);
        states++;
        String where = "seed " + seed + ", cut before event " + point + ": " + state;
        switch (kind(before, where)) {
          case OLD -> wholeOld++;
          case NONE -> none++;
          case NEW -> wholeNew++;
        }
        if (state == Remains.NOTHING || state == Remains.EVERYTHING) {
          format();
          assertEquals(Kind.NEW, kind(before, where), where);
        }
      }
    }
    System.out.printf(
        "FormatCutTest: %d cut points, %d states: %d old caches, %d not formatted, %d new%n",
        point, states, wholeOld, none, wholeNew);
    assertTrue(wholeOld > 0 && none > 100 && wholeNew > 0);
  }

  private enum Kind {
    OLD,
    NONE,
    NEW
  }

  private Kind kind(CacheMedia before, String where) {
    CacheMedia found;
    try {
      found = media();
    } catch (MediaException e) {
      assertEquals(MediaException.Kind.NOT_FORMATTED, e.kind(), where + ": " + e.getMessage());
      return Kind.NONE;
    }
    LogReplay.Summary log = LogReplay.run(found, Long.MAX_VALUE, (kset, key) -> {});
    if (found.info().equals(before.info())) {
      assertEquals(before.keyTail(), found.keyTail(), where);
      assertEquals(3, log.keys(), where);
      return Kind.OLD;
    }
    assertEquals(SETTINGS, found.info(), where);
    assertEquals(0, log.ksets() + log.keys() + log.staleKeys(), where);
    for (int segment = 0; segment < found.segments().count(); segment++) {
      assertEquals(0, found.segments().generation(segment), where);
    }
    return Kind.NEW;
  }

  private CacheMedia media() {
    return CacheMedia.read("cache", pmem.view());
  }

  private boolean isCut() {
    try {
      format();
      return false;
    } catch (Power.Cut e) {
      return true;
    }
  }

  private void format() {
    MediaFormatter.format(pmem, true, CacheMode.WRITE_BACK, 33, LABEL);
  }

  /** A cache whose every replica has a later seq than a new one begins with, and a log. */
  private PagedMemory.Image usedCache() {
    MediaFormatter.format(pmem, false, CacheMode.WRITE_BACK, 70);
    MetadataWriter metadata = new MetadataWriter(pmem, media().segments());
    for (int version = 0; version < 5; version++) {
      metadata.cacheInfo(media().info().withGcPercent(50 + version));
      metadata.keyTail(new Position(2, 8 * version));
      metadata.dirtyTail(new Position(2, 8 * version));
      for (int segment = 0; segment < media().segments().count(); segment++) {
        metadata.generation(segment, 7 + version);
      }
    }
    metadata.keyTail(new Position(0, 0));
    metadata.dirtyTail(new Position(0, 0));
    Kset kset = new Kset();
    for (int i = 0; i < 3; i++) {
      kset.clear();
      kset.append(4096L * i, 4096, 0, 3, 4096 * i, 11, 0);
      kset.seal();
      long place = media().segments().dataOffset(0) + (long) i * Kset.sizeBytes(1);
      pmem.persist(place, kset.address(), kset.sizeBytes());
    }
    return pmem.save();
  }
}
