package jpcache.cache;

import jpcache.media.MetadataWriter;
import jpcache.media.Position;

/**
 * Where the key log begins (key_tail) and where the part of it begins that the backing device does
 * not have (dirty_tail). Moved by the maintenance thread, read by any.
 */
final class Tails {
  private final MetadataWriter metadata;
  private volatile Position keyTail;
  private volatile Position dirtyTail;

  Tails(MetadataWriter metadata, Position keyTail, Position dirtyTail) {
    this.metadata = metadata;
    this.keyTail = keyTail;
    this.dirtyTail = dirtyTail;
  }

  Position keyTail() {
    return keyTail;
  }

  Position dirtyTail() {
    return dirtyTail;
  }

  /** Durable when this returns; only then may what lies before be overwritten. */
  void moveKeyTail(Position to) {
    metadata.keyTail(to);
    keyTail = to;
  }

  /** Durable when this returns. The backing device has been flushed before. */
  void moveDirtyTail(Position to) {
    metadata.dirtyTail(to);
    dirtyTail = to;
  }
}
