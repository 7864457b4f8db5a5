package jpcache.pmem;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class PrefaultTest {
  private static final long SIZE = 64L << 20;
  private static final long LARGE = 16 * SIZE;

  @Test
  void allPagesOfEmulatedMemoryAreMappedBeforeAnybodyStoresToThem() throws Exception {
    Path file = Path.of("/dev/shm/jpcache-prefault-" + ProcessHandle.current().pid());
    try (PmemRegion region = PmemFiles.create(file.toString(), SIZE, null);
        Prefault _ = Prefault.start(region)) {
      while (mappedKib(file) != SIZE / 1024) {
        Thread.onSpinWait();
      }
    } finally {
      Files.deleteIfExists(file);
    }
  }

  @Test
  void closingDoesNotWaitForTheRest() throws Exception {
    Path file = Path.of("/dev/shm/jpcache-prefault-close-" + ProcessHandle.current().pid());
    try (PmemRegion region = PmemFiles.create(file.toString(), LARGE, null)) {
      Prefault.start(region).close();
      assertTrue(mappedKib(file) != LARGE / 1024, "all was mapped first");
    } finally {
      Files.deleteIfExists(file);
    }
  }

  /** What of a file this process has in its page tables, as the kernel says. */
  private static long mappedKib(Path file) throws IOException {
    List<String> lines = Files.readAllLines(Path.of("/proc/self/smaps"));
    for (int i = 0; i < lines.size(); i++) {
      if (lines.get(i).endsWith(file.toString())) {
        for (int j = i + 1; j < lines.size(); j++) {
          if (lines.get(j).startsWith("Rss:")) {
            return Long.parseLong(lines.get(j).replaceAll("[^0-9]", ""));
          }
        }
      }
    }
    return -1;
  }
}
