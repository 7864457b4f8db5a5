package jpcache.cli;

import java.util.List;
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

  @Mixin private JsonOption output;

  @Override
  public Integer call() {
    List<String> answer = server.ask("flush");
    server.awaitDrain(answer, spec.commandLine().getErr());
    output.show(
        spec, "flush", json -> json.value("flushed_bytes", RunningServer.drainBytes(answer)));
    return ExitCode.OK;
  }
}
