package jpcache.pmem;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import jpcache.base.UserException;
import jpcache.support.DiskUsage;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Opening and creating regions: what is accepted, what is refused, and in which words. */
@ParameterizedClass
@EnumSource(PmemBinding.class)
final class PmemFilesTest {
  private static final int SIZE = 1 << 20;

  private final PmemBinding binding;

  @TempDir(factory = ShmDirectory.class)
  private Path directory;

  private Path file;
  private String path;

  PmemFilesTest(PmemBinding binding) {
    this.binding = binding;
  }

  @BeforeEach
  void name() {
    file = directory.resolve("region");
    path = file.toString();
  }

  @Test
  void aCreatedFileHasItsSizeAndIsAllocatedAndZero() throws IOException {
    try (PmemRegion region = PmemFiles.create(path, SIZE, binding)) {
      assertEquals(SIZE, region.sizeBytes());
      assertEquals(path, region.name());
      assertEquals(PmemRegion.Kind.EMULATED, region.kind());
      assertEquals(-1, region.view().mismatch(MemorySegment.ofArray(new byte[SIZE])));
    }
    assertEquals(SIZE, Files.size(file));
    assertEquals(SIZE / 1024, DiskUsage.kib(file));
  }

  @Test
  void anExistingFileKeepsItsSizeAndContent() throws IOException {
    byte[] content = new byte[SIZE + 4096 + 512];
    new Random(1).nextBytes(content);
    Files.write(file, content);
    try (PmemRegion region = PmemFiles.open(path, binding)) {
      assertEquals(content.length, region.sizeBytes());
      assertEquals(-1, region.view().mismatch(MemorySegment.ofArray(content)));
    }
  }

  @Test
  void anExistingSparseFileIsAllocated() throws IOException {
    sparse();
    assertEquals(0, DiskUsage.kib(file));
    PmemFiles.open(path, binding).close();
    assertEquals(SIZE / 1024, DiskUsage.kib(file));
  }

  @Test
  void whoLooksFirstMayRefuseAndTheFileStaysSparse() throws IOException {
    sparse();
    assertEquals(
        "not this one",
        refused(() ->
            PmemFiles.openToFormat(
                path,
                binding,
                region -> {
                  throw new UserException("not this one");
                })));
    assertEquals(0, DiskUsage.kib(file));
    PmemFiles.open(path, binding).close();
  }

  @Test
  void offlineOnlyWhatIsStoredToIsAllocated() throws IOException {
    sparse();
    try (PmemRegion region = PmemFiles.openOffline(path, binding);
        Arena arena = Arena.ofConfined()) {
      assertEquals(SIZE, region.sizeBytes());
      assertEquals(0, DiskUsage.kib(file));
      MemorySegment bytes = arena.allocate(24, 8).fill((byte) 7);
      region.persist(4096 + 100, bytes.address(), 24);
      region.copy(8192 - 12, bytes.address(), 24);
      region.copy(64 << 10, bytes.address(), 0);
      region.drain();
      assertThrows(
          IndexOutOfBoundsException.class, () -> region.persist(SIZE - 8, bytes.address(), 24));
    }
    assertEquals(8, DiskUsage.kib(file));
    byte[] stored = Files.readAllBytes(file);
    assertEquals(SIZE, stored.length);
    assertEquals(7, stored[4096 + 100]);
    assertEquals(7, stored[8192 + 11]);
  }

  private void sparse() throws IOException {
    try (RandomAccessFile f = new RandomAccessFile(file.toFile(), "rw")) {
      f.setLength(SIZE);
    }
  }

  @Test
  void whatExistsIsNotCreatedAgain() throws IOException {
    Files.write(file, new byte[] {1, 2, 3});
    assertEquals(
        path + ": cannot be created: File exists",
        refused(() -> PmemFiles.create(path, SIZE, binding)));
    assertEquals(3, Files.size(file));
  }

  @Test
  void whatIsMissingIsNamed() {
    assertEquals(
        path + ": cannot be opened: No such file or directory",
        refused(() -> PmemFiles.open(path, binding)));
    String deeper = path + "/no/such/directory";
    assertEquals(
        deeper + ": cannot be created: No such file or directory",
        refused(() -> PmemFiles.create(deeper, SIZE, binding)));
  }

  @Test
  void anEmptyFileIsRefused() throws IOException {
    Files.createFile(file);
    assertEquals(
        path + ": is empty; remove it and create it with a size",
        refused(() -> PmemFiles.open(path, binding)));
  }

  @Test
  void aDirectoryIsRefused() {
    assertEquals(
        directory + ": cannot be opened: Is a directory",
        refused(() -> PmemFiles.open(directory.toString(), binding)));
  }

  @Test
  void aCharacterDeviceThatIsNotDaxIsRefused() {
    assertEquals(
        "/dev/zero: is a character device other than devdax;"
            + " name a file, a devdax device or a block device",
        refused(() -> PmemFiles.open("/dev/zero", binding)));
  }

  @Test
  void aPipeIsRefusedWithoutWaitingForItsOtherEnd() throws Exception {
    assertEquals(0, new ProcessBuilder("mkfifo", path).start().waitFor());
    assertEquals(
        path + ": is a pipe or a socket; name a file, a devdax device or a block device",
        refused(() -> PmemFiles.open(path, binding)));
  }

  @Test
  void moreThanTheFileSystemHasIsRefusedAndLeavesNothingBehind() throws IOException {
    long free = Files.getFileStore(directory).getUsableSpace();
    String message = refused(() -> PmemFiles.create(path, free + (1L << 30), binding));
    assertTrue(
        message.matches(".*/region: needs .*, but its file system has \\d+ [MG]iB free"), message);
    assertFalse(Files.exists(file));
  }

  @Test
  void aSizeThatIsNoneIsRefused() {
    assertEquals(
        path + ": cannot be created with a size of 0",
        refused(() -> PmemFiles.create(path, 0, binding)));
    assertFalse(Files.exists(file));
  }

  @Test
  void aRegionHasOneUserUntilItIsClosed() {
    try (PmemRegion region = PmemFiles.create(path, SIZE, binding)) {
      assertEquals(
          region.name() + ": is in use by this process itself; stop it, or choose another",
          refused(() -> PmemFiles.open(path, binding)));
    }
    PmemFiles.open(path, binding).close();
  }

  @Test
  void closingTwiceIsClosing() {
    PmemRegion region = PmemFiles.create(path, SIZE, binding);
    region.close();
    try (PmemRegion again = PmemFiles.open(path, binding)) {
      region.close();
      assertEquals(0, again.view().get(java.lang.foreign.ValueLayout.JAVA_BYTE, SIZE - 1));
    }
  }

  private static String refused(Runnable opening) {
    return String.valueOf(assertThrows(UserException.class, opening::run).getMessage());
  }
}
