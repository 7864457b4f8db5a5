package jpcache.nbd;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/** Gathers what the server says during negotiation. Not for hot paths. */
final class OptionReplies {
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final DataOutputStream out = new DataOutputStream(bytes);

  /** All that was added since the last call. */
  byte[] take() {
    byte[] taken = bytes.toByteArray();
    bytes.reset();
    return taken;
  }

  /**
   * <pre>
   *    0              8            16      18
   *   +--------------+--------------+-------+
   *   |   NBDMAGIC   |   IHAVEOPT   | flags |
   *   +--------------+--------------+-------+
   * </pre>
   */
  void greeting(int flags) {
    add(out -> {
      out.writeLong(NbdProtocol.GREETING_MAGIC);
      out.writeLong(NbdProtocol.OPTION_MAGIC);
      out.writeShort(flags);
    });
  }

  /** The answer to EXPORT_NAME, after which transmission begins. */
  void export(Export export, int transmissionFlags, boolean zeroes) {
    add(out -> {
      out.writeLong(export.device().sizeBytes());
      out.writeShort(transmissionFlags);
      out.write(new byte[zeroes ? NbdProtocol.EXPORT_NAME_ZEROES : 0]);
    });
  }

  void acknowledge(int option) {
    header(option, NbdProtocol.REP_ACK, 0);
  }

  /** An error with a line for people. */
  void error(int option, int type, String message) {
    byte[] utf8 = message.getBytes(StandardCharsets.UTF_8);
    header(option, type, utf8.length);
    add(out -> out.write(utf8));
  }

  /** One export of a list. */
  void server(int option, Export export) {
    byte[] name = export.name().getBytes(StandardCharsets.UTF_8);
    byte[] description = export.description().getBytes(StandardCharsets.UTF_8);
    header(option, NbdProtocol.REP_SERVER, 4 + name.length + description.length);
    add(out -> {
      out.writeInt(name.length);
      out.write(name);
      out.write(description);
    });
  }

  void exportInfo(int option, Export export, int transmissionFlags) {
    header(option, NbdProtocol.REP_INFO, 2 + 8 + 2);
    add(out -> {
      out.writeShort(NbdProtocol.INFO_EXPORT);
      out.writeLong(export.device().sizeBytes());
      out.writeShort(transmissionFlags);
    });
  }

  void blockSizeInfo(int option, Export export) {
    header(option, NbdProtocol.REP_INFO, 2 + 4 + 4 + 4);
    int least = export.device().minimumBlockBytes();
    add(out -> {
      out.writeShort(NbdProtocol.INFO_BLOCK_SIZE);
      out.writeInt(least);
      out.writeInt(Math.max(least, export.device().preferredBlockBytes()));
      out.writeInt(Request.MAX_BYTES);
    });
  }

  /** A metadata context; its number means something to {@code SET_META_CONTEXT} alone. */
  void metaContext(int option, int id, String name) {
    byte[] utf8 = name.getBytes(StandardCharsets.UTF_8);
    header(option, NbdProtocol.REP_META_CONTEXT, 4 + utf8.length);
    add(out -> {
      out.writeInt(id);
      out.write(utf8);
    });
  }

  /** A name or a description. */
  void textInfo(int option, int information, String text) {
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    header(option, NbdProtocol.REP_INFO, 2 + utf8.length);
    add(out -> {
      out.writeShort(information);
      out.write(utf8);
    });
  }

  /**
   * <pre>
   *    0              8        12     16       20
   *   +--------------+--------+------+--------+-----------+
   *   |    magic     | option | type | length | data ...  |
   *   +--------------+--------+------+--------+-----------+
   * </pre>
   */
  private void header(int option, int type, int dataBytes) {
    add(out -> {
      out.writeLong(NbdProtocol.OPTION_REPLY_MAGIC);
      out.writeInt(option);
      out.writeInt(type);
      out.writeInt(dataBytes);
    });
  }

  private interface Part {
    void writeTo(DataOutputStream out) throws IOException;
  }

  private void add(Part part) {
    try {
      part.writeTo(out);
    } catch (IOException e) {
      throw new UncheckedIOException(e); // memory does not fail
    }
  }
}
