package jpcache.nbd;

import jpcache.base.Errno;
import jpcache.block.BlockDevice;
import org.jspecify.annotations.Nullable;

/**
 * The header of a request, taken apart.
 *
 * <pre>
 *    0       4       6      8          16         24       28 (compact) or 32 (extended)
 *   +-------+-------+------+----------+----------+--------+---------+
 *   | magic | flags | type |  cookie  |  offset  | length | payload |
 *   +-------+-------+------+----------+----------+--------+---------+
 * </pre>
 *
 * Offset and length are unsigned. A compact WRITE has a payload of its length. With extended
 * headers what has the flag PAYLOAD_LEN has one, which is a WRITE's data, or tells a BLOCK_STATUS
 * the length to describe and the contexts to do so in:
 *
 * <pre>
 *    0                8    12
 *   +----------------+----+----+----
 *   |     length     | id | id | ...
 *   +----------------+----+----+----
 * </pre>
 *
 * One instance serves one connection, over and over.
 */
final class Request {
  /** The most that one request reads or writes; told to clients as the largest block. */
  static final int MAX_BYTES = BlockDevice.MAX_TRANSFER_BYTES;

  private static final int FILTER_LENGTH_BYTES = 8;
  private static final int FILTER_ID_BYTES = 4;

  private final Session session;
  private final BlockDevice device;
  private final boolean extended;
  private int flags;
  private int type;
  private long cookie;
  private long offset;
  private long length;
  private int contexts;

  Request(Session session) {
    this.session = session;
    this.device = session.export().device();
    this.extended = session.format() == ReplyFormat.EXTENDED;
  }

  /**
   * Reads the header at an address.
   *
   * @return false if it does not begin with the magic: then nothing that follows can be understood
   */
  boolean decode(long address) {
    flags = NativeMemory.netShort(address + 4) & 0xFFFF;
    type = NativeMemory.netShort(address + 6) & 0xFFFF;
    cookie = NativeMemory.netLong(address + 8);
    offset = NativeMemory.netLong(address + 16);
    contexts = session.contexts();
    int magic = NativeMemory.netInt(address);
    if (extended) {
      length = NativeMemory.netLong(address + 24);
      return magic == NbdProtocol.EXTENDED_REQUEST_MAGIC;
    }
    length = Integer.toUnsignedLong(NativeMemory.netInt(address + 24));
    return magic == NbdProtocol.REQUEST_MAGIC;
  }

  int type() {
    return type;
  }

  long cookie() {
    return cookie;
  }

  long offset() {
    return offset;
  }

  /**
   * Only what {@link #verdict} finds good is sure to be positive, and an int for READ and WRITE.
   */
  long length() {
    return length;
  }

  boolean has(int flag) {
    return (flags & flag) != 0;
  }

  /** Of a BLOCK_STATUS, the contexts to answer for. */
  int contexts() {
    return contexts;
  }

  /** What follows the header on the wire, whether the request is good or not; unsigned. */
  long payloadBytes() {
    boolean has = extended ? has(NbdProtocol.CMD_FLAG_PAYLOAD_LEN) : type == NbdProtocol.CMD_WRITE;
    return has ? length : 0;
  }

  /** Null, or why it is refused. The payload need not be there. */
  @Nullable Refusal verdict() {
    return switch (type) {
      case NbdProtocol.CMD_READ -> read();
      case NbdProtocol.CMD_WRITE -> write();
      case NbdProtocol.CMD_FLUSH ->
          only(0) ? (offset | length) == 0 ? null : Refusal.FLUSH_OF_RANGE : wrongFlag();
      case NbdProtocol.CMD_TRIM -> zeroing(0, Refusal.PAST_END);
      case NbdProtocol.CMD_CACHE -> only(0) ? range(Refusal.PAST_END) : wrongFlag();
      case NbdProtocol.CMD_WRITE_ZEROES ->
          zeroing(NbdProtocol.CMD_FLAG_NO_HOLE | NbdProtocol.CMD_FLAG_FAST_ZERO, Refusal.NO_SPACE);
      case NbdProtocol.CMD_BLOCK_STATUS -> blockStatus();
      default -> Refusal.UNKNOWN_COMMAND;
    };
  }

  private @Nullable Refusal read() {
    if (!only(session.format().chunked() ? NbdProtocol.CMD_FLAG_DF : 0)) {
      return wrongFlag();
    }
    if (length > MAX_BYTES || length < 0) {
      return Refusal.TOO_LONG;
    }
    if (session.blocksTold() || length == 0 || !misaligned()) {
      return range(Refusal.PAST_END);
    }
    return !inside() ? Refusal.PAST_END : wholeBytes() > MAX_BYTES ? Refusal.TOO_LONG : null;
  }

  /** Of a read, the bytes before it in its first block. */
  int leadBytes() {
    return (int) offset & (device.minimumBlockBytes() - 1);
  }

  /** Of a read, the bytes of all blocks that it touches. */
  int wholeBytes() {
    int block = device.minimumBlockBytes();
    return (leadBytes() + (int) length + block - 1) & -block;
  }

  private @Nullable Refusal write() {
    if (extended && !has(NbdProtocol.CMD_FLAG_PAYLOAD_LEN)) {
      return Refusal.PAYLOAD_MISSING;
    }
    if (!only(extended ? NbdProtocol.CMD_FLAG_PAYLOAD_LEN : 0)) {
      return wrongFlag();
    }
    if (session.export().refusesWrites()) {
      return Refusal.READ_ONLY;
    }
    return length > MAX_BYTES || length < 0 ? Refusal.TOO_LONG : range(Refusal.NO_SPACE);
  }

  private @Nullable Refusal zeroing(int allowedFlags, Refusal pastEnd) {
    if (!only(allowedFlags)) {
      return wrongFlag();
    }
    return session.export().refusesWrites() ? Refusal.READ_ONLY : range(pastEnd);
  }

  /** A BLOCK_STATUS with a payload is judged again when that has been read. */
  private @Nullable Refusal blockStatus() {
    int payload = extended ? NbdProtocol.CMD_FLAG_PAYLOAD_LEN : 0;
    if (!only(NbdProtocol.CMD_FLAG_REQ_ONE | payload)) {
      return wrongFlag();
    }
    if (session.contexts() == 0) {
      return Refusal.NO_CONTEXT;
    }
    if (!has(NbdProtocol.CMD_FLAG_PAYLOAD_LEN)) {
      return range(Refusal.PAST_END);
    }
    long ids = (length - FILTER_LENGTH_BYTES) / FILTER_ID_BYTES;
    boolean whole = length == FILTER_LENGTH_BYTES + ids * FILTER_ID_BYTES;
    return whole && ids >= 0 && ids <= MetaContext.COUNT ? null : Refusal.BAD_FILTER;
  }

  /**
   * Takes length and contexts from the payload of a BLOCK_STATUS that {@link #verdict} found good.
   *
   * @return null, or why it is refused all the same
   */
  @Nullable Refusal filter(long payloadAddress) {
    int ids = (int) ((length - FILTER_LENGTH_BYTES) / FILTER_ID_BYTES);
    length = NativeMemory.netLong(payloadAddress);
    contexts = 0;
    for (int i = 0; i < ids; i++) {
      int id =
          NativeMemory.netInt(payloadAddress + FILTER_LENGTH_BYTES + (long) i * FILTER_ID_BYTES);
      int bit = id >= 1 && id <= MetaContext.COUNT ? 1 << (id - 1) : 0;
      if ((bit & session.contexts() & ~contexts) == 0) {
        return Refusal.BAD_FILTER; // unknown, not negotiated, or named twice
      }
      contexts |= bit;
    }
    return range(Refusal.PAST_END);
  }

  /** Whether no flags but these and FUA, which goes with every command, are set. */
  private boolean only(int allowedFlags) {
    return (flags & ~(allowedFlags | NbdProtocol.CMD_FLAG_FUA)) == 0;
  }

  private Refusal wrongFlag() {
    return extended && has(NbdProtocol.CMD_FLAG_PAYLOAD_LEN)
        ? Refusal.PAYLOAD_UNEXPECTED
        : Refusal.UNKNOWN_FLAG;
  }

  private @Nullable Refusal range(Refusal pastEnd) {
    if (length == 0) {
      return Refusal.EMPTY;
    }
    if (misaligned()) {
      return Refusal.MISALIGNED;
    }
    return inside() ? null : pastEnd;
  }

  private boolean misaligned() {
    return ((offset | length) & (device.minimumBlockBytes() - 1)) != 0;
  }

  private boolean inside() {
    return offset >= 0 && length > 0 && offset <= device.sizeBytes() - length;
  }

  /** The protocol's number for a device's error; what it has no number for is EIO to a client. */
  static int errorOnWire(int errno, boolean fastZero) {
    return switch (errno) {
      case 0, Errno.EPERM, Errno.EIO, Errno.ENOMEM, Errno.EINVAL, Errno.ENOSPC, Errno.ESHUTDOWN ->
          errno;
      case Errno.EROFS -> Errno.EPERM;
      case Errno.EDQUOT, Errno.EFBIG -> Errno.ENOSPC;
      case Errno.EOPNOTSUPP -> fastZero ? errno : Errno.EIO; // means something to FAST_ZERO alone
      default -> Errno.EIO;
    };
  }
}
