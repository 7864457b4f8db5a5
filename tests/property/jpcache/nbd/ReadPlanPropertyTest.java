package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.BitSet;
import java.util.Random;
import jpcache.Seeds;
import jpcache.base.Completion;
import jpcache.block.BlockQueue;
import jpcache.block.ExtentSink;
import jpcache.block.MemoryBlockDevice;
import org.junit.jupiter.api.Test;

/** Plans of reads over devices with zeros here and there. */
class ReadPlanPropertyTest {
  private static final int BLOCKS = 1024;
  private static final int SIZE = BLOCKS * 512;

  /** A queue that tells of zeros and can do nothing else. */
  private static void describe(BitSet zeros, Random random, int from, int to, ExtentSink sink) {
    for (int at = from; at < to; ) {
      int next = zeros.get(at) ? zeros.nextClearBit(at) : zeros.nextSetBit(at);
      int end = next < 0 || next > to ? to : next;
      if (end > at + 1 && random.nextBoolean()) {
        end = at + random.nextInt(1, end - at); // neighbours may be alike
      }
      int flags = zeros.get(at) ? ExtentSink.ZERO : random.nextInt(2) * ExtentSink.CACHED;
      sink.extent((end - at) * 512L, flags);
      at = end;
    }
  }

  @Test
  void coversTheRangeWithHolesThatAreZerosAndLongEnough() {
    long seed = Seeds.next(ReadPlanPropertyTest.class);
    Random random = new Random(seed);
    try (MemoryBlockDevice device = new MemoryBlockDevice(SIZE);
        BlockQueue real = device.openQueue()) {
      ReadPlan plan = new ReadPlan();
      for (int round = 0; round < 2000; round++) {
        BitSet zeros = new BitSet();
        for (int i = random.nextInt(12); i > 0; i--) {
          int from = random.nextInt(BLOCKS);
          zeros.set(from, Math.min(BLOCKS, from + 1 + random.nextInt(200)));
        }
        BlockQueue queue = new DescribingQueue(real, zeros, random);
        int from = random.nextInt(BLOCKS);
        int blocks = 1 + random.nextInt(BLOCKS - from);
        boolean holes = plan.findsHoles(queue, from * 512L, blocks * 512);
        check(plan, holes, zeros, from, blocks, "seed " + seed + " round " + round);
      }
    }
  }

  private static void check(
      ReadPlan plan, boolean holes, BitSet zeros, int from, int blocks, String where) {
    int least = ReadPlan.LEAST_HOLE_BYTES / 512;
    BitSet told = new BitSet();
    int at = from;
    for (int i = 0; i < plan.count(); i++) {
      int length = plan.lengthBytes(i) / 512;
      assertTrue(length > 0, where);
      assertTrue(i == 0 || plan.isHole(i) != plan.isHole(i - 1), where);
      told.set(at, at + length, plan.isHole(i));
      at += length;
    }
    assertEquals(from + blocks, at, where);
    BitSet expected = new BitSet();
    for (int i = from; i < from + blocks; ) {
      int end = zeros.get(i) ? zeros.nextClearBit(i) : zeros.nextSetBit(i);
      end = end < 0 || end > from + blocks ? from + blocks : end;
      expected.set(i, end, zeros.get(i) && end - i >= least);
      i = end;
    }
    assertEquals(expected, told, where);
    assertEquals(!expected.isEmpty(), holes, where);
  }

  /** Describes zeros of its own; everything else is somebody else's. */
  private record DescribingQueue(BlockQueue real, BitSet zeros, Random random)
      implements BlockQueue {
    @Override
    public void describe(long offset, long length, ExtentSink sink) {
      ReadPlanPropertyTest.describe(
          zeros, random, (int) (offset / 512), (int) ((offset + length) / 512), sink);
    }

    @Override
    public void read(long offset, int length, long address, Completion done) {
      real.read(offset, length, address, done);
    }

    @Override
    public void write(long offset, int length, long address, boolean fua, Completion done) {
      real.write(offset, length, address, fua, done);
    }

    @Override
    public void writeZeroes(long offset, long length, boolean unmap, boolean fua, Completion done) {
      real.writeZeroes(offset, length, unmap, fua, done);
    }

    @Override
    public void prefetch(long offset, long length, Completion done) {
      real.prefetch(offset, length, done);
    }

    @Override
    public void flush(Completion done) {
      real.flush(done);
    }

    @Override
    public void commit() {
      real.commit();
    }

    @Override
    public void close() {
      real.close();
    }
  }
}
