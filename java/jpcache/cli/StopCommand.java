package jpcache.cli;

import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import jpcache.base.UserException;
import jpcache.tools.Outline;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code jpcache stop}. */
@Command(
    name = "stop",
    description = "Stop a running server in order, as SIGTERM does, and wait until it is gone.")
final class StopCommand implements Callable<Integer> {
  /** With --writeback-on-stop it takes as long as the backing device does. */
  private static final long STOP_TIMEOUT_MS = TimeUnit.DAYS.toMillis(1);

  /** What a line of the answer begins with if the server ends without having done all. */
  static final String FAILED = "failed ";

  /** What the line of the answer begins with that tells the server's process. */
  static final String PROCESS = "process ";

  @Spec private CommandSpec spec;
  @Mixin private RunningServer server;
  @Mixin private JsonOption output;

  @Override
  public Integer call() {
    List<String> answer = server.ask(STOP_TIMEOUT_MS, "stop");
    for (String line : answer) {
      if (line.startsWith(FAILED)) {
        throw new UserException(line.substring(FAILED.length()));
      }
    }
    output.show(spec, "stop", json -> show(answer, json));
    return ExitCode.OK;
  }

  private static void show(List<String> answer, Outline json) {
    for (String line : answer) {
      if (line.matches(PROCESS + "\\d{1,18}")) {
        json.value("pid", Long.parseLong(line.substring(PROCESS.length())));
      }
    }
  }
}
