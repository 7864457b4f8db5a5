package jpcache.tls;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whatever a client sends: the session fails in words or waits for more, and never throws. */
class HostileTlsClientTest {
  private static final int HANDSHAKE = 22;

  /** A change_cipher_spec for the sake of old middleboxes comes first, and means nothing. */
  private static final int DUMMY_BYTES = 6;

  @TempDir private Path directory;
  private final TestAuthority authority = new TestAuthority("authority");
  private TlsKeys keys;

  @BeforeEach
  void loadKeys() throws IOException {
    keys = authority.serverKeys(directory, ClientCertificates.REQUIRED);
  }

  @Test
  void randomBytesNeverEstablishASession() {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    for (int round = 0; round < 2000; round++) {
      TlsEngine server = new TlsEngine(keys);
      byte[] bytes = new byte[1 + random.nextInt(600)];
      random.nextBytes(bytes);
      if (random.nextBoolean()) {
        // A record's header, so that what follows gets further in.
        bytes = record(bytes);
      }
      server.offer(bytes, bytes.length);
      assertFalse(server.established(), "seed " + seed);
      assertEquals(server.ended(), !server.failure().isEmpty(), "seed " + seed);
      assertTrue(server.pending() < 200, "seed " + seed);
    }
  }

  private static byte[] record(byte[] bytes) {
    byte[] record = new byte[5 + bytes.length];
    record[0] = HANDSHAKE;
    record[1] = 3;
    record[2] = 3;
    record[3] = (byte) (bytes.length >> 8);
    record[4] = (byte) bytes.length;
    System.arraycopy(bytes, 0, record, 5, bytes.length);
    return record;
  }

  @Test
  void aClientsFirstMessageWithAnyByteChangedDoesNotBreakTheServer() throws IOException {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    for (TlsClient client : clients()) {
      byte[] hello = client.take();
      for (int at = 0; at < hello.length; at++) {
        byte[] changed = hello.clone();
        changed[at] ^= (byte) (1 + random.nextInt(255));
        TlsEngine server = new TlsEngine(keys);
        server.offer(changed, changed.length);
        assertFalse(server.established(), "byte " + at + ", seed " + seed);
        assertEquals(server.ended(), !server.failure().isEmpty(), "byte " + at + ", seed " + seed);
      }
    }
  }

  @Test
  void aHandshakeCutAnywhereJustWaits() throws IOException {
    for (TlsClient client : clients()) {
      byte[] hello = client.take();
      for (int length = 0; length < hello.length; length++) {
        TlsEngine server = new TlsEngine(keys);
        server.offer(hello, length);
        assertFalse(server.ended(), "cut at " + length);
        assertEquals(0, server.pending(), "cut at " + length);
      }
    }
  }

  @Test
  void theSecondFlightWithAnyByteChangedIsRefused() throws IOException {
    int length = DUMMY_BYTES + 1;
    for (int at = DUMMY_BYTES; at < length; at++) {
      TlsClient client = TlsClient.alice();
      TlsTalk talk = new TlsTalk(keys, client);
      byte[] hello = client.take();
      talk.server.offer(hello, hello.length);
      client.offer(talk.fromServer());
      byte[] finished = client.take();
      length = finished.length;
      finished[at] ^= 1;
      talk.server.offer(finished, finished.length);
      assertFalse(talk.server.established(), "byte " + at + " of " + length);
    }
  }

  @Test
  void aChangedRecordEndsTheSessionAndGivesNoPlaintext() throws IOException {
    TlsTalk talk = new TlsTalk(keys, TlsClient.alice());
    talk.handshake();
    talk.client.write(new byte[1000]);
    byte[] record = talk.client.take();
    record[record.length / 2] ^= 1;

    talk.server.offer(record, record.length);

    assertTrue(talk.server.ended());
    assertEquals(0, talk.server.available());
    assertTrue(talk.server.failure().startsWith("bad_record_mac"), talk.server.failure());
  }

  @Test
  void plaintextInsteadOfTheHandshakeIsRefused() {
    byte[] option = "IHAVEOPT\0\0\0\u0006\0\0\0\0".getBytes(ISO_8859_1);
    TlsEngine server = new TlsEngine(keys);

    server.offer(option, option.length);

    assertTrue(server.ended());
    assertFalse(server.failure().isEmpty());
  }

  @Test
  void aHandshakeMessageWithoutEndIsRefusedBeforeItTakesMemory() throws IOException {
    ByteArrayOutputStream hello = new ByteArrayOutputStream();
    hello.write(1); // ClientHello of 16 MiB less one
    hello.write(new byte[] {(byte) 0xff, (byte) 0xff, (byte) 0xff});
    hello.write(new byte[1000]);
    byte[] record = record(hello.toByteArray());
    TlsEngine server = new TlsEngine(keys);

    server.offer(record, record.length);

    assertTrue(server.ended());
  }

  private Iterable<TlsClient> clients() {
    return Arrays.asList(
        TlsClient.alice(), TlsClient.x509(authority.certificate(), authority.issue("host")));
  }
}
