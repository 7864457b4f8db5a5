package jpcache.nbd;

/**
 * How replies look on the wire, as the client chose during negotiation, and with them the headers
 * of requests.
 *
 * <pre>
 *   simple       0       4        8        16
 *               +-------+--------+--------+------
 *               | magic | error  | cookie | data
 *               +-------+--------+--------+------
 *   structured   0       4       6      8        16       20
 *               +-------+-------+------+--------+--------+---------
 *               | magic | flags | type | cookie | length | payload
 *               +-------+-------+------+--------+--------+---------
 *   extended     0       4       6      8        16       24       32
 *               +-------+-------+------+--------+--------+--------+---------
 *               | magic | flags | type | cookie | offset | length | payload
 *               +-------+-------+------+--------+--------+--------+---------
 * </pre>
 *
 * A structured or extended reply is one or more such chunks. What has no payload may be answered
 * simply among structured replies, and is: it is shorter.
 */
enum ReplyFormat {
  SIMPLE(NbdProtocol.SIMPLE_REPLY_BYTES, NbdProtocol.SIMPLE_REPLY_BYTES),
  STRUCTURED(NbdProtocol.STRUCTURED_HEADER_BYTES, NbdProtocol.SIMPLE_REPLY_BYTES),
  EXTENDED(
      NbdProtocol.EXTENDED_HEADER_BYTES,
      NbdProtocol.EXTENDED_HEADER_BYTES + ReplyFormat.ERROR_BYTES);

  /** Of an error chunk's payload: error number and length of the text that follows. */
  private static final int ERROR_BYTES = 4 + 2;

  /** Of a chunk with data, or a hole: where in the export that begins. */
  private static final int OFFSET_BYTES = 8;

  private static final int HOLE_BYTES = OFFSET_BYTES + 4;

  private final int headerBytes;

  /** What an answer without payload, be it success or an error, takes in memory. */
  final int plainBytes;

  ReplyFormat(int headerBytes, int plainBytes) {
    this.headerBytes = headerBytes;
    this.plainBytes = plainBytes;
  }

  int requestHeaderBytes() {
    return this == EXTENDED
        ? NbdProtocol.EXTENDED_REQUEST_HEADER_BYTES
        : NbdProtocol.REQUEST_HEADER_BYTES;
  }

  /** Whether replies consist of chunks. */
  boolean chunked() {
    return this != SIMPLE;
  }

  /** What comes before the data of a read, or of one of its chunks. */
  int dataHeaderBytes() {
    return chunked() ? headerBytes + OFFSET_BYTES : headerBytes;
  }

  /** The most that {@link #end}, or an error without a text, takes. */
  int endBytes() {
    return headerBytes + ERROR_BYTES;
  }

  /** A hole among the chunks of a read. */
  int holeChunkBytes() {
    return headerBytes + HOLE_BYTES;
  }

  /** A chunk with so much payload. */
  int chunkBytes(int payloadBytes) {
    return headerBytes + payloadBytes;
  }

  /** An error with a text. */
  int errorBytes(byte[] text) {
    return chunked() ? headerBytes + ERROR_BYTES + text.length : plainBytes;
  }

  /** Success without a payload; returns the bytes to send. */
  int success(long address, long cookie, long requestOffset) {
    return this == EXTENDED ? end(address, cookie, requestOffset) : simple(address, 0, cookie);
  }

  /** A chunk that says no more than that all others were right; returns the bytes to send. */
  int end(long address, long cookie, long requestOffset) {
    int done = NbdProtocol.REPLY_FLAG_DONE;
    return chunk(address, NbdProtocol.REPLY_TYPE_NONE, done, cookie, requestOffset, 0);
  }

  /**
   * The header before the data that a read found; returns its length.
   *
   * @param last whether the reply ends with this chunk
   * @param from where in the export the data was read
   */
  int data(long address, boolean last, long cookie, long requestOffset, long from, int dataBytes) {
    if (!chunked()) {
      return simple(address, 0, cookie);
    }
    int type = NbdProtocol.REPLY_TYPE_OFFSET_DATA;
    int flags = last ? NbdProtocol.REPLY_FLAG_DONE : 0;
    int header = chunk(address, type, flags, cookie, requestOffset, OFFSET_BYTES + dataBytes);
    NativeMemory.netLong(address + header, from);
    return header + OFFSET_BYTES;
  }

  /** A part of a read that is zeros; returns its length. */
  int hole(long address, boolean last, long cookie, long requestOffset, long from, int holeBytes) {
    int type = NbdProtocol.REPLY_TYPE_OFFSET_HOLE;
    int flags = last ? NbdProtocol.REPLY_FLAG_DONE : 0;
    int header = chunk(address, type, flags, cookie, requestOffset, HOLE_BYTES);
    NativeMemory.netLong(address + header, from);
    NativeMemory.netInt(address + header + OFFSET_BYTES, holeBytes);
    return header + HOLE_BYTES;
  }

  /**
   * An error; returns the bytes to send.
   *
   * @param roomBytes how much may be written: the text is left out if it does not fit
   * @param error one that the protocol knows
   * @param text for people
   */
  int error(long address, int roomBytes, int error, byte[] text, long cookie, long requestOffset) {
    if (roomBytes < headerBytes + ERROR_BYTES || !chunked()) {
      return simple(address, error, cookie); // a structured reply may do so, unless it is a read's
    }
    int textBytes = errorBytes(text) <= roomBytes ? text.length : 0;
    int type = NbdProtocol.REPLY_TYPE_ERROR;
    int payload = ERROR_BYTES + textBytes;
    int done = NbdProtocol.REPLY_FLAG_DONE;
    int header = chunk(address, type, done, cookie, requestOffset, payload);
    NativeMemory.netInt(address + header, error);
    NativeMemory.netShort(address + header + 4, (short) textBytes);
    NativeMemory.copy(text, 0, address + header + ERROR_BYTES, textBytes);
    return header + payload;
  }

  /** The header of a chunk; returns its length. */
  int chunk(long address, int type, int flags, long cookie, long requestOffset, int payloadBytes) {
    NativeMemory.netShort(address + 4, (short) flags);
    NativeMemory.netShort(address + 6, (short) type);
    NativeMemory.netLong(address + 8, cookie);
    if (this == EXTENDED) {
      NativeMemory.netInt(address, NbdProtocol.EXTENDED_REPLY_MAGIC);
      NativeMemory.netLong(address + 16, requestOffset);
      NativeMemory.netLong(address + 24, payloadBytes);
    } else {
      NativeMemory.netInt(address, NbdProtocol.STRUCTURED_REPLY_MAGIC);
      NativeMemory.netInt(address + 16, payloadBytes);
    }
    return headerBytes;
  }

  private static int simple(long address, int error, long cookie) {
    NativeMemory.netInt(address, NbdProtocol.SIMPLE_REPLY_MAGIC);
    NativeMemory.netInt(address + 4, error);
    NativeMemory.netLong(address + 8, cookie);
    return NbdProtocol.SIMPLE_REPLY_BYTES;
  }
}
