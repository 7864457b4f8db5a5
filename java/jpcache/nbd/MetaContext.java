package jpcache.nbd;

import jpcache.block.ExtentSink;

/** A metadata context: what BLOCK_STATUS can tell of a range. */
enum MetaContext {
  /** The protocol's own. Its flags are HOLE (1) and ZERO (2). */
  ALLOCATION(0, "base:allocation") {
    @Override
    int status(int extentFlags) {
      return ((extentFlags & ExtentSink.HOLE) != 0 ? 1 : 0)
          | ((extentFlags & ExtentSink.ZERO) != 0 ? 2 : 0);
    }
  },

  /** Ours. Its flags are CACHED (1) and DIRTY (2): the device below has something older. */
  STATE(1, "jpcache:state") {
    @Override
    int status(int extentFlags) {
      return ((extentFlags & ExtentSink.CACHED) != 0 ? 1 : 0)
          | ((extentFlags & ExtentSink.DIRTY) != 0 ? 2 : 0);
    }
  };

  /** The number of contexts there are. */
  static final int COUNT = values().length;

  private final int index;
  private final String text;

  MetaContext(int index, String text) {
    this.index = index;
    this.text = text;
  }

  /** Its name on the wire, namespace and leaf. */
  String text() {
    return text;
  }

  /** Its place in an array of all. */
  int index() {
    return index;
  }

  /** Its number on the wire, the same on every connection. */
  int id() {
    return index + 1;
  }

  /** Its place in a set of contexts. */
  int bit() {
    return 1 << index;
  }

  /** The context's flags for an extent with some of {@link ExtentSink}'s. */
  abstract int status(int extentFlags);

  /** Whether a client's query finds it; the empty leaf finds all of a namespace. */
  boolean matches(String query, boolean wildcards) {
    return query.equals(text)
        || (wildcards && query.equals(text.substring(0, text.indexOf(':') + 1)));
  }
}
