package jpcache.nbd;

import jpcache.base.Errno;
import jpcache.block.BlockDevice;

/**
 * The header of a request, taken apart.
 *
 * <pre>
 *    0       4       6      8          16         24       28
 *   +-------+-------+------+----------+----------+--------+---------------------+
 *   | magic | flags | type |  cookie  |  offset  | length | payload, of a write |
 *   +-------+-------+------+----------+----------+--------+---------------------+
 * </pre>
 *
 * Offset and length are unsigned. One instance serves one connection, over and over.
 */
final class Request {
  /** The most that one request reads or writes; told to clients as the largest block. */
  static final int MAX_BYTES = BlockDevice.MAX_TRANSFER_BYTES;

  private int flags;
  private int type;
  private long cookie;
  private long offset;
  private int length;

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
    length = NativeMemory.netInt(address + 24);
    return NativeMemory.netInt(address) == NbdProtocol.REQUEST_MAGIC;
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

  /** Only what {@link #verdict} finds good fits an int. */
  int length() {
    return length;
  }

  boolean fua() {
    return (flags & NbdProtocol.CMD_FLAG_FUA) != 0;
  }

  /** What follows the header on the wire, whether the request is good or not. */
  long payloadBytes() {
    return type == NbdProtocol.CMD_WRITE ? Integer.toUnsignedLong(length) : 0;
  }

  /** 0, or the error to answer with in place of doing it. */
  int verdict(Export export) {
    if ((flags & ~NbdProtocol.CMD_FLAG_FUA) != 0) {
      return Errno.EINVAL; // FUA is allowed with every command, as the protocol demands
    }
    return switch (type) {
      case NbdProtocol.CMD_READ -> range(export.device(), Errno.EINVAL);
      case NbdProtocol.CMD_WRITE ->
          export.refusesWrites() ? Errno.EPERM : range(export.device(), Errno.ENOSPC);
      case NbdProtocol.CMD_FLUSH -> offset == 0 && length == 0 ? 0 : Errno.EINVAL;
      default -> Errno.EINVAL;
    };
  }

  private int range(BlockDevice device, int pastTheEnd) {
    int misaligned = device.minimumBlockBytes() - 1;
    if (length <= 0 || length > MAX_BYTES || ((offset | length) & misaligned) != 0) {
      return Errno.EINVAL;
    }
    boolean inside = offset >= 0 && offset <= device.sizeBytes() - length;
    return inside ? 0 : pastTheEnd;
  }

  /** The error numbers that the protocol knows; all others are EIO to a client. */
  static int errorOnWire(int errno) {
    return switch (errno) {
      case 0,
          Errno.EPERM,
          Errno.EIO,
          Errno.ENOMEM,
          Errno.EINVAL,
          Errno.ENOSPC,
          Errno.EOVERFLOW,
          Errno.EOPNOTSUPP,
          Errno.ESHUTDOWN ->
          errno;
      case Errno.EROFS -> Errno.EPERM;
      default -> Errno.EIO;
    };
  }
}
