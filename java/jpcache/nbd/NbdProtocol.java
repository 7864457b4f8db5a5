package jpcache.nbd;

/**
 * The numbers of the NBD protocol that this server speaks, in the words of the protocol's own text
 * (doc/proto.md of the nbd project). All fields on the wire are big-endian.
 */
final class NbdProtocol {
  /** The TCP port that IANA assigned. */
  static final int PORT = 10809;

  // ---- Negotiation ------------------------------------------------------------------------

  /** ASCII {@code NBDMAGIC}, the first word of the server. */
  static final long GREETING_MAGIC = 0x4e42444d41474943L;

  /** ASCII {@code IHAVEOPT}: the server's second word, and the first of every option. */
  static final long OPTION_MAGIC = 0x49484156454F5054L;

  static final long OPTION_REPLY_MAGIC = 0x3e889045565a9L;

  static final int FLAG_FIXED_NEWSTYLE = 1;
  static final int FLAG_NO_ZEROES = 1 << 1;

  static final int OPT_EXPORT_NAME = 1;
  static final int OPT_ABORT = 2;
  static final int OPT_LIST = 3;
  static final int OPT_STARTTLS = 5;
  static final int OPT_INFO = 6;
  static final int OPT_GO = 7;
  static final int OPT_STRUCTURED_REPLY = 8;
  static final int OPT_LIST_META_CONTEXT = 9;
  static final int OPT_SET_META_CONTEXT = 10;
  static final int OPT_EXTENDED_HEADERS = 11;

  static final int REP_ACK = 1;
  static final int REP_SERVER = 2;
  static final int REP_INFO = 3;
  static final int REP_META_CONTEXT = 4;

  private static final int REP_FLAG_ERROR = 1 << 31;
  static final int REP_ERR_UNSUP = REP_FLAG_ERROR | 1;
  static final int REP_ERR_POLICY = REP_FLAG_ERROR | 2;
  static final int REP_ERR_INVALID = REP_FLAG_ERROR | 3;
  static final int REP_ERR_TLS_REQD = REP_FLAG_ERROR | 5;
  static final int REP_ERR_UNKNOWN = REP_FLAG_ERROR | 6;
  static final int REP_ERR_SHUTDOWN = REP_FLAG_ERROR | 7;
  static final int REP_ERR_TOO_BIG = REP_FLAG_ERROR | 9;
  static final int REP_ERR_EXT_HEADER_REQD = REP_FLAG_ERROR | 10;

  static final int INFO_EXPORT = 0;
  static final int INFO_NAME = 1;
  static final int INFO_DESCRIPTION = 2;
  static final int INFO_BLOCK_SIZE = 3;

  /** Magic, option, length. */
  static final int OPTION_HEADER_BYTES = 8 + 4 + 4;

  /** What follows the answer to {@link #OPT_EXPORT_NAME} unless {@link #FLAG_NO_ZEROES} is on. */
  static final int EXPORT_NAME_ZEROES = 124;

  /** The longest string that the protocol knows: export names, descriptions, messages. */
  static final int MAX_STRING_BYTES = 4096;

  // ---- Transmission -----------------------------------------------------------------------

  static final int TRANSMISSION_HAS_FLAGS = 1;
  static final int TRANSMISSION_READ_ONLY = 1 << 1;
  static final int TRANSMISSION_SEND_FLUSH = 1 << 2;
  static final int TRANSMISSION_SEND_FUA = 1 << 3;
  static final int TRANSMISSION_SEND_TRIM = 1 << 5;
  static final int TRANSMISSION_SEND_WRITE_ZEROES = 1 << 6;
  static final int TRANSMISSION_SEND_DF = 1 << 7;
  static final int TRANSMISSION_CAN_MULTI_CONN = 1 << 8;
  static final int TRANSMISSION_SEND_CACHE = 1 << 10;
  static final int TRANSMISSION_SEND_FAST_ZERO = 1 << 11;
  static final int TRANSMISSION_BLOCK_STAT_PAYLOAD = 1 << 12;

  static final int REQUEST_MAGIC = 0x25609513;
  static final int EXTENDED_REQUEST_MAGIC = 0x21e41c71;
  static final int SIMPLE_REPLY_MAGIC = 0x67446698;
  static final int STRUCTURED_REPLY_MAGIC = 0x668e33ef;
  static final int EXTENDED_REPLY_MAGIC = 0x6e8a278c;

  /** Magic, flags, type, cookie, offset, length. */
  static final int REQUEST_HEADER_BYTES = 4 + 2 + 2 + 8 + 8 + 4;

  /** The same with a length of 64 bits. */
  static final int EXTENDED_REQUEST_HEADER_BYTES = 4 + 2 + 2 + 8 + 8 + 8;

  /** Magic, error, cookie. */
  static final int SIMPLE_REPLY_BYTES = 4 + 4 + 8;

  /** Magic, flags, type, cookie, length. */
  static final int STRUCTURED_HEADER_BYTES = 4 + 2 + 2 + 8 + 4;

  /** Magic, flags, type, cookie, offset of the request, length. */
  static final int EXTENDED_HEADER_BYTES = 4 + 2 + 2 + 8 + 8 + 8;

  static final int CMD_READ = 0;
  static final int CMD_WRITE = 1;
  static final int CMD_DISC = 2;
  static final int CMD_FLUSH = 3;
  static final int CMD_TRIM = 4;
  static final int CMD_CACHE = 5;
  static final int CMD_WRITE_ZEROES = 6;
  static final int CMD_BLOCK_STATUS = 7;

  static final int CMD_FLAG_FUA = 1;
  static final int CMD_FLAG_NO_HOLE = 1 << 1;
  static final int CMD_FLAG_DF = 1 << 2;
  static final int CMD_FLAG_REQ_ONE = 1 << 3;
  static final int CMD_FLAG_FAST_ZERO = 1 << 4;
  static final int CMD_FLAG_PAYLOAD_LEN = 1 << 5;

  static final int REPLY_FLAG_DONE = 1;

  static final int REPLY_TYPE_NONE = 0;
  static final int REPLY_TYPE_OFFSET_DATA = 1;
  static final int REPLY_TYPE_OFFSET_HOLE = 2;
  static final int REPLY_TYPE_BLOCK_STATUS = 5;
  static final int REPLY_TYPE_BLOCK_STATUS_EXT = 6;
  static final int REPLY_TYPE_ERROR = 1 << 15 | 1;

  private NbdProtocol() {}
}
