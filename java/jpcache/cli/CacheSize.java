package jpcache.cli;

import jpcache.base.Sizes;
import jpcache.base.UserException;
import jpcache.media.Layout;

/** The size of a cache that is to be made. */
final class CacheSize extends CheckedValue<Long> {
  private static final long MAX_SEGMENTS_BYTES = Layout.MAX_SEGMENTS * Layout.SEGMENT_BYTES;

  @Override
  Long parse(String text) {
    long bytes = Sizes.parse(text);
    if (bytes < Layout.MIN_DEVICE_BYTES) {
      throw new UserException(
          text + ": a cache has at least " + Sizes.format(Layout.MIN_DEVICE_BYTES));
    }
    if (bytes > Layout.SEGMENTS_OFFSET + MAX_SEGMENTS_BYTES) {
      throw new UserException(text + ": a cache has at most " + Sizes.format(MAX_SEGMENTS_BYTES));
    }
    return bytes;
  }
}
