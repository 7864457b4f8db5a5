package jpcache.media;

/** What happens to writes. The kernel attaches caches in write-back only. */
public enum CacheMode {
  WRITE_BACK(0, "write-back"),
  WRITE_THROUGH(1, "write-through"),
  WRITE_AROUND(2, "write-around"),
  WRITE_ONLY(3, "write-only");

  private final int code;
  private final String text;

  CacheMode(int code, String text) {
    this.code = code;
    this.text = text;
  }

  /** The number that stands for the mode on media. */
  int code() {
    return code;
  }

  /** The mode of a number on media, which must be one of them. */
  static CacheMode of(int code) {
    for (CacheMode mode : values()) {
      if (mode.code == code) {
        return mode;
      }
    }
    throw new IllegalArgumentException("no cache mode has the number " + code);
  }

  @Override
  public String toString() {
    return text;
  }
}
