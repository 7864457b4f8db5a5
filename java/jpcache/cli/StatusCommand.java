package jpcache.cli;

import java.io.PrintWriter;
import java.util.concurrent.Callable;
import jpcache.tools.JsonOutline;
import jpcache.tools.TextOutline;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code jpcache status}. */
@Command(name = "status", description = "Show what a running server says of itself.")
final class StatusCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private RunningExport server;
  @Mixin private JsonOption output;

  @Override
  public Integer call() {
    StatusReport report = StatusReport.ofLines(server.ask("status"));
    PrintWriter out = spec.commandLine().getOut();
    report.show(output.json ? new JsonOutline(out) : new TextOutline(out));
    out.flush();
    return ExitCode.OK;
  }
}
