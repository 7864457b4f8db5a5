package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import jpcache.nbd.NbdClient;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Several caches in one server, by the file that docs/operations.md shows. */
class ConfigProcessTest {
  private static final int EPERM = 1;
  private static final long BACKING_BYTES = 64 << 20;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  @TempDir Path disk;

  private Path config;
  private Path socket;

  @BeforeEach
  void writeConfig() throws IOException {
    Jpcache.assumeItCanRun();
    socket = shm.resolve("s");
    for (String name : List.of("mail", "archive")) {
      try (RandomAccessFile file = new RandomAccessFile(disk.resolve(name).toFile(), "rw")) {
        file.setLength(BACKING_BYTES);
      }
    }
    Matcher example =
        Pattern.compile("(?s)```toml\n(.*?)```")
            .matcher(Files.readString(Path.of("docs/operations.md")));
    assertTrue(example.find(), "docs/operations.md shows no file for --config");
    config = shm.resolve("c.toml");
    Files.writeString(
        config,
        example
            .group(1)
            .replace("/mnt/pmem/", shm + "/")
            .replace("/dev/vg0/", disk + "/")
            .replace("/run/jpcache/nbd.sock", socket.toString())
            .replace("127.0.0.1:10809", "127.0.0.1:0"));
  }

  private ProcessBuilder command(String... arguments) {
    ProcessBuilder command = Jpcache.command(arguments);
    command.environment().put("XDG_RUNTIME_DIR", shm.toString());
    return command;
  }

  private Jpcache.Result ask(String... arguments) {
    return Jpcache.finish(command(arguments));
  }

  private Server serve() {
    return Server.launch(command("serve", "--config", config.toString())).awaitReady();
  }

  private NbdClient client() throws IOException {
    return NbdClient.unix(socket);
  }

  @Test
  void eachExportHasItsOwnDataAndTheNextServerServesTheSame() throws IOException {
    byte[] data = new byte[4096];
    Arrays.fill(data, (byte) 7);
    try (Server server = serve();
        NbdClient lists = client().hello();
        NbdClient mail = client();
        NbdClient byDefault = client();
        NbdClient archive = client()) {
      assertEquals(List.of("mail", "archive"), lists.list());
      assertFalse(mail.go("mail").readOnly());
      byDefault.go("");
      assertTrue(archive.go("archive").readOnly());

      mail.write(8192, data);
      assertArrayEquals(data, byDefault.read(8192, 4096));
      assertArrayEquals(new byte[4096], archive.read(8192, 4096));
      assertEquals(EPERM, archive.call(NbdClient.WRITE, 0, 0, 4096, data).error());
      assertEquals(0, server.terminate(), server::stderr);
    }
    try (Server _ = serve();
        NbdClient mail = client()) {
      mail.go("mail");
      assertArrayEquals(data, mail.read(8192, 4096));
    }
  }

  @Test
  void aCommandMeansTheExportOfItsCacheUnlessItNamesAnother() throws IOException {
    String mail = shm.resolve("mail").toString();
    try (Server server = serve();
        NbdClient client = client()) {
      client.go("mail");
      client.write(0, new byte[4096]);

      String own = ask("status", "--cache", mail).succeeded().out();
      String other = ask("status", "--cache", mail, "--export", "archive").succeeded().out();
      assertTrue(own.contains("export: mail\n") && own.contains("cache: " + mail + "\n"), own);
      assertTrue(own.contains("jpcache_stored_bytes_total: 4096\n"), own);
      assertTrue(other.contains("export: archive\n"), other);
      assertTrue(other.contains("jpcache_stored_bytes_total: 0\n"), other);
      assertTrue(other.contains("pid: " + server.pid() + "\n"), other);

      ask("set", "gc-percent", "33", "--cache", mail, "--export", "archive").succeeded();
      assertFalse(ask("status", "--cache", mail).out().contains("gc_percent: 33\n"));
      ask("status", "--cache", mail, "--export", "attic").failedSaying("attic", "mail, archive");
      assertEquals(2, ask("stop", "--cache", mail, "--export", "mail").exit());

      ask("stop", "--cache", shm.resolve("archive").toString()).succeeded();
      assertEquals(0, server.awaitExit(), server::stderr);
    }
  }

  @Test
  void ofSeveralExportsANamedControlSocketMustBeToldWhich() throws IOException {
    String control = shm.resolve("control").toString();
    Files.writeString(config, "control = '" + control + "'\n" + Files.readString(config));
    try (Server _ = serve()) {
      ask("status", "--control", control).failedSaying("--export", "mail, archive");
      ask("status", "--control", control, "--export", "archive").succeeded();
      for (String name : List.of("mail", "archive")) {
        String cache = shm.resolve(name).toString();
        String status = ask("status", "--control", control, "--cache", cache).succeeded().out();
        assertTrue(status.contains("export: " + name + "\n"), status);
      }
      String attic = shm.resolve("attic").toString();
      ask("status", "--control", control, "--cache", attic)
          .failedSaying(attic, "it serves " + shm.resolve("mail"));
    }
  }

  @Test
  void anExportThatCannotBeOpenedLeavesNothingBehind() throws IOException {
    Files.delete(disk.resolve("archive"));
    Jpcache.Result result = ask("serve", "--config", config.toString());
    result.failedSaying(config.toString(), "[export.archive]", disk.resolve("archive").toString());
    assertFalse(Files.exists(socket));
    assertFalse(Files.exists(shm.resolve("mail")), "the cache that was made before");
  }

  @Test
  void optionsBesideTheFileAreWrongUsage() {
    Jpcache.Result result = ask("serve", "--config", config.toString(), "--dirty-age", "3");
    assertEquals(2, result.exit(), result::toString);
    assertTrue(result.err().contains("--dirty-age"), result::toString);
  }
}
