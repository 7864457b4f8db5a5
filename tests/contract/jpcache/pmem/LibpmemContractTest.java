package jpcache.pmem;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import jpcache.base.Errno;
import jpcache.base.UserException;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** What every binding to libpmem does, and the region over it. */
@ParameterizedClass
@EnumSource(PmemBinding.class)
final class LibpmemContractTest {
  private static final int SIZE = 1 << 20;

  /** Two bounds of a critical call, and then some. */
  private static final int LONGEST = (int) (2 * FfmLibpmem.CRITICAL_BYTES) + 777;

  private final PmemBinding binding;
  private final Libpmem libpmem;
  private final Arena arena = Arena.ofConfined();

  @TempDir(factory = ShmDirectory.class)
  private Path directory;

  private Path file;

  LibpmemContractTest(PmemBinding binding) {
    this.binding = binding;
    this.libpmem = binding.load();
  }

  @BeforeEach
  void name() {
    file = directory.resolve("region");
  }

  @AfterEach
  void free() {
    arena.close();
  }

  @Test
  void knowsItsName() {
    assertEquals(binding, libpmem.binding());
  }

  @Test
  void createsMapsAndUnmapsAFile() throws IOException {
    Libpmem.Mapping mapping = map(file, SIZE, Libpmem.CREATE | Libpmem.EXCLUSIVE);
    assertEquals(SIZE, mapping.lengthBytes());
    assertTrue(mapping.pmem());
    assertTrue(libpmem.isPmem(mapping.address(), SIZE));
    assertEquals(SIZE, Files.size(file));
    assertEquals(0, libpmem.unmap(mapping.address(), SIZE));

    Libpmem.Mapping again = map(file, 0, 0);
    assertEquals(SIZE, again.lengthBytes());
    assertEquals(0, libpmem.unmap(again.address(), SIZE));
  }

  @Test
  void whatItMapsIsSharedWithTheFile() throws IOException {
    byte[] content = new byte[SIZE];
    new Random(2).nextBytes(content);
    Files.write(file, content);
    Libpmem.Mapping mapping = map(file, 0, 0);
    MemorySegment mapped = MemorySegment.ofAddress(mapping.address()).reinterpret(SIZE);
    assertEquals(-1, mapped.mismatch(MemorySegment.ofArray(content)));

    MemorySegment source = arena.allocateFrom("stored");
    libpmem.memcpyPersist(mapping.address() + 4093, source.address(), 6);
    assertEquals("stored", new String(Files.readAllBytes(file), 4093, 6, US_ASCII));
    libpmem.unmap(mapping.address(), SIZE);
  }

  @Test
  void explainsWhyAFileCannotBeMapped() throws IOException {
    refused("No such file or directory", file, 0, 0);
    refused("Is a directory", directory, 0, 0);
    Files.createFile(file);
    refused("mmap 0 bytes: Invalid argument", file, 0, 0);
    refused("File exists", file, SIZE, Libpmem.CREATE | Libpmem.EXCLUSIVE);
    refused("zero 'len' not allowed with PMEM_FILE_CREATE", file, 0, Libpmem.CREATE);
  }

  private void refused(String why, Path path, long lengthBytes, int flags) {
    UserException e = assertThrows(UserException.class, () -> map(path, lengthBytes, flags));
    String message = String.valueOf(e.getMessage());
    assertTrue(message.startsWith("media: libpmem cannot map it: "), message);
    assertTrue(message.endsWith(why), message);
  }

  private Libpmem.Mapping map(Path path, long lengthBytes, int flags) {
    return libpmem.map("media", path.toString(), lengthBytes, flags, 0600);
  }

  @Test
  void failuresOfUnmapAndMsyncCarryTheirErrno() {
    assertEquals(-Errno.EINVAL, libpmem.unmap(4097, 4096));
    long nowhere = 1L << 46;
    assertEquals(-Errno.ENOMEM, libpmem.msync(nowhere, 4096));
  }

  @Test
  void everySmallCopyAtEveryAlignmentWritesItsBytesAndNoOthers() {
    try (PmemRegion region = PmemFiles.create(file.toString(), SIZE, binding)) {
      Model model = new Model(region, new Random(3));
      for (int offset = 0; offset < 65; offset++) {
        for (int length = 0; length < 130; length++) {
          model.copy(offset, length % 17, length);
        }
        model.check();
      }
    }
  }

  @Test
  void randomCopiesWriteTheirBytesAndNoOthers() {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    try (PmemRegion region = PmemFiles.create(file.toString(), SIZE, binding)) {
      Model model = new Model(region, random);
      for (int i = 0; i < 300; i++) {
        int length = random.nextInt(random.nextBoolean() ? LONGEST : 5000);
        model.copy(random.nextInt(SIZE - length + 1), random.nextInt(4096), length);
        model.check();
      }
    } catch (AssertionError e) {
      throw new AssertionError("seed " + seed, e);
    }
  }

  /** A region, the array that says what must be in it, and memory to copy from. */
  private final class Model {
    private final PmemRegion region;
    private final Random random;
    private final byte[] expected = new byte[SIZE];
    private final MemorySegment source = arena.allocate(LONGEST + 4096, 64);

    Model(PmemRegion region, Random random) {
      this.region = region;
      this.random = random;
    }

    void copy(int offset, int sourceOffset, int length) {
      byte[] fresh = new byte[length];
      random.nextBytes(fresh);
      MemorySegment.copy(fresh, 0, source, ValueLayout.JAVA_BYTE, sourceOffset, length);
      System.arraycopy(fresh, 0, expected, offset, length);
      long from = source.address() + sourceOffset;
      long to = region.address() + offset;
      switch (random.nextInt(4)) {
        case 0 -> region.persist(offset, from, length);
        case 1 -> {
          region.copy(offset, from, length);
          region.drain();
        }
        case 2 -> {
          libpmem.memcpyNodrain(to, from, length);
          libpmem.flush(to, length);
          libpmem.drain();
        }
        default -> {
          libpmem.memcpyNodrain(to, from, length);
          libpmem.persist(to, length);
          assertEquals(0, libpmem.msync(to, length));
        }
      }
    }

    void check() {
      assertEquals(-1, region.view().mismatch(MemorySegment.ofArray(expected)));
    }
  }

  @Test
  void aRangeOutsideTheRegionIsRefusedBeforeAnythingIsWritten() {
    try (PmemRegion region = PmemFiles.create(file.toString(), SIZE, binding)) {
      long source = arena.allocate(64).fill((byte) 1).address();
      long[][] ranges = {{-1, 8}, {SIZE - 7, 8}, {SIZE + 1, 0}, {0, -1}, {Long.MAX_VALUE, 8}};
      for (long[] range : ranges) {
        assertThrows(
            IndexOutOfBoundsException.class, () -> region.copy(range[0], source, range[1]));
        assertThrows(
            IndexOutOfBoundsException.class, () -> region.persist(range[0], source, range[1]));
      }
      assertEquals(-1, region.view().mismatch(MemorySegment.ofArray(new byte[SIZE])));
    }
  }

  @Test
  void theViewCannotBeWritten() {
    try (PmemRegion region = PmemFiles.create(file.toString(), SIZE, binding)) {
      assertThrows(
          IllegalArgumentException.class,
          () -> region.view().set(ValueLayout.JAVA_BYTE, 0, (byte) 1));
    }
  }

  @Test
  void aMissingLibpmemIsNamedWithItsPackage() {
    UserException e =
        assertThrows(UserException.class, () -> binding.requireLibrary("libpmem-absent.so.1"));
    assertEquals(
        "--pmem "
            + binding.label()
            + ": libpmem-absent.so.1 cannot be loaded; install it (Debian: apt-get install libpmem1)",
        e.getMessage());
  }

  @Test
  void theErrorMessageOfAThreadIsItsOwn() throws InterruptedException {
    assertThrows(UserException.class, () -> map(directory.resolve("a"), 0, 0));
    String ours = libpmem.errorMessage();
    Thread other =
        Thread.ofPlatform()
            .start(() -> assertThrows(UserException.class, () -> map(directory, 0, 0)));
    other.join();
    assertEquals(ours, libpmem.errorMessage());
    assertNotEquals("", ours);
  }
}
