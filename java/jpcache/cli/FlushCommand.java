package jpcache.cli;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code jpcache flush}. */
@Command(
    name = "flush",
    description =
        "Have a running server write back everything that is dirty now, and wait until the backing"
            + " device has it. What is written meanwhile does not count.")
final class FlushCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private RunningExport server;

  @Override
  public Integer call() {
    server.awaitDrain(server.ask("flush"), spec.commandLine().getErr());
    return ExitCode.OK;
  }
}
