package jpcache.cli;

import java.io.Console;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
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
    description = "Show every second what a running server does. Ends on q, Ctrl-C or --count.")
final class TopCommand implements Callable<Integer> {
  private static final String HOME_AND_CLEAR = "\u001b[H\u001b[2J";
  private static final long INTERVAL_MS = 1000;

  @Spec private CommandSpec spec;
  @Mixin private RunningServer server;

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
    boolean terminal = onTerminal();
    if (terminal) {
      Keyboard.eachKey();
      Thread.ofPlatform().daemon().name("keyboard").start(this::awaitQ);
    }
    StatusReport before = null;
    long beforeNanos = 0;
    for (int shown = 0; count == null || shown < count; shown++) {
      if (shown > 0 && quit.await(INTERVAL_MS, TimeUnit.MILLISECONDS)) {
        break;
      }
      StatusReport now = StatusReport.ofLines(server.ask("status"));
      long nowNanos = System.nanoTime();
      double seconds = (nowNanos - beforeNanos) / 1e9;
      out.print(terminal ? HOME_AND_CLEAR : "");
      out.print(TopScreen.of(now, before == null ? now : before, seconds));
      if (out.checkError()) {
        break; // nobody sees it any more
      }
      before = now;
      beforeNanos = nowNanos;
    }
    return ExitCode.OK;
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
