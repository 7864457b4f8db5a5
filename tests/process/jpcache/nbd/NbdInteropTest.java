package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import jpcache.block.MemoryBlockDevice;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Other people's clients against the server, over unix sockets (false) and TCP (true). What is not
 * installed is skipped, with a message.
 */
@Timeout(300)
class NbdInteropTest {
  private static final int SIZE = 64 << 20;

  @TempDir Path directory;

  private static void needs(String program) {
    boolean installed =
        Arrays.stream((System.getenv("PATH") + ":/usr/sbin:/sbin").split(":", -1))
            .anyMatch(place -> new File(place, program).canExecute());
    assumeTrue(installed, program + " is not installed: skipped");
  }

  private static String uri(ServedMemory served, boolean tcp) {
    return served.server.addresses().get(tcp ? 1 : 0).toString();
  }

  /** Runs a program that must succeed; returns what it printed. */
  private String run(String... command) throws IOException, InterruptedException {
    File output = directory.resolve("output").toFile();
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().merge("PATH", "/usr/sbin:/sbin", (a, b) -> a + ":" + b);
    Process process = builder.directory(directory.toFile()).redirectOutput(output).start();
    if (!process.waitFor(60, TimeUnit.SECONDS)) {
      process.destroyForcibly();
    }
    String text = Files.readString(output.toPath(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), () -> String.join(" ", command) + "\n" + text);
    return text;
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void nbdinfoSeesTheExportAsItIs(boolean tcp) throws Exception {
    needs("nbdinfo");
    try (ServedMemory served = ServedMemory.start(new MemoryBlockDevice(SIZE, 4096, false))) {
      String info = run("nbdinfo", "--json", uri(served, tcp)).replace(" ", "");
      for (String expected :
          new String[] {
            "\"protocol\":\"newstyle-fixed\"",
            "\"export-size\":" + SIZE,
            "\"is_read_only\":false",
            "\"can_flush\":true",
            "\"can_fua\":true",
            "\"can_multi_conn\":true",
            "\"can_trim\":true",
            "\"can_zero\":true",
            "\"can_fast_zero\":true",
            "\"can_cache\":true",
            "\"can_df\":true",
            "\"structured\":true",
            "base:allocation",
            "\"block_size_minimum\":4096",
            "\"block_size_preferred\":4096",
            "\"block_size_maximum\":33554432",
          }) {
        assertTrue(info.contains(expected), () -> expected + " is not in " + info);
      }
      assertTrue(run("nbdinfo", "--list", uri(served, tcp)).contains("export=\"\""));
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void nbdcopyCopiesInAndOut(boolean tcp) throws Exception {
    needs("nbdcopy");
    byte[] data = new byte[SIZE];
    new Random(1).nextBytes(data);
    Path in = directory.resolve("in");
    Path out = directory.resolve("out");
    Files.write(in, data);
    MemoryBlockDevice device = new MemoryBlockDevice(SIZE);
    try (ServedMemory served = ServedMemory.start(device.missWhen((o, n) -> o % 3 == 0))) {
      run("nbdcopy", "--flush", in.toString(), uri(served, tcp));
      run("nbdcopy", uri(served, tcp), out.toString());
      assertEquals(-1, Files.mismatch(in, out));
      assertTrue(device.flushes() > 0);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void fioVerifiesWhatFourJobsWroteAtDepth32(boolean tcp) throws Exception {
    needs("fio");
    MemoryBlockDevice device = new MemoryBlockDevice(SIZE);
    device.missWhen((offset, length) -> offset % 8192 == 512);
    try (ServedMemory served = ServedMemory.start(device)) {
      String report =
          run(
              "fio",
              "--name=verify",
              "--ioengine=nbd",
              "--uri=" + uri(served, tcp),
              "--rw=randwrite",
              "--bsrange=512-256k",
              "--bs_unaligned=0",
              "--blockalign=512",
              "--iodepth=32",
              "--numjobs=4",
              "--size=16m",
              "--offset_increment=16m",
              "--verify=crc32c",
              "--verify_fatal=1");
      assertEquals(4, report.split("err= 0", -1).length - 1, report);
    }
  }

  @Test
  void qemuIoWritesFlushesAndReadsPatterns() throws Exception {
    needs("qemu-io");
    MemoryBlockDevice device = new MemoryBlockDevice(SIZE);
    try (ServedMemory served = ServedMemory.start(device)) {
      String out =
          run(
              "qemu-io",
              "-f",
              "raw",
              uri(served, false),
              "-c",
              "write -P 0x5a 512 3M",
              "-c",
              "write -f -P 0xa5 1M 64k",
              "-c",
              "flush",
              "-c",
              "aio_read -P 0xa5 1M 64k",
              "-c",
              "read -P 0x5a 512 512k",
              "-c",
              "aio_flush");
      assertTrue(!out.contains("Pattern verification failed"), out);
      assertTrue(out.contains("wrote 3145728/3145728 bytes at offset 512"), out);
      assertTrue(device.fuaWrites() > 0);
      assertTrue(device.flushes() > 0);
    }
  }

  @Test
  void nbdClientListsTheExports() throws Exception {
    needs("nbd-client");
    MemoryBlockDevice device = new MemoryBlockDevice(SIZE);
    try (ServedMemory served =
        ServedMemory.start(device, o -> o, java.util.List.of(Export.of("disk", device)))) {
      NbdUri tcp = served.server.addresses().get(1);
      String list = run("nbd-client", "-l", tcp.host(), "-N", "", String.valueOf(tcp.port()));
      assertTrue(Objects.requireNonNull(list).contains("disk"), list);
    }
  }
}
