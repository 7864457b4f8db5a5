package jpcache.pmem;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import jpcache.base.UserException;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ReadOnlyMappingTest {
  @TempDir(factory = ShmDirectory.class)
  private Path directory;

  private Path file;

  @BeforeEach
  void create() throws IOException {
    file = directory.resolve("image");
    Files.writeString(file, "what the image holds");
  }

  @Test
  void showsWhatTheFileHoldsAndNoMore() {
    try (ReadOnlyMapping mapping = ReadOnlyMapping.open(file.toString())) {
      assertEquals(file.toString(), mapping.name());
      assertEquals(20, mapping.sizeBytes());
      assertEquals(
          -1,
          mapping.view().mismatch(MemorySegment.ofArray("what the image holds".getBytes(UTF_8))));
      assertThrows(
          IndexOutOfBoundsException.class, () -> mapping.view().get(ValueLayout.JAVA_BYTE, 20));
      assertThrows(
          IllegalArgumentException.class,
          () -> mapping.view().set(ValueLayout.JAVA_BYTE, 0, (byte) 1));
    }
  }

  @Test
  void readersLookTogetherButNotBesideAWriter() {
    try (ReadOnlyMapping first = ReadOnlyMapping.open(file.toString())) {
      assertDoesNotThrow(() -> ReadOnlyMapping.open(first.name()).close());
      inUse(() -> PmemFiles.open(first.name(), null));
    }
    try (PmemRegion region = PmemFiles.open(file.toString(), null)) {
      inUse(() -> ReadOnlyMapping.open(region.name()));
    }
    assertDoesNotThrow(() -> ReadOnlyMapping.open(file.toString()).close());
  }

  private void inUse(Runnable opening) {
    assertEquals(
        file + ": is in use by this process itself; stop it, or choose another", refused(opening));
  }

  @Test
  void whatHoldsNothingIsRefused() throws IOException {
    Path empty = Files.createFile(directory.resolve("empty"));
    assertEquals(empty + ": is empty", refused(() -> ReadOnlyMapping.open(empty.toString())));
  }

  @Test
  void whatIsMissingOrNoMediaIsRefused() throws Exception {
    assertEquals(
        file + "2: cannot be opened: No such file or directory",
        refused(() -> ReadOnlyMapping.open(file + "2")));
    assertEquals(
        directory + ": is a directory; name a file, a devdax device or a block device",
        refused(() -> ReadOnlyMapping.open(directory.toString())));
    assertEquals(
        "/dev/null: is a character device other than devdax;"
            + " name a file, a devdax device or a block device",
        refused(() -> ReadOnlyMapping.open("/dev/null")));
    Path pipe = directory.resolve("pipe");
    assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
    assertEquals(
        pipe + ": is a pipe or a socket; name a file, a devdax device or a block device",
        refused(() -> ReadOnlyMapping.open(pipe.toString())));
  }

  @Test
  void aFileThatIsTruncatedWhileItIsReadIsAnException() throws IOException {
    try (RandomAccessFile writer = new RandomAccessFile(file.toFile(), "rw")) {
      writer.setLength(8192);
      try (ReadOnlyMapping mapping = ReadOnlyMapping.open(file.toString())) {
        writer.setLength(4096);
        MemorySegment to = MemorySegment.ofArray(new byte[8192]);
        PoisonedMemoryException e =
            assertThrows(
                PoisonedMemoryException.class,
                () -> PmemReads.copy(mapping.view(), 0, to, 0, 8192));
        assertEquals(4096, e.offsetBytes());
      }
    }
  }

  private static String refused(Runnable opening) {
    return String.valueOf(assertThrows(UserException.class, opening::run).getMessage());
  }
}
