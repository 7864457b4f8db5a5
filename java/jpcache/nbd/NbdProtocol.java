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

  static final int REP_ACK = 1;
  static final int REP_SERVER = 2;
  static final int REP_INFO = 3;

  private static final int REP_FLAG_ERROR = 1 << 31;
  static final int REP_ERR_UNSUP = REP_FLAG_ERROR | 1;
  static final int REP_ERR_POLICY = REP_FLAG_ERROR | 2;
  static final int REP_ERR_INVALID = REP_FLAG_ERROR | 3;
  static final int REP_ERR_TLS_REQD = REP_FLAG_ERROR | 5;
  static final int REP_ERR_UNKNOWN = REP_FLAG_ERROR | 6;
  static final int REP_ERR_SHUTDOWN = REP_FLAG_ERROR | 7;

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
  static final int TRANSMISSION_CAN_MULTI_CONN = 1 << 8;

  static final int REQUEST_MAGIC = 0x25609513;
  static final int SIMPLE_REPLY_MAGIC = 0x67446698;

  /** Magic, flags, type, cookie, offset, length. */
  static final int REQUEST_HEADER_BYTES = 4 + 2 + 2 + 8 + 8 + 4;

  /** Magic, error, cookie. */
  static final int SIMPLE_REPLY_BYTES = 4 + 4 + 8;

  static final int CMD_READ = 0;
  static final int CMD_WRITE = 1;
  static final int CMD_DISC = 2;
  static final int CMD_FLUSH = 3;

  static final int CMD_FLAG_FUA = 1;

  private NbdProtocol() {}
}
