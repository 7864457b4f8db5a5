package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.UnaryOperator;
import jpcache.block.MemoryBlockDevice;

/**
 * A server of one {@link MemoryBlockDevice} on a unix socket and on TCP. Closing it stops the
 * server and fails the test if anything is left behind: threads, descriptors, native memory,
 * queues, or a breach of the device's contract.
 */
final class ServedMemory implements AutoCloseable {
  /** Far beyond what anything here takes; only a hang reaches it. */
  static final long PATIENCE_NANOS = 60_000_000_000L;

  /**
   * Longer than a machine may stand still, if not a test's own: what must be quick has a limit of
   * its own.
   */
  private static final int STOP_TIMEOUT_MS = 60_000;

  private static boolean warm;
  private static boolean countDescriptors;

  final MemoryBlockDevice device;
  final NbdServer server;
  final Path socket;
  private final Path directory;
  private final long nativeBytesBefore;
  private final int descriptorsBefore;

  private ServedMemory(
      MemoryBlockDevice device, UnaryOperator<NbdServerOptions> settings, List<Export> exports)
      throws IOException {
    this.device = device;
    directory = Files.createTempDirectory("jpcache-nbd-");
    socket = directory.resolve("nbd.sock");
    nativeBytesBefore = NativeMemory.inUseBytes();
    descriptorsBefore = descriptors();
    NbdServerOptions options =
        NbdServerOptions.defaults()
            .withListen(NbdUri.unix(socket.toString(), ""), NbdUri.tcp("127.0.0.1", 0, ""))
            .withStopTimeoutMs(STOP_TIMEOUT_MS);
    server = NbdServer.start(settings.apply(options), exports);
  }

  /** Serves a device as the default export. */
  static ServedMemory start(MemoryBlockDevice device) throws IOException {
    return start(device, options -> options);
  }

  static ServedMemory start(MemoryBlockDevice device, UnaryOperator<NbdServerOptions> settings)
      throws IOException {
    return start(device, settings, List.of(Export.of("", device)));
  }

  static ServedMemory start(
      MemoryBlockDevice device, UnaryOperator<NbdServerOptions> settings, List<Export> exports)
      throws IOException {
    warmUp();
    return new ServedMemory(device, settings, exports);
  }

  /** What the JDK opens once and keeps is opened before descriptors are counted. */
  private static synchronized void warmUp() throws IOException {
    if (!warm) {
      warm = true;
      MemoryBlockDevice device = new MemoryBlockDevice(1 << 20);
      try (ServedMemory served = new ServedMemory(device, o -> o, List.of(Export.of("", device)));
          NbdClient unix = served.unix();
          NbdClient tcp = served.tcp()) {
        unix.go("");
        tcp.go("");
      }
      countDescriptors = true;
    }
  }

  /** Stops the server, which must succeed, and returns how long that took. */
  long stopNanos() {
    long begin = System.nanoTime();
    assertTrue(server.stop(), "in time");
    return System.nanoTime() - begin;
  }

  NbdClient unix() throws IOException {
    return NbdClient.unix(socket);
  }

  NbdClient tcp() throws IOException {
    NbdUri address = server.addresses().get(1);
    return NbdClient.tcp(new InetSocketAddress(address.host(), address.port()));
  }

  /** A client on one of the two. */
  NbdClient client(boolean overTcp) throws IOException {
    return overTcp ? tcp() : unix();
  }

  /** Waits for what another thread is about to bring about. */
  static void eventually(String what, BooleanSupplier holds) {
    long deadline = System.nanoTime() + PATIENCE_NANOS;
    while (!holds.getAsBoolean()) {
      if (System.nanoTime() > deadline) {
        fail("did not come about: " + what);
      }
      LockSupport.parkNanos(200_000);
    }
  }

  static int descriptors() {
    return Objects.requireNonNull(new java.io.File("/proc/self/fd").list()).length;
  }

  private static boolean serverThreadsLive() {
    return Thread.getAllStackTraces().keySet().stream()
        .anyMatch(thread -> thread.getName().startsWith("nbd-"));
  }

  @Override
  public void close() throws IOException {
    device.release();
    server.stop();
    eventually("the end of the server's threads", () -> !serverThreadsLive());
    eventually("all queues closed", () -> device.openQueues() == 0);
    List<String> violations = device.violations();
    device.close();
    assertEquals(List.of(), violations);
    assertEquals(nativeBytesBefore, NativeMemory.inUseBytes(), "native memory");
    Files.deleteIfExists(directory); // fails if the socket is still there
    eventually(
        "as many descriptors as before: " + descriptorsBefore,
        () -> !countDescriptors || descriptors() <= descriptorsBefore);
  }
}
