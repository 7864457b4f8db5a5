package jpcache.cli;

import java.io.PrintWriter;
import java.io.Writer;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.backing.BackingOptions;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemRegion;
import jpcache.pmem.ReadOnlyMapping;
import jpcache.tools.JsonOutline;
import jpcache.tools.fsck.Fsck;
import jpcache.tools.fsck.FsckReport;
import jpcache.tools.fsck.FsckText;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code jpcache fsck}. */
@Command(
    name = "fsck",
    description = "Check a cache device in numbered phases. Changes nothing without --repair.",
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {
      "0:clean",
      "1:there were problems or torn replicas, and all were repaired",
      "2:wrong usage",
      "4:problems are left",
      "8:the check could not be run"
    },
    exitCodeOnExecutionException = FsckCommand.COULD_NOT_RUN)
final class FsckCommand implements Callable<Integer> {
  static final int CLEAN = 0;
  static final int REPAIRED = 1;
  static final int PROBLEMS_LEFT = 4;
  static final int COULD_NOT_RUN = 8;

  @Spec private CommandSpec spec;

  @Option(
      names = "--cache",
      required = true,
      paramLabel = "PATH",
      converter = DevicePath.class,
      description = "The cache device.")
  private String cache;

  @Option(
      names = "--backing",
      paramLabel = "DEV",
      converter = DevicePath.class,
      description = "The backing device, to compare clean data with. It is never written.")
  private @Nullable String backing;

  @Option(names = "--repair", description = "Repair what can be repaired without doubt.")
  private boolean repair;

  @Option(
      names = "--cut-log",
      description =
          "With --repair: end a log that leads out of the cache there, which loses what follows;"
              + " and decide what docs/fsck.md leaves to it where dirty_tail is lost or in doubt.")
  private boolean cutLog;

  @Mixin private JsonOption output;
  @Mixin private PmemOption pmem;

  @Override
  public Integer call() {
    if (cutLog && !repair) {
      throw new ParameterException(spec.commandLine(), "--cut-log goes with --repair");
    }
    if (backing != null) {
      DevicePath.requireTwo(cache, backing);
    }
    try (BackingDevice device =
        backing == null ? null : BackingDevices.open(backing, BackingOptions.forReading())) {
      if (repair) {
        try (PmemRegion region = PmemFiles.openOffline(cache, pmem.binding)) {
          return run(region.view(), device, region);
        }
      }
      try (ReadOnlyMapping mapping = ReadOnlyMapping.open(cache)) {
        return run(mapping.view(), device, null);
      }
    }
  }

  private int run(MemorySegment view, @Nullable BackingDevice device, @Nullable PmemRegion region) {
    PrintWriter out = spec.commandLine().getOut();
    FsckText text = new FsckText(output.json ? new PrintWriter(Writer.nullWriter()) : out);
    List<FsckReport> checks = new ArrayList<>();
    checks.add(new Fsck(cache, view, device, cutLog, text::phase).run());
    int repaired = region == null ? 0 : checks.getFirst().repair(region);
    if (repaired > 0) {
      text.repaired(repaired);
      checks.add(new Fsck(cache, view, device, cutLog, text::phase).run());
    }
    FsckReport last = checks.getLast();
    int exit = last.problems() > 0 ? PROBLEMS_LEFT : repaired > 0 ? REPAIRED : CLEAN;
    text.verdict(cache, last);
    if (output.json) {
      JsonOutline json = new JsonOutline(out);
      json.begin("fsck");
      json.value("cache", cache);
      json.value("problems", last.problems());
      json.value("notices", last.notices());
      json.value("repaired", repaired);
      json.value("exit_code", exit);
      json.beginList("checks");
      checks.forEach(check -> check.outline(json));
      json.endList();
      json.end();
    }
    out.flush();
    return exit;
  }
}
