package jpcache.backing;

/**
 * How a device may be read and written.
 *
 * <pre>
 *   0                                              directEndBytes   sizeBytes
 *   ├──────────┬──────────┬─ ··· ──┬───────────────┼────────────────┤
 *   │ granule  │ granule  │        │ granule       │ tail           │
 *   └──────────┴──────────┴─ ··· ──┴───────────────┴────────────────┘
 *     O_DIRECT descriptor                            plain descriptor
 * </pre>
 *
 * @param sizeBytes the device's size
 * @param blockBytes what users know as the device's block; a power of two
 * @param granuleBytes what O_DIRECT wants offsets and lengths to be multiples of; a power of two, a
 *     multiple of {@code blockBytes}, at most {@link #MAX_GRANULE_BYTES}
 * @param memoryAlignmentBytes what O_DIRECT wants addresses to be multiples of; a power of two, at
 *     most {@link #MAX_GRANULE_BYTES}: it may be more than the granule
 * @param directEndBytes where O_DIRECT ends: 0 if there is none; a multiple of the granule
 * @param preferredBlockBytes writes of multiples of this cost least; a power of two
 */
record Geometry(
    long sizeBytes,
    int blockBytes,
    int granuleBytes,
    int memoryAlignmentBytes,
    long directEndBytes,
    int preferredBlockBytes) {

  /**
   * The largest alignment that we take for one: beyond it, it is a preference of something else.
   */
  static final int MAX_GRANULE_BYTES = 64 << 10;

  Geometry {
    assert Integer.bitCount(blockBytes) == 1 && Integer.bitCount(granuleBytes) == 1;
    assert granuleBytes >= blockBytes && granuleBytes <= MAX_GRANULE_BYTES;
    assert Integer.bitCount(memoryAlignmentBytes) == 1;
    assert memoryAlignmentBytes <= MAX_GRANULE_BYTES;
    assert directEndBytes % granuleBytes == 0 && directEndBytes <= sizeBytes;
  }

  /** What O_DIRECT takes in offsets, lengths and addresses alike. */
  int alignmentBytes() {
    return Math.max(granuleBytes, memoryAlignmentBytes);
  }

  /** Whether O_DIRECT takes the request as it is. */
  boolean direct(long offsetBytes, int lengthBytes, long address) {
    return whole(offsetBytes, lengthBytes) && (address & (memoryAlignmentBytes - 1)) == 0;
  }

  /** Whether the request consists of whole granules. */
  boolean whole(long offsetBytes, int lengthBytes) {
    return ((offsetBytes | lengthBytes) & (granuleBytes - 1)) == 0;
  }

  /** The start of the granule that holds the byte. */
  long down(long offsetBytes) {
    return offsetBytes & -granuleBytes;
  }

  /** The end of the granule that ends at or after the offset. */
  long up(long offsetBytes) {
    return down(offsetBytes + granuleBytes - 1);
  }
}
