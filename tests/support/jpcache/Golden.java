package jpcache;

import com.github.luben.zstd.ZstdInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * A reference image: a cache device and its backing device as the kernel left them, and what the
 * kernel itself saw in them. See tests/golden/README.md.
 *
 * <p>The system property {@code jpcache.golden} names another directory of images than {@code
 * tests/golden}. The compressed images are never written; {@link #unpack} makes sparse copies.
 */
public record Golden(Path directory, Expect expect) {
  private static final int WINDOW_LOG = 27;
  private static final int HOLE_BYTES = 4096;

  /** The two devices of an unpacked image. */
  public record Copy(Path cache, Path backing) {}

  /** What {@code expect.txt} says. The status before the end is empty where the power was cut. */
  public record Expect(
      String name,
      boolean dataCrc,
      long pmemBytes,
      long backingBytes,
      Status status,
      String logicalSha256,
      String pmemSha256,
      String backingSha256) {}

  /**
   * The kernel's status line after it attached a copy. Its dirty_tail and key_tail may have moved
   * past those on the media, because write-back and GC had begun; every other field is exact.
   */
  public record Status(
      int sbFlags,
      int segTotal,
      int cacheSegs,
      int segsUsed,
      int gcPercent,
      int cacheFlags,
      String keyHead,
      String dirtyTail,
      String keyTail) {

    private static final String TARGET = " pcache ";

    /** A line as dmsetup prints it: the fields follow the target's name. */
    static Status parse(String line) {
      return ofFields(line.substring(line.indexOf(TARGET) + TARGET.length()));
    }

    /** The fields alone, as {@code jpcache dump} shows them; cache_flags are hexadecimal. */
    public static Status ofFields(String line) {
      String[] fields = line.split(" ", -1);
      return new Status(
          Integer.parseInt(fields[0]),
          Integer.parseInt(fields[1]),
          Integer.parseInt(fields[2]),
          Integer.parseInt(fields[3]),
          Integer.parseInt(fields[4]),
          Integer.parseInt(fields[5], 16),
          fields[6],
          fields[7],
          fields[8]);
    }

    /** The same status with these tails, for media on which they have not moved yet. */
    public Status withTails(String dirtyTail, String keyTail) {
      return new Status(
          sbFlags,
          segTotal,
          cacheSegs,
          segsUsed,
          gcPercent,
          cacheFlags,
          keyHead,
          dirtyTail,
          keyTail);
    }
  }

  /** Every image of the directory under test, by name. Never empty. */
  public static List<Golden> all() {
    Path directory = directoryOfImages();
    try (Stream<Path> images = Files.list(directory)) {
      List<Golden> all =
          images
              .filter(image -> Files.exists(image.resolve("expect.txt")))
              .sorted()
              .map(Golden::of)
              .toList();
      if (all.isEmpty()) {
        throw new IllegalStateException(directory + ": no reference image in it");
      }
      return all;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The image of this name, for example {@code dirty-crash}. */
  public static Golden named(String name) {
    return of(directoryOfImages().resolve(name));
  }

  /** Unpacks both devices into a directory that exists. Runs of zeros become holes. */
  public Copy unpack(Path into) {
    Copy copy = new Copy(into.resolve("pmem.img"), into.resolve("backing.img"));
    try {
      unpack(directory.resolve("pmem.img.zst"), copy.cache(), expect.pmemBytes());
      unpack(directory.resolve("backing.img.zst"), copy.backing(), expect.backingBytes());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return copy;
  }

  @Override
  public String toString() {
    return expect.name();
  }

  private static Path directoryOfImages() {
    return Path.of(System.getProperty("jpcache.golden", "tests/golden"));
  }

  private static Golden of(Path directory) {
    Map<String, String> fields = new HashMap<>();
    try {
      for (String line : Files.readAllLines(directory.resolve("expect.txt"))) {
        int colon = line.indexOf(':');
        fields.put(line.substring(0, colon), line.substring(colon + 1).strip());
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return new Golden(
        directory,
        new Expect(
            field(fields, "name"),
            Boolean.parseBoolean(field(fields, "data_crc")),
            Long.parseLong(field(fields, "pmem_bytes")),
            Long.parseLong(field(fields, "backing_bytes")),
            Status.parse(field(fields, "status_after_kernel_attach")),
            field(fields, "logical_sha256"),
            field(fields, "pmem_sha256"),
            field(fields, "backing_sha256")));
  }

  private static String field(Map<String, String> fields, String name) {
    String value = fields.get(name);
    if (value == null) {
      throw new IllegalArgumentException("expect.txt: no field " + name);
    }
    return value;
  }

  private static void unpack(Path packed, Path to, long sizeBytes) throws IOException {
    byte[] zeros = new byte[HOLE_BYTES];
    byte[] chunk = new byte[1 << 20];
    try (InputStream file = Files.newInputStream(packed);
        ZstdInputStream image = new ZstdInputStream(file);
        FileChannel out =
            FileChannel.open(to, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      image.setLongMax(WINDOW_LOG);
      long at = 0;
      for (int n; (n = image.readNBytes(chunk, 0, chunk.length)) > 0; at += n) {
        for (int from = 0; from < n; from += HOLE_BYTES) {
          int end = Math.min(from + HOLE_BYTES, n);
          if (!Arrays.equals(chunk, from, end, zeros, 0, end - from)) {
            writeFully(out, ByteBuffer.wrap(chunk, from, end - from), at + from);
          }
        }
      }
      if (at != sizeBytes) {
        throw new IOException(packed + " holds " + at + " bytes, expect.txt says " + sizeBytes);
      }
      extend(out, sizeBytes);
    }
  }

  /** Gives the file its size even if it ends in a hole; its last byte is zero then. */
  private static void extend(FileChannel out, long sizeBytes) throws IOException {
    if (out.size() < sizeBytes) {
      writeFully(out, ByteBuffer.allocate(1), sizeBytes - 1);
    }
  }

  private static void writeFully(FileChannel out, ByteBuffer bytes, long at) throws IOException {
    for (long to = at; bytes.hasRemaining(); ) {
      to += out.write(bytes, to);
    }
  }
}
