package jpcache.media;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import jpcache.Golden;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.backing.BackingOptions;
import jpcache.support.ShmDirectory;
import jpcache.tools.LogicalView;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** We see in media that the kernel wrote what the kernel saw, and what a plain reader sees. */
class GoldenMediaTest {
  private static final int CHUNK_BYTES = 1 << 20;

  @TempDir(factory = ShmDirectory.class)
  Path directory;

  static List<Golden> images() {
    return Golden.all();
  }

  @ParameterizedTest
  @MethodSource("images")
  void theStatusIsTheKernels(Golden image) {
    Golden.Status expected = image.expect().status();
    try (MediaBuilder file = MediaBuilder.open(image.unpack(directory).cache(), false)) {
      CacheMedia media = CacheMedia.read("cache", file.view());
      LogReplay.Summary log = LogReplay.run(media, image.expect().backingBytes(), (k, i) -> {});
      KernelStatus status =
          new KernelStatus(
              media.superblock(),
              media.info(),
              log.used().cardinality(),
              log.head(),
              media.dirtyTail(),
              media.keyTail());
      String[] fields = status.line().split(" ", -1);
      assertEquals(9, fields.length);
      String exact = String.join(" ", List.of(fields).subList(0, 7));
      assertEquals(
          String.format(
              "%x %d %d %d %d %x %s",
              expected.sbFlags(),
              expected.segTotal(),
              expected.cacheSegs(),
              expected.segsUsed(),
              expected.gcPercent(),
              expected.cacheFlags(),
              expected.keyHead()),
          exact);
      assertEquals(image.expect().dataCrc(), media.info().dataCrc());
    }
  }

  @ParameterizedTest
  @MethodSource("images")
  void theLogicalViewIsThatOfAPlainReaderAndOfTheKernel(Golden image) throws Exception {
    Golden.Copy copy = image.unpack(directory);
    byte[] logical = Files.readAllBytes(copy.backing());
    MessageDigest digest = MessageDigest.getInstance("SHA-256");
    try (Arena arena = Arena.ofConfined();
        MediaBuilder file = MediaBuilder.open(copy.cache(), false);
        BackingDevice backing =
            BackingDevices.open(copy.backing().toString(), BackingOptions.forReading())) {
      new PlainReader(file.media()).overlay(logical);
      LogicalView view = new LogicalView(CacheMedia.read("cache", file.view()), backing);
      assertEquals(logical.length, view.sizeBytes());
      MemorySegment chunk = arena.allocate(CHUNK_BYTES, 4096);
      for (int at = 0; at < logical.length; at += CHUNK_BYTES) {
        view.read(at, chunk);
        MemorySegment expected = MemorySegment.ofArray(logical).asSlice(at, CHUNK_BYTES);
        long mismatch = expected.mismatch(chunk);
        assertEquals(-1, mismatch, "from byte " + at);
        digest.update(chunk.asByteBuffer());
      }
    }
    assertEquals(image.expect().logicalSha256(), HexFormat.of().formatHex(digest.digest()));
    assertEquals(
        image.expect().logicalSha256(),
        HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(logical)));
  }

  /**
   * The format's description, read literally and with its own numbers: a table-driven checksum, one
   * pass over the log, every key's data copied over the logical device as it comes.
   */
  private static final class PlainReader {
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
    private static final long SEGMENT = 16 << 20;

    private final MemorySegment media;
    private final int[] table = new int[256];

    PlainReader(MemorySegment media) {
      this.media = media;
      for (int i = 0; i < table.length; i++) {
        int crc = i;
        for (int bit = 0; bit < 8; bit++) {
          crc = (crc & 1) != 0 ? (crc >>> 1) ^ 0x82F63B78 : crc >>> 1;
        }
        table[i] = crc;
      }
    }

    void overlay(byte[] logical) {
      long info = newest(8192, 4096, 24);
      int segments = media.get(INT, info + 12);
      long[] data = new long[segments];
      long[] generations = new long[segments];
      int device = media.get(INT, info + 8);
      for (int i = 0; i < segments; i++) {
        long at = 20480 + device * SEGMENT;
        data[i] = at + 12288;
        long generation = newest(at + 8192, 16, 16);
        generations[i] = generation < 0 ? 0 : media.get(LONG, generation + 8);
        device = media.get(INT, newest(at, 4096, 16) + 12);
      }
      long tail = newest(16384, 16, 16);
      int segment = media.get(INT, tail + 8);
      int offset = media.get(INT, tail + 12);
      while (true) {
        long kset = data[segment] + offset;
        int number = media.get(INT, kset + 4);
        boolean last = (media.get(LONG, kset + 16) & 1) != 0;
        int size = last ? 24 : 24 + 40 * number;
        if (media.get(LONG, kset + 8) != 0x676894A64E164F1AL
            || (number > 128 && !last)
            || offset + size > SEGMENT - 12288
            || media.get(INT, kset) != crc(kset + 4, size - 4)) {
          return;
        }
        if (last) {
          segment = number;
          offset = 0;
          continue;
        }
        for (long key = kset + 24; key < kset + size; key += 40) {
          int owner = media.get(INT, key + 16);
          if (Long.compareUnsigned(media.get(LONG, key + 24), generations[owner]) >= 0) {
            ByteBuffer.wrap(logical)
                .put(
                    (int) media.get(LONG, key),
                    media
                        .asSlice(data[owner] + media.get(INT, key + 20), media.get(INT, key + 8))
                        .asByteBuffer(),
                    0,
                    media.get(INT, key + 8));
          }
        }
        offset += size;
      }
    }

    /** Where the newest valid replica is, or -1. */
    private long newest(long at, long stride, int size) {
      boolean first = media.get(INT, at) == crc(at + 4, size - 4);
      boolean second = media.get(INT, at + stride) == crc(at + stride + 4, size - 4);
      if (first && second) {
        int later =
            media.get(ValueLayout.JAVA_BYTE, at + stride + 4)
                - media.get(ValueLayout.JAVA_BYTE, at + 4);
        return (byte) later > 0 ? at + stride : at;
      }
      return first ? at : second ? at + stride : -1;
    }

    private int crc(long at, int length) {
      int crc = 0x3B15A;
      for (long i = at; i < at + length; i++) {
        crc = (crc >>> 8) ^ table[(crc ^ media.get(ValueLayout.JAVA_BYTE, i)) & 0xFF];
      }
      return crc;
    }
  }
}
