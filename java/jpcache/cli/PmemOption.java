package jpcache.cli;

import jpcache.pmem.PmemBinding;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** The option of every command that writes a cache: {@code @Mixin PmemOption pmem}. */
final class PmemOption {
  @Option(
      names = "--pmem",
      paramLabel = "ffm|jni|jna",
      description = "The binding to libpmem; by default the fastest that works.")
  @Nullable PmemBinding binding;
}
