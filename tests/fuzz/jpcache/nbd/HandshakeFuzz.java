package jpcache.nbd;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import jpcache.block.MemoryBlockDevice;
import jpcache.fuzz.FuzzTarget;

/**
 * Negotiation. Whatever comes, the answers are whole option replies that answer what was asked, and
 * it does not matter in what pieces the bytes arrive.
 *
 * <p>Inputs are bytes as they come, or a list of options which get their magic and length here:
 *
 * <pre>
 *   0        1        3      3+n
 *   +--------+--------+------+-----
 *   | option | n      | data | ...
 *   +--------+--------+------+-----
 * </pre>
 */
public final class HandshakeFuzz implements FuzzTarget {
  private static final int GREETING_BYTES = 18;
  private static final int MOST_ANSWER_BYTES = 4 << 20;

  private final boolean options;
  private final MemoryBlockDevice device = new MemoryBlockDevice(1 << 20);
  private final Exports exports =
      Exports.of(List.of(Export.of("", device), new Export("\u00fc", "the other", device, true)));

  public HandshakeFuzz(boolean options) {
    this.options = options;
  }

  @Override
  public void accept(byte[] input) {
    byte[] wire = options ? framed(input) : input;
    byte[] whole = negotiate(wire, Integer.MAX_VALUE);
    byte[] pieces = negotiate(wire, 1 + (wire.length == 0 ? 0 : wire[wire.length - 1] & 31));
    if (!Arrays.equals(whole, pieces)) {
      throw new AssertionError("the answers differ when the bytes come in pieces");
    }
    judge(ByteBuffer.wrap(whole));
  }

  private static byte[] framed(byte[] input) {
    ByteArrayOutputStream wire = new ByteArrayOutputStream();
    wire.writeBytes(new byte[] {0, 0, 0, 3});
    ByteBuffer in = ByteBuffer.wrap(input);
    while (in.remaining() >= 3) {
      int option = in.get();
      byte[] data = new byte[Math.min(in.getShort() & 0xFFFF, in.remaining())];
      in.get(data);
      wire.writeBytes(
          ByteBuffer.allocate(16)
              .putLong(NbdProtocol.OPTION_MAGIC)
              .putInt(option)
              .putInt(data.length)
              .array());
      wire.writeBytes(data);
    }
    return wire.toByteArray();
  }

  /** Everything that the server says. */
  private byte[] negotiate(byte[] wire, int pieceBytes) {
    OptionReplies replies = new OptionReplies();
    Handshake handshake = new Handshake(exports, TlsPolicy.ON, () -> false, replies);
    Handshake.Phase phase = Handshake.Phase.CLIENT_FLAGS;
    int end = 0;
    int taken = 0;
    while (end < wire.length && open(phase)) {
      end = Math.min(wire.length, end + Math.min(pieceBytes, wire.length));
      ByteBuffer in = ByteBuffer.wrap(wire, taken, end - taken);
      phase = handshake.accept(in);
      taken = in.position();
      if (phase == Handshake.Phase.STARTING_TLS) {
        phase = handshake.encrypted();
        end = taken;
      }
    }
    if (phase == Handshake.Phase.TRANSMISSION) {
      Session session = handshake.session();
      if (session.contexts() != 0 && !session.format().chunked()) {
        throw new AssertionError("metadata contexts without structured replies");
      }
    }
    return replies.take();
  }

  private static boolean open(Handshake.Phase phase) {
    return phase != Handshake.Phase.TRANSMISSION && phase != Handshake.Phase.CLOSED;
  }

  private static void judge(ByteBuffer said) {
    if (said.remaining() > MOST_ANSWER_BYTES) {
      throw new AssertionError(said.remaining() + " bytes of answers");
    }
    said.position(GREETING_BYTES);
    while (said.remaining() >= 20) {
      if (said.getLong(said.position()) != NbdProtocol.OPTION_REPLY_MAGIC) {
        break; // the answer to EXPORT_NAME
      }
      int length = said.getInt(said.position() + 16);
      if (length < 0 || length > said.remaining() - 20) {
        throw new AssertionError("an option reply of " + length + " bytes");
      }
      said.position(said.position() + 20 + length);
    }
    int left = said.remaining();
    if (left != 0 && left != 10 && left != 134) {
      throw new AssertionError(left + " bytes behind the last reply");
    }
  }

  @Override
  public List<byte[]> seeds() {
    byte[] go = NbdClient.infoRequest("", 1, 2, 3);
    byte[] script =
        concat(
            record(3),
            record(6, NbdClient.infoRequest("\u00fc", 0, 1, 2)),
            record(8),
            record(5),
            record(10, metaContext("base:allocation")),
            record(9, metaContext("base:")),
            record(7, go));
    if (options) {
      return List.of(script, record(1, (byte) 0xC3, (byte) 0xBC), record(2), record(7, go));
    }
    return List.of(framed(script), framed(record(1)), framed(record(2)), new byte[] {0, 0, 0, 1});
  }

  private static byte[] metaContext(String query) {
    return ByteBuffer.allocate(12 + query.length())
        .putInt(0)
        .putInt(1)
        .putInt(query.length())
        .put(query.getBytes(StandardCharsets.UTF_8))
        .array();
  }

  private static byte[] record(int option, byte... data) {
    return ByteBuffer.allocate(3 + data.length)
        .put((byte) option)
        .putShort((short) data.length)
        .put(data)
        .array();
  }

  private static byte[] concat(byte[]... parts) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      out.writeBytes(part);
    }
    return out.toByteArray();
  }

  @Override
  public void close() {
    device.close();
  }
}
