package jpcache.pmem;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import jpcache.support.MappedPages;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class PrefaultTest {
  private static final long SIZE = 64L << 20;
  private static final long ME = ProcessHandle.current().pid();
  private static final long LARGE = 16 * SIZE;

  @Test
  void allPagesOfEmulatedMemoryAreMappedBeforeAnybodyStoresToThem() throws Exception {
    Path file = Path.of("/dev/shm/jpcache-prefault-" + ME);
    try (PmemRegion region = PmemFiles.create(file.toString(), SIZE, null);
        Prefault _ = Prefault.start(region)) {
      while (MappedPages.kib(ME, file) != SIZE / 1024) {
        Thread.onSpinWait();
      }
    } finally {
      Files.deleteIfExists(file);
    }
  }

  @Test
  void closingDoesNotWaitForTheRest() throws Exception {
    Path file = Path.of("/dev/shm/jpcache-prefault-close-" + ME);
    try (PmemRegion region = PmemFiles.create(file.toString(), LARGE, null)) {
      Prefault.start(region).close();
      assertTrue(MappedPages.kib(ME, file) != LARGE / 1024, "all was mapped first");
    } finally {
      Files.deleteIfExists(file);
    }
  }
}
