package jpcache.nbd;

import java.nio.charset.StandardCharsets;
import jpcache.base.UserException;
import jpcache.block.BlockDevice;

/**
 * A block device under the name that clients ask for.
 *
 * @param name at most 4096 bytes of UTF-8 without NUL
 * @param description for people; may be empty
 * @param readOnly writes are refused even if the device would take them
 */
public record Export(String name, String description, BlockDevice device, boolean readOnly) {
  /**
   * Checks what would not fit the wire.
   *
   * @throws UserException if a text is too long or has a NUL
   */
  public Export {
    checkString("name", name);
    checkString("description", description);
  }

  /** An export that is as writable as its device. */
  public static Export of(String name, BlockDevice device) {
    return new Export(name, "", device, device.readOnly());
  }

  /**
   * What a client may do, as the protocol's transmission flags.
   *
   * @param contexts the metadata contexts that were negotiated for this export
   */
  int transmissionFlags(ReplyFormat format, int contexts) {
    // A flush on any connection covers the completed writes of all, hence CAN_MULTI_CONN.
    int flags =
        NbdProtocol.TRANSMISSION_HAS_FLAGS
            | NbdProtocol.TRANSMISSION_SEND_FLUSH
            | NbdProtocol.TRANSMISSION_SEND_FUA
            | NbdProtocol.TRANSMISSION_CAN_MULTI_CONN
            | NbdProtocol.TRANSMISSION_SEND_CACHE;
    flags |=
        refusesWrites()
            ? NbdProtocol.TRANSMISSION_READ_ONLY
            : NbdProtocol.TRANSMISSION_SEND_TRIM
                | NbdProtocol.TRANSMISSION_SEND_WRITE_ZEROES
                | NbdProtocol.TRANSMISSION_SEND_FAST_ZERO;
    if (format.chunked()) {
      flags |= NbdProtocol.TRANSMISSION_SEND_DF;
    }
    if (format == ReplyFormat.EXTENDED && contexts != 0) {
      flags |= NbdProtocol.TRANSMISSION_BLOCK_STAT_PAYLOAD;
    }
    return flags;
  }

  boolean refusesWrites() {
    return readOnly || device.readOnly();
  }

  private static void checkString(String what, String text) {
    if (text.getBytes(StandardCharsets.UTF_8).length > NbdProtocol.MAX_STRING_BYTES
        || text.indexOf('\0') >= 0) {
      throw new UserException(
          "export "
              + what
              + " "
              + text.substring(0, Math.min(40, text.length())).replace('\0', '?')
              + ": must be at most 4096 bytes without NUL");
    }
  }
}
