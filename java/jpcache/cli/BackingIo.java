package jpcache.cli;

import jpcache.backing.BackingOptions;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** How the backing device is used by a command that uses it much. */
final class BackingIo {
  private static final class Depth extends WholeNumber {
    Depth() {
      super(1, BackingOptions.MAX_DEPTH);
    }
  }

  private static final class WayWord extends OneWord<BackingOptions.Way> {
    WayWord() {
      super(BackingOptions.Way.class);
    }
  }

  @Option(
      names = "--backing-io",
      paramLabel = "auto|uring|pool",
      converter = WayWord.class,
      defaultValue = "auto",
      description =
          "How requests reach the backing device: by io_uring or by a pool of threads; by default"
              + " (auto) by io_uring where that is allowed.")
  private BackingOptions.Way way;

  @Option(
      names = "--backing-depth",
      paramLabel = "N",
      converter = Depth.class,
      description =
          "How many requests the kernel is given at once for the backing device; by default 128 by"
              + " io_uring, 32 by the pool.")
  private @Nullable Integer depth;

  BackingOptions options() {
    BackingOptions options = BackingOptions.readWrite().withWay(way);
    return depth == null ? options : options.withDepth(depth);
  }
}
