package jpcache.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
import jpcache.base.UserException;
import jpcache.tools.Outline;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code jpcache set}. */
@Command(
    name = "set",
    description = {
      "Change a setting of a running server, at once and for good.",
      "gc-percent N: collect garbage above this share of used segments, 0 to 90.",
      "mode M: write-back, write-through, write-around or write-only. A change to a mode without"
          + " dirty data waits until what is dirty has been written back."
    })
final class SetCommand implements Callable<Integer> {
  /** What a line of the answer begins with that the user should see. */
  static final String NOTICE = "notice ";

  @Spec private CommandSpec spec;

  @Parameters(index = "0", paramLabel = "SETTING", description = "gc-percent or mode")
  private String setting;

  @Parameters(index = "1", paramLabel = "VALUE", description = "Its new value.")
  private String value;

  @Mixin private RunningExport server;
  @Mixin private JsonOption output;

  @Override
  public Integer call() {
    requireSense();
    PrintWriter err = spec.commandLine().getErr();
    List<String> answer = server.ask("set", setting, value);
    server.awaitDrain(answer, err); // a failure is one line alone
    answer.stream()
        .filter(line -> line.startsWith(NOTICE))
        .forEach(line -> err.println("jpcache: " + line.substring(NOTICE.length())));
    err.flush();
    output.show(spec, "set", this::show);
    return ExitCode.OK;
  }

  /** The setting as status shows it. */
  private void show(Outline json) {
    if (setting.equals("gc-percent")) {
      json.value("gc_percent", new GcPercent().parse(value));
    } else {
      json.value("mode", new CacheSettings.ModeConverter().parse(value).toString());
    }
  }

  private void requireSense() {
    try {
      switch (setting) {
        case "gc-percent" -> new GcPercent().parse(value);
        case "mode" -> new CacheSettings.ModeConverter().parse(value);
        default -> throw new WrongUsage("no such setting; there are gc-percent and mode");
      }
    } catch (UserException e) {
      throw new WrongUsage("set " + setting + ": " + e.getMessage());
    }
  }
}
