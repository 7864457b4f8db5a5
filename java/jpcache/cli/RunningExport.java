package jpcache.cli;

import java.util.ArrayList;
import java.util.List;
import jpcache.control.ControlPaths;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** The options of a command for one export of a running server: {@code @Mixin RunningExport}. */
final class RunningExport extends RunningServer {
  @Option(
      names = "--export",
      paramLabel = "NAME",
      description = "Which of several exports; by default that of --cache.")
  private @Nullable String export;

  @Override
  List<String> ask(long timeoutMs, String... words) {
    List<String> named = new ArrayList<>(List.of(words));
    String cache = cacheBesideControl();
    if (export != null) {
      named.add(1, ExportWord.of(export));
    } else if (cache != null) {
      named.add(1, ExportWord.ofCache(ControlPaths.realPath(cache)));
    }
    return super.ask(timeoutMs, named.toArray(new String[0]));
  }
}
