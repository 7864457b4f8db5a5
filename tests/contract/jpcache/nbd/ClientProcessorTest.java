package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import jpcache.base.Affinity;
import jpcache.base.Posix;
import jpcache.support.ThisThread;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A client bound to one processor sends a byte and waits for it to come back, over and over. */
@Timeout(60)
class ClientProcessorTest {
  private static final int ROUND_TRIPS = 300;

  private final Affinity home = Affinity.ofThisThread();

  @AfterEach
  void restore() {
    home.apply();
  }

  /** Serves such a client, watched from its first byte on, and then moves to where it was. */
  private boolean moveTo(NbdUri uri, int clientProcessor, int claimedRoundTrips)
      throws IOException, InterruptedException {
    try (ListenSocket listener = ListenSocket.open(uri, Listening.on(uri))) {
      Thread client =
          Thread.ofPlatform().start(() -> sendAndWait(listener.address(), clientProcessor));
      int fd;
      do {
        fd = Sockets.accept(listener.fd());
      } while (fd < 0);
      long memory = NativeMemory.allocate(4096);
      try {
        ClientProcessor processor = new ClientProcessor(fd, home);
        for (int i = 0; i < ROUND_TRIPS; i++) {
          if (i == 1) {
            processor.watch();
          }
          echo(fd, memory);
        }
        return processor.moveToClient(claimedRoundTrips);
      } finally {
        NativeMemory.free(memory, 4096);
        Posix.close(fd);
        client.join();
      }
    }
  }

  private static void echo(int fd, long memory) throws InterruptedException {
    while (Sockets.receive(fd, memory, 1) != 1) {
      Thread.onSpinWait();
    }
    Thread.sleep(0, 300_000); // so that the client certainly sleeps, too
    long part = memory + Sockets.MESSAGE_BYTES;
    NativeMemory.hostLong(memory + 8, 0);
    NativeMemory.hostLong(part, memory);
    NativeMemory.hostLong(part + Long.BYTES, 1);
    NativeMemory.hostLong(memory + Sockets.MESSAGE_PARTS, part);
    NativeMemory.hostLong(memory + Sockets.MESSAGE_PART_COUNT, 1);
    assertEquals(1, Sockets.send(fd, memory));
  }

  private void sendAndWait(NbdUri uri, int processor) {
    String path = uri.socketPath();
    SocketAddress address =
        path != null
            ? UnixDomainSocketAddress.of(path)
            : new InetSocketAddress(uri.host(), uri.port());
    try (SocketChannel channel = SocketChannel.open(address)) {
      home.applyOnly(processor);
      ByteBuffer one = ByteBuffer.allocate(1);
      for (int i = 0; i < ROUND_TRIPS; i++) {
        channel.write(one.clear());
        channel.read(one.clear());
      }
      channel.read(one.clear()); // until the server has looked
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void isFound(NbdUri uri) throws IOException, InterruptedException {
    for (int processor : new int[] {ThisThread.firstProcessor(), ThisThread.lastProcessor()}) {
      assertTrue(moveTo(uri, processor, ROUND_TRIPS), "not found");
      assertEquals(Integer.toString(processor), ThisThread.processors());
      assertTrue(home.apply());
    }
  }

  @Test
  void aClientOnAUnixSocketIsFound() throws IOException, InterruptedException {
    Path directory = Files.createTempDirectory("jpcache-processor-");
    try {
      isFound(NbdUri.unix(directory.resolve("socket").toString(), ""));
    } finally {
      Files.delete(directory);
    }
  }

  @Test
  void aClientOnLoopbackIsFound() throws IOException, InterruptedException {
    isFound(NbdUri.tcp("127.0.0.1", 0, ""));
  }

  @Test
  void aThreadThatSleptLessThanItWasAnsweredIsNotTheClient()
      throws IOException, InterruptedException {
    Path directory = Files.createTempDirectory("jpcache-processor-");
    String before = ThisThread.processors();
    try {
      NbdUri uri = NbdUri.unix(directory.resolve("socket").toString(), "");
      assertFalse(moveTo(uri, ThisThread.firstProcessor(), 1_000_000));
      assertEquals(before, ThisThread.processors());
    } finally {
      Files.delete(directory);
    }
  }
}
