package jpcache.pmem;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import jpcache.support.MappedPages;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(300)
class PrefaultTest {
  private static final long SIZE = 64L << 20;
  private static final long ME = ProcessHandle.current().pid();
  private static final long LARGE = 16 * SIZE;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private Path file;

  @BeforeEach
  void name() {
    file = shm.resolve("cache");
  }

  @Test
  void allPagesOfEmulatedMemoryAreMappedBeforeAnybodyStoresToThem() throws Exception {
    try (PmemRegion region = PmemFiles.create(file.toString(), SIZE, null);
        Prefault _ = Prefault.start(region)) {
      while (MappedPages.kib(ME, file) != SIZE / 1024) {
        Thread.onSpinWait();
      }
    }
  }

  @Test
  void closingDoesNotWaitForTheRest() throws Exception {
    try (PmemRegion region = PmemFiles.create(file.toString(), LARGE, null)) {
      Prefault.start(region).close();
      assertTrue(MappedPages.kib(ME, file) != LARGE / 1024, "all was mapped first");
    }
  }
}
