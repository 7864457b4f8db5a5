package jpcache.media;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import jpcache.Seeds;
import jpcache.base.Crc32c;
import jpcache.media.MediaBuilder.Structure;
import jpcache.pmem.MemoryRegion;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Two-replica slots agree with a plain model, in every state that two replicas can be in. */
class ReplicatedSlotPropertyTest {
  private static final int ROUNDS = 4000;
  private static final int WORD = 8;

  record Subject(ReplicatedSlot slot, List<Structure> replicas) {
    @Override
    public String toString() {
      return slot.structure();
    }
  }

  static Stream<Subject> slots() {
    return Stream.of(
        subject(
            ReplicatedSlot.cacheInfo(), MediaBuilder.cacheInfoAt(0), MediaBuilder.cacheInfoAt(1)),
        subject(ReplicatedSlot.keyTail(), MediaBuilder.keyTailAt(0), MediaBuilder.keyTailAt(1)),
        subject(
            ReplicatedSlot.dirtyTail(), MediaBuilder.dirtyTailAt(0), MediaBuilder.dirtyTailAt(1)),
        subject(
            ReplicatedSlot.segmentInfo(1),
            MediaBuilder.segmentInfoAt(1, 0),
            MediaBuilder.segmentInfoAt(1, 1)),
        subject(
            ReplicatedSlot.generation(1),
            MediaBuilder.generationAt(1, 0),
            MediaBuilder.generationAt(1, 1)));
  }

  private static Subject subject(ReplicatedSlot slot, Structure... replicas) {
    return new Subject(slot, List.of(replicas));
  }

  private final Crc32c crc = new Crc32c();
  private final long seed = Seeds.next(getClass());
  private final SplittableRandom random = new SplittableRandom(seed);

  @ParameterizedTest
  @MethodSource("slots")
  void readsTheNewestAndNeverWritesOverItHoweverTornTheWrite(Subject subject) {
    int size = subject.slot.sizeBytes();
    try (MemoryRegion region = new MemoryRegion(Layout.segmentOffset(2))) {
      for (int round = 0; round < ROUNDS; round++) {
        String what = subject + ", round " + round + ", seed " + seed;
        byte[][] before = randomReplicas(size);
        store(region, subject, before);
        int newest = newest(before);
        checkRead(region, subject, newest < 0 ? null : before[newest], what);

        byte[] next = new byte[size];
        random.nextBytes(next);
        subject.slot.write(region, MemorySegment.ofArray(next), crc);

        byte[][] after = load(region, subject);
        int written = newest < 0 ? (Arrays.equals(after[0], before[0]) ? 1 : 0) : 1 - newest;
        assertArrayEquals(before[1 - written], after[1 - written], what);
        assertNextVersion(after[written], newest < 0 ? 0 : before[newest][4], next, what);
        checkRead(region, subject, after[written], what);
        tearInEveryWay(region, subject, before, after, written, newest, what);
      }
    }
  }

  private void assertNextVersion(byte[] written, byte seq, byte[] fields, String what) {
    assertTrue(valid(written), what);
    assertEquals((byte) (seq + 1), written[4], what);
    assertEquals(0, written[5] | written[6] | written[7], "version and reserved, " + what);
    assertTrue(
        Arrays.equals(written, 8, written.length, fields, 8, fields.length), "fields, " + what);
  }

  private void tearInEveryWay(
      MemoryRegion region,
      Subject subject,
      byte[][] before,
      byte[][] after,
      int written,
      int newest,
      String what) {
    int words = after[written].length / WORD;
    for (int arrived = 0; arrived < 1 << words; arrived++) {
      byte[] torn = before[written].clone();
      for (int word = 0; word < words; word++) {
        if ((arrived >>> word & 1) != 0) {
          System.arraycopy(after[written], word * WORD, torn, word * WORD, WORD);
        }
      }
      byte[][] state = before.clone();
      state[written] = torn;
      store(region, subject, state);
      byte @Nullable [] old = newest < 0 ? null : before[newest];
      boolean whole = Arrays.equals(torn, after[written]);
      checkRead(region, subject, whole ? after[written] : old, what + ", words " + arrived);
    }
  }

  /** The replica that a read must give, or null for none. */
  private void checkRead(
      MemoryRegion region, Subject subject, byte @Nullable [] expected, String what) {
    byte[] read = new byte[subject.slot.sizeBytes()];
    boolean found = subject.slot.read(region.view(), MemorySegment.ofArray(read), crc);
    if (expected == null) {
      assertFalse(found, what);
    } else {
      assertTrue(found, what);
      assertArrayEquals(expected, read, what);
    }
  }

  /** The kernel's rule. */
  private int newest(byte[][] replicas) {
    if (!valid(replicas[0])) {
      return valid(replicas[1]) ? 1 : -1;
    }
    return valid(replicas[1]) && (byte) (replicas[1][4] - replicas[0][4]) > 0 ? 1 : 0;
  }

  private boolean valid(byte[] replica) {
    return MemorySegment.ofArray(replica).get(Layout.U32, 0)
        == crc.of(replica, 4, replica.length - 4);
  }

  private byte[][] randomReplicas(int size) {
    int seq = random.nextInt(256);
    int[] apart = {0, 1, -1, 2, 127, -127, 128, random.nextInt(256)};
    return new byte[][] {
      randomReplica(size, seq), randomReplica(size, seq + apart[random.nextInt(apart.length)])
    };
  }

  private byte[] randomReplica(int size, int seq) {
    byte[] replica = new byte[size];
    int state = random.nextInt(6);
    if (state == 0) {
      return replica;
    }
    random.nextBytes(replica);
    if (state > 1) {
      replica[4] = (byte) seq;
      int sum = crc.of(replica, 4, size - 4);
      MemorySegment.ofArray(replica).set(Layout.U32, 0, sum);
    }
    if (state == 2) {
      replica[random.nextInt(size)] ^= (byte) (1 << random.nextInt(8));
    }
    return replica;
  }

  private static void store(MemoryRegion region, Subject subject, byte[][] replicas) {
    for (int i = 0; i < replicas.length; i++) {
      MemorySegment.copy(
          replicas[i],
          0,
          region.writable(),
          JAVA_BYTE,
          subject.replicas.get(i).offsetBytes(),
          replicas[i].length);
    }
  }

  private static byte[][] load(MemoryRegion region, Subject subject) {
    byte[][] replicas = new byte[subject.replicas.size()][];
    for (int i = 0; i < replicas.length; i++) {
      Structure at = subject.replicas.get(i);
      replicas[i] = region.view().asSlice(at.offsetBytes(), at.sizeBytes()).toArray(JAVA_BYTE);
    }
    return replicas;
  }
}
