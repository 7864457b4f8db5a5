package jpcache.cli;

import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import jpcache.base.UserException;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;

/** {@code jpcache stop}. */
@Command(
    name = "stop",
    description = "Stop a running server in order, as SIGTERM does, and wait until it is gone.")
final class StopCommand implements Callable<Integer> {
  /** With --writeback-on-stop it takes as long as the backing device does. */
  private static final long STOP_TIMEOUT_MS = TimeUnit.DAYS.toMillis(1);

  /** What a line of the answer begins with if the server ends without having done all. */
  static final String FAILED = "failed ";

  @Mixin private RunningServer server;

  @Override
  public Integer call() {
    for (String line : server.ask(STOP_TIMEOUT_MS, "stop")) {
      if (line.startsWith(FAILED)) {
        throw new UserException(line.substring(FAILED.length()));
      }
    }
    return ExitCode.OK;
  }
}
