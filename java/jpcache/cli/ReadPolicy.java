package jpcache.cli;

import jpcache.cache.CacheOptions;
import picocli.CommandLine.Option;

/** What of the data that is read enters the cache, and what stays: {@code @Mixin ReadPolicy}. */
final class ReadPolicy {
  private static final class KeepPercent extends WholeNumber {
    KeepPercent() {
      super(0, CacheOptions.MAX_KEEP_PERCENT);
    }
  }

  @Option(
      names = "--sequential-cutoff",
      paramLabel = "SIZE",
      converter = SizeConverter.class,
      defaultValue = "4M",
      description =
          "What a client reads in one go beyond this does not enter the cache; by default 4M, 0 for"
              + " no limit.")
  private long sequentialBytes;

  @Option(
      names = "--keep-percent",
      paramLabel = "N",
      converter = KeepPercent.class,
      defaultValue = "50",
      description =
          "Of data whose turn it is to leave the cache, keep at most so much if it has been read"
              + " meanwhile; by default 50, 0 for none.")
  private int keepPercent;

  CacheOptions apply(CacheOptions options) {
    return options.withSequentialBytes(sequentialBytes).withKeepPercent(keepPercent);
  }
}
