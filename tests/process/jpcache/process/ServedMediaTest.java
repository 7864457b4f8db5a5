package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whoever works on media offline is kept away from those of a server, and told whose they are. */
class ServedMediaTest {
  private static final long BACKING_BYTES = 64 << 20;
  private static final int COULD_NOT_RUN = 8;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  @TempDir Path disk;

  private Media media;

  @BeforeEach
  void makeMedia() {
    Jpcache.assumeItCanRun();
    media = Media.in(shm, disk).withBacking(BACKING_BYTES).formatted("512M");
  }

  @Test
  void noOfflineCommandTouchesOrReadsAServedCache() {
    try (Server server = Server.start(media.serveOptions())) {
      for (String[] command :
          new String[][] {{"dump"}, {"view"}, {"rescue"}, {"rescue", "--dry-run"}}) {
        on(media, !command[0].equals("dump"), command)
            .failedSaying(media.cache().toString(), Long.toString(server.pid()));
      }
      for (String[] command : new String[][] {{"fsck"}, {"fsck", "--repair"}}) {
        Jpcache.Result result = on(media, true, command);
        assertEquals(COULD_NOT_RUN, result.exit(), result::toString);
        assertTrue(result.err().contains(Long.toString(server.pid())), result::toString);
        assertEquals(1, result.err().lines().count(), result::toString);
      }
      assertEquals(0, server.terminate(), server::stderr);
    }
    media.requireSound("after all that");
  }

  @Test
  void aServedBackingDeviceIsNotRescuedTo() {
    Media other =
        new Media(shm.resolve("other"), media.backing(), shm.resolve("o")).formatted("512M");
    try (Server server = Server.start(media.serveOptions())) {
      on(other, true, "rescue")
          .failedSaying(media.backing().toString(), Long.toString(server.pid()));
      assertEquals(0, server.terminate(), server::stderr);
    }
  }

  private static Jpcache.Result on(Media media, boolean withBacking, String... command) {
    List<String> arguments = new ArrayList<>(List.of(command));
    arguments.addAll(List.of("--cache", media.cache().toString()));
    if (withBacking) {
      arguments.addAll(List.of("--backing", media.backing().toString()));
    }
    return Jpcache.run(arguments.toArray(String[]::new));
  }
}
