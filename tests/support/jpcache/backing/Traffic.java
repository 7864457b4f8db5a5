package jpcache.backing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Queue;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.IntConsumer;
import jpcache.base.Completion;
import jpcache.base.Errno;

/**
 * Random requests, many at a time, against a byte array that says what the device holds. No two
 * requests under way overlap (nothing is promised about those), but they share blocks as often as
 * they like.
 *
 * <p>A write that failed leaves its sectors unknown until the next that succeeds; everybody else's
 * must be as they were.
 */
final class Traffic {
  private static final int SECTOR = 512;
  private static final int DEPTH = 24;

  /** Lets the device make progress, or waits a moment for it. */
  interface Progress {
    void step();
  }

  private final BackingDevice device;
  private final Progress progress;
  private final Random random;
  private final byte[] model;
  private final BitSet busy = new BitSet();
  private final BitSet unknown = new BitSet();
  private final Queue<Runnable> ended = new ConcurrentLinkedQueue<>();
  private int underWay;
  private int failed;

  Traffic(BackingDevice device, long seed, Progress progress) {
    this.device = device;
    this.progress = progress;
    this.random = new Random(seed);
    this.model = new byte[(int) device.sizeBytes()];
  }

  /** Runs so many requests, then reads everything back. */
  void run(int requests, int maxBytes) {
    try (Arena arena = Arena.ofShared()) {
      List<MemorySegment> buffers = new ArrayList<>();
      for (int i = 0; i < DEPTH; i++) {
        buffers.add(arena.allocate(maxBytes + 4096L, 4096));
      }
      for (int i = 0; i < requests; i++) {
        while (buffers.isEmpty() || !submit(buffers, maxBytes)) {
          progress.step();
          reap();
        }
      }
      drain();
      long everything = arena.allocate(model.length, 4096).address();
      int[] result = {-1};
      for (int attempt = 0; attempt < 100 && result[0] != 0; attempt++) {
        device.read(0, model.length, everything, counted(errno -> result[0] = errno));
        drain();
      }
      assertEquals(0, result[0], "reading everything back");
      compare(0, MemorySegment.ofAddress(everything).reinterpret(model.length));
    }
  }

  int failed() {
    return failed;
  }

  private void drain() {
    while (underWay > 0) {
      progress.step();
      reap();
    }
  }

  private void reap() {
    for (Runnable r = ended.poll(); r != null; r = ended.poll()) {
      r.run();
    }
  }

  private Completion counted(IntConsumer then) {
    underWay++;
    return errno ->
        ended.add(() -> {
          underWay--;
          failed += errno == 0 ? 0 : 1;
          then.accept(errno);
        });
  }

  private boolean submit(List<MemorySegment> buffers, int maxBytes) {
    int sector = BackingDevice.SECTOR_BYTES;
    int sectors = (int) (device.sizeBytes() / sector);
    int longest = Math.min(random.nextInt(8) == 0 ? maxBytes / sector : 12, sectors);
    int count = 1 + random.nextInt(longest);
    int first = random.nextInt(sectors - count + 1);
    if (random.nextInt(4) == 0) {
      first = sectors - count; // the end of the device is worth a visit
    }
    int from = first * sector;
    int length = count * sector;
    int firstSector = from / SECTOR;
    int endSector = (from + length) / SECTOR;
    int taken = busy.nextSetBit(firstSector);
    if (taken >= 0 && taken < endSector) {
      return false;
    }
    busy.set(firstSector, endSector);
    MemorySegment buffer = buffers.removeLast();
    int shift = random.nextBoolean() ? 0 : new int[] {4, 28, 512}[random.nextInt(3)];
    MemorySegment memory = buffer.asSlice(shift, length);
    int kind = random.nextInt(8);
    if (kind < 4) {
      Completion read =
          counted(errno -> {
            if (errno == 0) {
              compare(from, memory);
            }
            busy.clear(firstSector, endSector);
            buffers.add(buffer);
          });
      device.read(from, length, memory.address(), read);
      return true;
    }
    byte[] data = new byte[length];
    Completion written =
        counted(errno -> {
          System.arraycopy(data, 0, model, from, length);
          unknown.set(firstSector, endSector, errno != 0);
          busy.clear(firstSector, endSector);
          buffers.add(buffer);
        });
    if (kind == 4) {
      device.zero(from, length, random.nextBoolean(), written);
    } else {
      random.nextBytes(data);
      MemorySegment.copy(data, 0, memory, ValueLayout.JAVA_BYTE, 0, length);
      device.write(from, length, memory.address(), written);
    }
    return true;
  }

  private void compare(int from, MemorySegment memory) {
    byte[] got = memory.toArray(ValueLayout.JAVA_BYTE);
    for (int i = 0; i < got.length; i++) {
      if (got[i] != model[from + i] && !unknown.get((from + i) / SECTOR)) {
        fail("byte " + (from + i) + ": " + got[i] + ", not " + model[from + i]);
      }
    }
  }

  /** Fails for a result that is not what a test expects, in words. */
  static void assertErrno(int expected, int errno) {
    assertEquals(text(expected), text(errno));
  }

  private static String text(int errno) {
    return errno == 0 ? "success" : Errno.text(errno);
  }
}
