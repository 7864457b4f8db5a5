package jpcache.cli;

import jpcache.pmem.PmemBinding;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** The option of every command that writes a cache: {@code @Mixin PmemOption pmem}. */
final class PmemOption {
  private static final class Binding extends OneWord<PmemBinding> {
    Binding() {
      super(PmemBinding.class);
    }
  }

  @Option(
      names = "--pmem",
      paramLabel = "ffm|jni|jna",
      converter = Binding.class,
      description = "The binding to libpmem; by default the fastest that works.")
  @Nullable PmemBinding binding;
}
