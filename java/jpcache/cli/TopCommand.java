package jpcache.cli;

import java.io.Console;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import jpcache.tools.JsonOutline;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code jpcache top}. */
@Command(
    name = "top",
    description =
        "Show every second what a running server did in it. Ends on q, Ctrl-C or --count.")
final class TopCommand implements Callable<Integer> {
  private static final String HOME_AND_CLEAR = "\u001b[H\u001b[2J";
  private static final long INTERVAL_MS = 1000;

  @Spec private CommandSpec spec;
  @Mixin private RunningExport server;
  @Mixin private JsonOption output;

  @Option(
      names = "--count",
      paramLabel = "N",
      description = "Show it so many times; by default until it is told to end.")
  private @Nullable Integer count;

  private final CountDownLatch quit = new CountDownLatch(1);

  @Override
  public Integer call() throws InterruptedException {
    if (count != null && count < 1) {
      throw new ParameterException(spec.commandLine(), "--count " + count + ": not 1 or more");
    }
    PrintWriter out = spec.commandLine().getOut();
    boolean terminal = onTerminal() && !output.json;
    if (terminal) {
      Keyboard.eachKey();
      Thread.ofPlatform().daemon().name("keyboard").start(this::awaitQ);
    }
    // One look has no rates: the first interval is waited for, like every other.
    TopInterval.Look before = look();
    for (int shown = 0; count == null || shown < count; shown++) {
      if (quit.await(INTERVAL_MS, TimeUnit.MILLISECONDS)) {
        break;
      }
      TopInterval.Look now = look();
      show(new TopInterval(before, now), terminal, out);
      if (out.checkError()) {
        break; // nobody sees it any more
      }
      before = now;
    }
    return ExitCode.OK;
  }

  private TopInterval.Look look() {
    return TopInterval.Look.of(server.ask("status"), server.ask("times"), System.nanoTime());
  }

  private void show(TopInterval interval, boolean terminal, PrintWriter out) {
    if (output.json) {
      interval.show(JsonOutline.line(out));
    } else {
      out.print((terminal ? HOME_AND_CLEAR : "") + TopScreen.of(interval));
    }
  }

  @SuppressWarnings("SystemConsoleNull") // in JDK 25 it is null again where there is no terminal
  private static boolean onTerminal() {
    Console console = System.console();
    return console != null && console.isTerminal();
  }

  private void awaitQ() {
    try {
      InputStream in = System.in;
      for (int key = in.read(); key >= 0; key = in.read()) {
        if (key == 'q' || key == 'Q') {
          quit.countDown();
          return;
        }
      }
    } catch (IOException e) {
      // No keyboard any more; there is still Ctrl-C.
    }
  }

  /** The terminal's own line editing would keep a key until Enter. */
  private static final class Keyboard {
    private Keyboard() {}

    static void eachKey() {
      if (stty("-icanon", "-echo")) {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stty("icanon", "echo")));
      }
    }

    private static boolean stty(String... modes) {
      String[] command = new String[modes.length + 1];
      command[0] = "stty";
      System.arraycopy(modes, 0, command, 1, modes.length);
      try {
        return new ProcessBuilder(command)
                .redirectInput(ProcessBuilder.Redirect.INHERIT)
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .start()
                .waitFor()
            == 0;
      } catch (IOException e) {
        return false;
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return false;
      }
    }
  }
}
