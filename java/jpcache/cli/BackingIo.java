package jpcache.cli;

import jpcache.backing.BackingOptions;
import picocli.CommandLine.Option;

/** How the backing device is used by a command that uses it much. */
final class BackingIo {
  @Option(
      names = "--backing-io",
      paramLabel = "auto|uring|pool",
      defaultValue = "AUTO",
      description =
          "How requests reach the backing device: by io_uring or by a pool of threads; by default"
              + " (auto) by io_uring where that is allowed.")
  private BackingOptions.Way way;

  @Option(
      names = "--backing-depth",
      paramLabel = "N",
      defaultValue = "" + BackingOptions.DEFAULT_DEPTH,
      description = "How many requests the backing device is given at once; by default 32.")
  private int depth;

  BackingOptions options() {
    return BackingOptions.readWrite().withWay(way).withDepth(depth);
  }
}
