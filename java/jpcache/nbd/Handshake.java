package jpcache.nbd;

import java.nio.ByteBuffer;
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

  /** Many times what any option needs; a larger one is answered TOO_BIG and thrown away. */
  static final int MAX_OPTION_BYTES = 64 << 10;

  /** One that claims to be even larger is not worth reading to its end. */
  static final int MAX_SKIPPED_BYTES = 1 << 20;

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
  private int skipBytes;
  private boolean encrypted;
  private boolean missedTls;
  private ReplyFormat format = ReplyFormat.SIMPLE;

  /** The metadata contexts that were chosen, and for which export. */
  private int contexts;

  private @Nullable Export contextsOf;
  private @Nullable Export export;
  private boolean blocksTold = true;

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

  /** Whether the client wanted something that it may have with TLS alone. */
  boolean missedTls() {
    return missedTls && !encrypted;
  }

  /** What was agreed upon; only in {@link Phase#TRANSMISSION}. */
  Session session() {
    Export chosen = Objects.requireNonNull(export);
    return new Session(chosen, format, contextsFor(chosen), blocksTold);
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
    format = ReplyFormat.SIMPLE;
    contexts = 0;
    contextsOf = null;
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
    int skipped = Math.min(skipBytes, in.remaining());
    in.position(in.position() + skipped);
    skipBytes -= skipped;
    if (in.remaining() < NbdProtocol.OPTION_HEADER_BYTES) {
      return false;
    }
    int start = in.position();
    long magic = in.getLong(start);
    int option = in.getInt(start + 8);
    int length = in.getInt(start + 12);
    if (magic != NbdProtocol.OPTION_MAGIC
        || Integer.compareUnsigned(length, MAX_SKIPPED_BYTES) > 0
        || options == MAX_OPTIONS) {
      phase = Phase.CLOSED;
      return true;
    }
    if (length > MAX_OPTION_BYTES) {
      in.position(start + NbdProtocol.OPTION_HEADER_BYTES);
      skipBytes = length;
      options++;
      tooBig(option);
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

  private void tooBig(int option) {
    if (option == NbdProtocol.OPT_EXPORT_NAME || !fixedNewstyle()) {
      phase = Phase.CLOSED; // nothing can be said
      return;
    }
    if (option == NbdProtocol.OPT_SET_META_CONTEXT) {
      contexts = 0;
    }
    replies.error(option, NbdProtocol.REP_ERR_TOO_BIG, "the option is too large");
  }

  private boolean fixedNewstyle() {
    return (clientFlags & NbdProtocol.FLAG_FIXED_NEWSTYLE) != 0;
  }

  private void handle(int option, ByteBuffer bytes) {
    OptionData data = new OptionData(bytes);
    boolean tlsMissing =
        tls == TlsPolicy.REQUIRED
            && !encrypted
            && option != NbdProtocol.OPT_STARTTLS
            && option != NbdProtocol.OPT_ABORT;
    missedTls |= tlsMissing;
    if (option == NbdProtocol.OPT_EXPORT_NAME && !tlsMissing) {
      exportName(data);
    } else if (option == NbdProtocol.OPT_EXPORT_NAME || !fixedNewstyle()) {
      phase = Phase.CLOSED; // nothing else can be said, or such a client cannot read it
    } else if (option == NbdProtocol.OPT_ABORT) {
      replies.acknowledge(option); // whatever its data: the client is leaving
      phase = Phase.CLOSED;
    } else if (stopping.getAsBoolean()) {
      replies.error(option, NbdProtocol.REP_ERR_SHUTDOWN, "the server is stopping");
    } else if (tlsMissing) {
      replies.error(option, NbdProtocol.REP_ERR_TLS_REQD, "this server wants TLS: STARTTLS first");
    } else {
      try {
        haggle(option, data);
      } catch (OptionData.Malformed e) {
        replies.error(option, NbdProtocol.REP_ERR_INVALID, Objects.requireNonNull(e.getMessage()));
      }
    }
  }

  private void haggle(int option, OptionData data) throws OptionData.Malformed {
    switch (option) {
      case NbdProtocol.OPT_STARTTLS -> startTls(data);
      case NbdProtocol.OPT_LIST -> list(data);
      case NbdProtocol.OPT_INFO, NbdProtocol.OPT_GO -> info(option, data);
      case NbdProtocol.OPT_STRUCTURED_REPLY -> structuredReplies(data);
      case NbdProtocol.OPT_EXTENDED_HEADERS -> extendedHeaders(data);
      case NbdProtocol.OPT_LIST_META_CONTEXT -> listContexts(data);
      case NbdProtocol.OPT_SET_META_CONTEXT -> setContexts(data);
      default ->
          replies.error(
              option,
              NbdProtocol.REP_ERR_UNSUP,
              "option " + Integer.toUnsignedString(option) + " is not supported");
    }
  }

  /** An option that cannot be refused other than by closing. */
  private void exportName(OptionData data) {
    Export found = null;
    // Extended headers forbid this option.
    if (!stopping.getAsBoolean() && format != ReplyFormat.EXTENDED) {
      try {
        found = exports.find(data.rest());
      } catch (OptionData.Malformed e) {
        // as if it were not there
      }
    }
    if (found == null) {
      phase = Phase.CLOSED;
      return;
    }
    boolean zeroes = (clientFlags & NbdProtocol.FLAG_NO_ZEROES) == 0;
    replies.export(found, transmissionFlags(found), zeroes);
    blocksTold = false;
    begin(found);
  }

  private void startTls(OptionData data) throws OptionData.Malformed {
    data.end();
    if (encrypted) {
      throw new OptionData.Malformed("the connection is encrypted already");
    }
    if (tls == TlsPolicy.OFF) {
      replies.error(NbdProtocol.OPT_STARTTLS, NbdProtocol.REP_ERR_POLICY, "this server has no TLS");
    } else {
      replies.acknowledge(NbdProtocol.OPT_STARTTLS);
      phase = Phase.STARTING_TLS;
    }
  }

  private void list(OptionData data) throws OptionData.Malformed {
    data.end();
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
  private void info(int option, OptionData data) throws OptionData.Malformed {
    boolean wantsName = false;
    boolean wantsDescription = false;
    String name = data.text();
    for (int count = data.u16(); count > 0; count--) {
      int information = data.u16();
      wantsName |= information == NbdProtocol.INFO_NAME;
      wantsDescription |= information == NbdProtocol.INFO_DESCRIPTION;
    }
    data.end();
    Export found = exports.find(name);
    if (found == null) {
      unknownExport(option);
      return;
    }
    replies.exportInfo(option, found, transmissionFlags(found));
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

  private void unknownExport(int option) {
    replies.error(option, NbdProtocol.REP_ERR_UNKNOWN, "there is no export of that name");
  }

  // ---- Replies and contexts ----------------------------------------------------------------

  private void structuredReplies(OptionData data) throws OptionData.Malformed {
    data.end();
    if (format == ReplyFormat.EXTENDED) {
      replies.error(
          NbdProtocol.OPT_STRUCTURED_REPLY,
          NbdProtocol.REP_ERR_EXT_HEADER_REQD,
          "extended headers were negotiated already");
      return;
    }
    if (format == ReplyFormat.STRUCTURED) {
      throw new OptionData.Malformed("structured replies were negotiated already");
    }
    format = ReplyFormat.STRUCTURED;
    replies.acknowledge(NbdProtocol.OPT_STRUCTURED_REPLY);
  }

  private void extendedHeaders(OptionData data) throws OptionData.Malformed {
    data.end();
    if (format == ReplyFormat.EXTENDED) {
      throw new OptionData.Malformed("extended headers were negotiated already");
    }
    format = ReplyFormat.EXTENDED;
    replies.acknowledge(NbdProtocol.OPT_EXTENDED_HEADERS);
  }

  /**
   * LIST_META_CONTEXT and SET_META_CONTEXT.
   *
   * <pre>
   *    0        4      4+n     8+n
   *   +--------+------+-------+---------------------------+
   *   | n      | name | count | count queries with length |
   *   +--------+------+-------+---------------------------+
   * </pre>
   */
  private void listContexts(OptionData data) throws OptionData.Malformed {
    int option = NbdProtocol.OPT_LIST_META_CONTEXT;
    Export found = exports.find(data.text());
    int queries = data.count(Integer.BYTES);
    int matching = queries == 0 ? -1 : matching(data, queries, true);
    data.end();
    if (found == null) {
      unknownExport(option);
      return;
    }
    for (MetaContext context : MetaContext.values()) {
      if ((matching & context.bit()) != 0) {
        replies.metaContext(option, 0, context.text());
      }
    }
    replies.acknowledge(option);
  }

  private void setContexts(OptionData data) throws OptionData.Malformed {
    int option = NbdProtocol.OPT_SET_META_CONTEXT;
    contexts = 0; // also when this fails
    if (!format.chunked()) {
      throw new OptionData.Malformed("metadata contexts need structured replies first");
    }
    Export found = exports.find(data.text());
    int matching = matching(data, data.count(Integer.BYTES), false);
    data.end();
    if (found == null) {
      unknownExport(option);
      return;
    }
    contexts = matching;
    contextsOf = found;
    for (MetaContext context : MetaContext.values()) {
      if ((contexts & context.bit()) != 0) {
        replies.metaContext(option, context.id(), context.text());
      }
    }
    replies.acknowledge(option);
  }

  private static int matching(OptionData data, int queries, boolean wildcards)
      throws OptionData.Malformed {
    int matching = 0;
    for (int i = 0; i < queries; i++) {
      String query = data.text();
      if (query.indexOf(':') < 0) {
        throw new OptionData.Malformed("a metadata context's name has a namespace and a colon");
      }
      for (MetaContext context : MetaContext.values()) {
        matching |= context.matches(query, wildcards) ? context.bit() : 0;
      }
    }
    return matching;
  }

  private int contextsFor(Export chosen) {
    return chosen.equals(contextsOf) ? contexts : 0;
  }

  private int transmissionFlags(Export chosen) {
    return chosen.transmissionFlags(format, contextsFor(chosen));
  }

  private void begin(Export chosen) {
    export = chosen;
    phase = Phase.TRANSMISSION;
  }
}
