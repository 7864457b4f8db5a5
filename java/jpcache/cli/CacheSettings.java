package jpcache.cli;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;
import jpcache.base.UserException;
import jpcache.media.CacheInfo;
import jpcache.media.CacheMode;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** What a cache is made with, and what an existing one must agree with. */
final class CacheSettings {
  /** Modes as users write them: the name, with or without its hyphen. */
  static final class ModeConverter extends CheckedValue<CacheMode> {
    @Override
    CacheMode parse(String text) {
      String wanted = text.toLowerCase(Locale.ROOT).replace("-", "");
      for (CacheMode mode : CacheMode.values()) {
        if (mode.toString().replace("-", "").equals(wanted)) {
          return mode;
        }
      }
      throw new UserException(text + ": no such cache mode; there are " + MODES);
    }
  }

  private static final String MODES =
      Arrays.stream(CacheMode.values()).map(CacheMode::toString).collect(Collectors.joining(", "));

  /**
   * What the user of a mode should know; null if there is nothing.
   *
   * @param server the options by which commands reach the server of the cache
   */
  static @Nullable String kernelNotice(String cache, CacheMode mode, String server) {
    return mode == CacheMode.WRITE_BACK
        ? null
        : cache
            + ": the kernel attaches no cache in mode "
            + mode
            + "; `jpcache set mode write-back "
            + server
            + "` changes back while it is served";
  }

  @Option(names = "--data-crc", description = "Keep a checksum of all cached data.")
  boolean dataCrc;

  @Option(
      names = "--mode",
      paramLabel = "MODE",
      converter = ModeConverter.class,
      description =
          "The cache mode: write-back (the default), write-through, write-around or write-only.")
  @Nullable CacheMode mode;

  /** The mode of a cache that is to be made. */
  CacheMode modeToMake() {
    return mode == null ? CacheMode.WRITE_BACK : mode;
  }

  /** Refuses options that an existing cache contradicts. */
  void requireAgreement(String cache, CacheInfo info) {
    if (mode != null && mode != info.mode()) {
      throw new UserException(
          "--mode "
              + mode
              + ": the cache "
              + cache
              + " has mode "
              + info.mode()
              + "; serve it so, then change it with `jpcache set mode "
              + mode
              + " "
              + Shell.option("--cache", Path.of(cache))
              + "`");
    }
    if (dataCrc && !info.dataCrc()) {
      throw new UserException(
          "--data-crc: the cache " + cache + " has data crc off, as format was told; leave it out");
    }
  }
}
