package jpcache.cli;

import java.io.PrintWriter;
import java.util.concurrent.Callable;
import jpcache.media.CacheMedia;
import jpcache.pmem.ReadOnlyMapping;
import jpcache.tools.Dump;
import jpcache.tools.JsonOutline;
import jpcache.tools.TextOutline;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code jpcache dump}. */
@Command(
    name = "dump",
    description = "Show what is on a cache device: metadata, segments, key sets. Changes nothing.")
final class DumpCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--cache",
      required = true,
      paramLabel = "PATH",
      converter = DevicePath.class,
      description = "The cache device.")
  private String cache;

  @Option(names = "--keys", description = "Show every key as well.")
  private boolean keys;

  @Mixin private JsonOption output;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    try (ReadOnlyMapping mapping = ReadOnlyMapping.open(cache)) {
      CacheMedia media = CacheMedia.read(cache, mapping.view());
      new Dump(media, output.json ? new JsonOutline(out) : new TextOutline(out)).run(keys);
    }
    return ExitCode.OK;
  }
}
