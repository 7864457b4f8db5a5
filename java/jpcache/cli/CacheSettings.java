package jpcache.cli;

import java.util.Locale;
import jpcache.base.UserException;
import jpcache.media.CacheInfo;
import jpcache.media.CacheMode;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** What a cache is made with, and what an existing one must agree with. */
final class CacheSettings {
  /** Modes as users write them: the name, with or without its hyphen. */
  static final class ModeConverter implements ITypeConverter<CacheMode> {
    @Override
    public CacheMode convert(String text) {
      String wanted = text.toLowerCase(Locale.ROOT).replace("-", "");
      for (CacheMode mode : CacheMode.values()) {
        if (mode.toString().replace("-", "").equals(wanted)) {
          return mode;
        }
      }
      throw new TypeConversionException("no such cache mode; there is write-back");
    }
  }

  @Option(names = "--data-crc", description = "Keep a checksum of all cached data.")
  boolean dataCrc;

  @Option(
      names = "--mode",
      paramLabel = "MODE",
      converter = ModeConverter.class,
      description = "The cache mode: write-back.")
  @Nullable CacheMode mode;

  /** The mode of a cache that is to be made. */
  CacheMode modeToMake() {
    if (mode != null && mode != CacheMode.WRITE_BACK) {
      throw new UserException(
          "--mode " + mode + ": only write-back can be served so far, here and by the kernel");
    }
    return CacheMode.WRITE_BACK;
  }

  /** Refuses options that an existing cache contradicts. */
  void requireAgreement(String cache, CacheInfo info) {
    if (mode != null && mode != info.mode()) {
      throw new UserException(
          "--mode " + mode + ": the cache " + cache + " has mode " + info.mode());
    }
    if (dataCrc && !info.dataCrc()) {
      throw new UserException(
          "--data-crc: the cache " + cache + " was made without; data crc is chosen by format");
    }
  }
}
