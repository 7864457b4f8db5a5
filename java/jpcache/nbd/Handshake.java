package jpcache.nbd;

import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Objects;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The server's side of fixed newstyle negotiation, as a machine over bytes: it does no input and
 * output of its own, so that it works over any transport and can be fed anything.
 *
 * <pre>
 *   greeting -> client flags -> option* -> transmission
 *                      |           |
 *                      +-----------+-----> closed
 * </pre>
 *
 * An option is looked at only when all its bytes are there. What is malformed is answered with
 * NBD_REP_ERR_INVALID and what is unknown with NBD_REP_ERR_UNSUP, and the client may go on; only
 * what makes further bytes meaningless, or wears the server out, ends the negotiation.
 *
 * <p>One connection's, used by its thread.
 */
final class Handshake {
  /** Where the negotiation is. */
  enum Phase {
    CLIENT_FLAGS,
    OPTIONS,
    /** The client may begin TLS; when it has, {@link Handshake#encrypted} goes on. */
    STARTING_TLS,
    TRANSMISSION,
    CLOSED
  }

  /** Many times what any option needs. */
  static final int MAX_OPTION_BYTES = 64 << 10;

  /** Clients send a handful. */
  static final int MAX_OPTIONS = 64;

  private static final int FLAGS = NbdProtocol.FLAG_FIXED_NEWSTYLE | NbdProtocol.FLAG_NO_ZEROES;

  private final Exports exports;
  private final TlsPolicy tls;
  private final BooleanSupplier stopping;
  private final OptionReplies replies;
  private Phase phase = Phase.CLIENT_FLAGS;
  private int clientFlags;
  private int options;
  private boolean encrypted;
  private @Nullable Export export;

  /**
   * A negotiation that has not begun; the greeting is in {@code replies} at once.
   *
   * @param stopping while this holds, no option but ABORT is granted
   */
  Handshake(Exports exports, TlsPolicy tls, BooleanSupplier stopping, OptionReplies replies) {
    this.exports = exports;
    this.tls = tls;
    this.stopping = stopping;
    this.replies = replies;
    replies.greeting(FLAGS);
  }

  /** What the client chose; only in {@link Phase#TRANSMISSION}. */
  Export export() {
    return Objects.requireNonNull(export);
  }

  /**
   * Takes all whole messages out of {@code in}, which keeps what is incomplete, and leaves answers
   * in the replies. Bytes after the message that begins transmission are not touched.
   */
  Phase accept(ByteBuffer in) {
    boolean progress = true;
    while (progress && (phase == Phase.CLIENT_FLAGS || phase == Phase.OPTIONS)) {
      progress = phase == Phase.CLIENT_FLAGS ? acceptFlags(in) : acceptOption(in);
    }
    return phase;
  }

  /**
   * What comes from now on was encrypted: after {@link Phase#STARTING_TLS}. What was negotiated
   * before is forgotten, since anybody may have said it.
   */
  Phase encrypted() {
    encrypted = true;
    phase = Phase.OPTIONS;
    return phase;
  }

  private boolean acceptFlags(ByteBuffer in) {
    if (in.remaining() < Integer.BYTES) {
      return false;
    }
    clientFlags = in.getInt();
    // The protocol demands that unknown flags end the session.
    phase = (clientFlags & ~FLAGS) == 0 ? Phase.OPTIONS : Phase.CLOSED;
    return true;
  }

  private boolean acceptOption(ByteBuffer in) {
    if (in.remaining() < NbdProtocol.OPTION_HEADER_BYTES) {
      return false;
    }
    int start = in.position();
    long magic = in.getLong(start);
    int option = in.getInt(start + 8);
    int length = in.getInt(start + 12);
    if (magic != NbdProtocol.OPTION_MAGIC
        || Integer.compareUnsigned(length, MAX_OPTION_BYTES) > 0
        || options == MAX_OPTIONS) {
      phase = Phase.CLOSED;
      return true;
    }
    if (in.remaining() < NbdProtocol.OPTION_HEADER_BYTES + length) {
      return false;
    }
    options++;
    ByteBuffer data = in.slice(start + NbdProtocol.OPTION_HEADER_BYTES, length);
    in.position(start + NbdProtocol.OPTION_HEADER_BYTES + length);
    handle(option, data);
    return true;
  }

  private void handle(int option, ByteBuffer data) {
    boolean fixed = (clientFlags & NbdProtocol.FLAG_FIXED_NEWSTYLE) != 0;
    boolean tlsMissing = tls == TlsPolicy.REQUIRED && !encrypted;
    if (option == NbdProtocol.OPT_EXPORT_NAME && !tlsMissing) {
      exportName(data);
    } else if (option == NbdProtocol.OPT_EXPORT_NAME || !fixed) {
      phase = Phase.CLOSED; // nothing else can be said, or such a client cannot read it
    } else if (option == NbdProtocol.OPT_ABORT) {
      replies.acknowledge(option); // whatever its data: the client is leaving
      phase = Phase.CLOSED;
    } else if (stopping.getAsBoolean()) {
      replies.error(option, NbdProtocol.REP_ERR_SHUTDOWN, "the server is stopping");
    } else if (tlsMissing && option != NbdProtocol.OPT_STARTTLS) {
      replies.error(option, NbdProtocol.REP_ERR_TLS_REQD, "this server wants TLS: STARTTLS first");
    } else {
      switch (option) {
        case NbdProtocol.OPT_STARTTLS -> startTls(data);
        case NbdProtocol.OPT_LIST -> list(data);
        case NbdProtocol.OPT_INFO, NbdProtocol.OPT_GO -> info(option, data);
        default ->
            replies.error(
                option,
                NbdProtocol.REP_ERR_UNSUP,
                "option " + Integer.toUnsignedString(option) + " is not supported");
      }
    }
  }

  /** An option that cannot be refused other than by closing. */
  private void exportName(ByteBuffer data) {
    String name = string(data);
    Export found = name == null || stopping.getAsBoolean() ? null : exports.find(name);
    if (found == null) {
      phase = Phase.CLOSED;
      return;
    }
    replies.export(found, (clientFlags & NbdProtocol.FLAG_NO_ZEROES) == 0);
    begin(found);
  }

  private void startTls(ByteBuffer data) {
    if (data.hasRemaining()) {
      invalid(NbdProtocol.OPT_STARTTLS, "STARTTLS takes no data");
    } else if (encrypted) {
      invalid(NbdProtocol.OPT_STARTTLS, "the connection is encrypted already");
    } else if (tls == TlsPolicy.OFF) {
      replies.error(NbdProtocol.OPT_STARTTLS, NbdProtocol.REP_ERR_POLICY, "this server has no TLS");
    } else {
      replies.acknowledge(NbdProtocol.OPT_STARTTLS);
      phase = Phase.STARTING_TLS;
    }
  }

  private void list(ByteBuffer data) {
    if (data.hasRemaining()) {
      invalid(NbdProtocol.OPT_LIST, "LIST takes no data");
      return;
    }
    for (Export e : exports.all()) {
      replies.server(NbdProtocol.OPT_LIST, e);
    }
    replies.acknowledge(NbdProtocol.OPT_LIST);
  }

  /**
   * INFO and GO.
   *
   * <pre>
   *    0        4      4+n     6+n
   *   +--------+------+-------+--------------------------+
   *   | n      | name | count | count informations of 2  |
   *   +--------+------+-------+--------------------------+
   * </pre>
   */
  private void info(int option, ByteBuffer data) {
    boolean wantsName = false;
    boolean wantsDescription = false;
    String name;
    try {
      int nameBytes = data.getInt();
      if (nameBytes < 0 || nameBytes > data.remaining()) {
        throw new BufferUnderflowException();
      }
      name = string(data.slice(data.position(), nameBytes));
      data.position(data.position() + nameBytes);
      int count = data.getShort() & 0xFFFF;
      if (data.remaining() != count * Short.BYTES) {
        throw new BufferUnderflowException();
      }
      while (data.hasRemaining()) {
        int information = data.getShort() & 0xFFFF;
        wantsName |= information == NbdProtocol.INFO_NAME;
        wantsDescription |= information == NbdProtocol.INFO_DESCRIPTION;
      }
    } catch (BufferUnderflowException e) {
      invalid(option, "the option's lengths contradict one another");
      return;
    }
    if (name == null) {
      invalid(option, "the export's name is not at most 4096 bytes of UTF-8 without NUL");
      return;
    }
    Export found = exports.find(name);
    if (found == null) {
      replies.error(option, NbdProtocol.REP_ERR_UNKNOWN, "there is no export of that name");
      return;
    }
    replies.exportInfo(option, found);
    // Told whether asked for or not: requests must keep to these sizes.
    replies.blockSizeInfo(option, found);
    if (wantsName) {
      replies.textInfo(option, NbdProtocol.INFO_NAME, found.name());
    }
    if (wantsDescription && !found.description().isEmpty()) {
      replies.textInfo(option, NbdProtocol.INFO_DESCRIPTION, found.description());
    }
    replies.acknowledge(option);
    if (option == NbdProtocol.OPT_GO) {
      begin(found);
    }
  }

  private void begin(Export chosen) {
    export = chosen;
    phase = Phase.TRANSMISSION;
  }

  private void invalid(int option, String message) {
    replies.error(option, NbdProtocol.REP_ERR_INVALID, message);
  }

  /** The text that the bytes are, or null if they are none that the protocol allows. */
  private static @Nullable String string(ByteBuffer utf8) {
    if (utf8.remaining() > NbdProtocol.MAX_STRING_BYTES) {
      return null;
    }
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(utf8).toString();
      return text.indexOf('\0') < 0 ? text : null;
    } catch (CharacterCodingException e) {
      return null;
    }
  }
}
