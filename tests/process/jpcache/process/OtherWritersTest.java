package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Optional;
import jpcache.base.OtherWriters;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whoever has a device open for writing and takes no lock is told, and not refused. */
class OtherWritersTest {
  @TempDir(factory = ShmDirectory.class)
  Path shm;

  @TempDir Path disk;

  private Media media;

  @BeforeEach
  void makeMedia() {
    Jpcache.assumeItCanRun();
    media = Media.in(shm, disk).withBacking(64 << 20).formatted("512M");
  }

  /** A process that has a file open and has said so. */
  private static Process holder(String redirection, Path file) throws Exception {
    Process process =
        new ProcessBuilder(
                "sh", "-c", "exec 3" + redirection + "\"$0\"; echo; read -r _", file + "")
            .start();
    assertEquals('\n', process.getInputStream().read());
    return process;
  }

  private static void end(Process process) throws Exception {
    process.destroy();
    process.waitFor();
  }

  @Test
  void aWriterIsFoundAndAReaderIsNone() throws Exception {
    for (Path file : new Path[] {media.cache(), media.backing()}) {
      Process reader = holder("<", file);
      assertEquals(Optional.empty(), OtherWriters.of(file));
      Process writer = holder("<>", file);
      assertEquals(Optional.of("process " + writer.pid() + " (sh)"), OtherWriters.of(file));
      end(writer);
      assertEquals(Optional.empty(), OtherWriters.of(file));
      end(reader);
    }
  }

  @Test
  void serveTellsOfAWriterAndServes() throws Exception {
    Process writer = holder("<>", media.backing());
    try (Server server = Server.start(media.serveOptions())) {
      String told = media.backing() + ": process " + writer.pid() + " (sh) has it open for writing";
      assertTrue(server.stderr().contains(told), server::stderr);
    } finally {
      end(writer);
    }
    try (Server server = Server.start(media.serveOptions())) {
      assertTrue(!server.stderr().contains("open for writing"), server::stderr);
    }
  }
}
