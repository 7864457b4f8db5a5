package jpcache.cli;

import java.io.PrintWriter;
import java.util.function.Consumer;
import jpcache.tools.JsonOutline;
import jpcache.tools.Outline;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;

/** The option of every command that shows something: {@code @Mixin JsonOption output}. */
final class JsonOption {
  @Option(names = "--json", description = "Print JSON, for programs, in place of text.")
  boolean json;

  /**
   * Shows what a command did to programs, if they asked; what people are told is its own matter.
   */
  void show(CommandSpec command, String name, Consumer<Outline> members) {
    if (json) {
      PrintWriter out = command.commandLine().getOut();
      JsonOutline outline = new JsonOutline(out);
      outline.begin(name);
      members.accept(outline);
      outline.end();
      out.flush();
    }
  }
}
