package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.HexFormat;
import java.util.concurrent.Callable;
import jpcache.base.Errno;
import jpcache.tls.ClientCertificates;
import jpcache.tls.TlsClient;
import jpcache.tls.TlsEngine;
import jpcache.tls.TlsKeys;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** TLS over a connection that is one of the test's, and what it makes of what comes there. */
class TlsTransportTest {
  private static final String KEY = "00112233445566778899aabbccddeeff";
  private static final long SOON_NANOS = 60_000_000_000L;
  private static final int ROOM = 1 << 20;

  /** Hands out what the test gives it, and what its client says to what is sent. */
  private static final class Below implements Transport {
    final Wakeup wakeup = new Wakeup();
    final TlsClient client = TlsClient.psk("alice", HexFormat.of().parseHex(KEY));
    final ArrayDeque<byte[]> arriving = new ArrayDeque<>();
    Callable<byte[]> endless = () -> new byte[0];
    boolean deaf;
    boolean full;
    boolean outputEnded;
    int receives;

    @Override
    public Wakeup wakeup() {
      return wakeup;
    }

    @Override
    public long receive(long address, int bytes) {
      receives++;
      try {
        byte[] next = arriving.isEmpty() ? endless.call() : arriving.remove();
        NativeMemory.copy(next, 0, address, next.length);
        return next.length > 0 ? next.length : -Errno.EAGAIN;
      } catch (Exception e) {
        throw new AssertionError(e);
      }
    }

    @Override
    public long send(long message) {
      if (full) {
        return -Errno.EAGAIN;
      }
      long part = NativeMemory.hostLong(message + Sockets.MESSAGE_PARTS);
      byte[] bytes = new byte[(int) NativeMemory.hostLong(part + Long.BYTES)];
      NativeMemory.copy(NativeMemory.hostLong(part), bytes, 0, bytes.length);
      if (!deaf) {
        answer(bytes);
      }
      return bytes.length;
    }

    private void answer(byte[] bytes) {
      try {
        client.offer(bytes);
        byte[] answer = client.take();
        if (answer.length > 0) {
          arriving.add(answer);
        }
      } catch (IOException e) {
        throw new AssertionError(e);
      }
    }

    @Override
    public boolean sendsMemoryThatMayFail() {
      return false;
    }

    @Override
    public String peer() {
      return "the test";
    }

    @Override
    public boolean hasUnsent() {
      return false;
    }

    @Override
    public int await(int events, int timeoutMs) {
      return events;
    }

    @Override
    public void endOutput() {
      outputEnded = true;
    }

    @Override
    public void close() {
      wakeup.close();
    }
  }

  @TempDir private Path directory;
  private final Below below = new Below();
  private final long memory = NativeMemory.allocate(ROOM);
  private TlsTransport transport;

  @BeforeEach
  void begin() throws IOException {
    Path psk = Files.writeString(directory.resolve("keys.psk"), "alice:" + KEY + "\n");
    TlsKeys keys = TlsKeys.load(null, psk, ClientCertificates.IGNORED);
    transport = new TlsTransport(below, new TlsEngine(keys));
    below.arriving.add(below.client.take());
  }

  @AfterEach
  void end() {
    transport.close();
    NativeMemory.free(memory, ROOM);
  }

  private void handshake() {
    assertNull(transport.handshake(System.nanoTime() + SOON_NANOS, () -> false));
    assertTrue(below.client.established());
  }

  /** What the client sends from now on whenever it is listened to, though not for ever. */
  private void keepSending(Callable<byte[]> records) {
    below.endless =
        () -> {
          assertTrue(below.receives < 1000, "receive does not return");
          return records.call();
        };
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void recordsThatMeanNothingDoNotProlongTheHandshake(boolean stopping) {
    byte[] changeCipherSpec = {20, 3, 3, 0, 1, 1};
    below.deaf = true;
    keepSending(() -> changeCipherSpec);

    long deadline = System.nanoTime() + (stopping ? SOON_NANOS : 0);
    assertEquals(
        stopping ? "the server stops" : "the handshake took too long",
        transport.handshake(deadline, () -> stopping));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 4096, ROOM})
  void recordsWithoutPlaintextEndAReceiveWithNothing(int room) {
    handshake();
    keepSending(() -> {
      below.client.write(new byte[0]);
      return below.client.take();
    });

    assertEquals(-Errno.EAGAIN, transport.receive(memory, room));
  }

  @Test
  void theConnectionEndsOnlyBehindTheEndOfTheSession() {
    handshake();
    below.full = true;
    transport.endOutput();
    assertEquals(-Errno.EAGAIN, transport.receive(memory, ROOM));
    assertFalse(below.outputEnded);

    below.full = false;
    assertEquals(-Errno.EAGAIN, transport.receive(memory, ROOM));
    assertTrue(below.outputEnded);
    assertFalse(transport.hasUnsent());
  }
}
