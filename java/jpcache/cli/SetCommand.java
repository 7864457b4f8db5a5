package jpcache.cli;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code jpcache set}. */
@Command(
    name = "set",
    description = "Change a setting of a running server, at once and for good: gc-percent N.")
final class SetCommand implements Callable<Integer> {
  @Parameters(index = "0", paramLabel = "SETTING", description = "gc-percent")
  private String setting;

  @Parameters(index = "1", paramLabel = "VALUE", description = "Its new value: 0 to 90.")
  private String value;

  @Mixin private RunningServer server;

  @Override
  public Integer call() {
    server.ask("set", setting, value);
    return ExitCode.OK;
  }
}
