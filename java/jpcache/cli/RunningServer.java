package jpcache.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.UserPrincipal;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import jpcache.base.DeviceLock;
import jpcache.base.Sizes;
import jpcache.base.UserException;
import jpcache.control.ControlClient;
import jpcache.control.ControlPaths;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The options of a command for a whole running server: {@code @Mixin RunningServer server}. */
class RunningServer {
  private static final long ANSWER_TIMEOUT_MS = 30_000;
  private static final long MAX_PAUSE_MS = 500;
  private static final long TELL_NANOS = TimeUnit.SECONDS.toNanos(2);

  @Spec(Spec.Target.MIXEE)
  private CommandSpec spec;

  @Option(
      names = "--cache",
      paramLabel = "PATH",
      converter = DevicePath.class,
      description = "The cache that it serves.")
  private @Nullable String cache;

  @Option(
      names = "--control",
      paramLabel = "PATH",
      description = "Its control socket, if it was given one with serve --control.")
  private @Nullable Path control;

  /**
   * Asks it for something.
   *
   * @return the lines of the answer
   * @throws jpcache.base.UserException if there is no such server, or it refuses
   */
  final List<String> ask(String... words) {
    return ask(ANSWER_TIMEOUT_MS, words);
  }

  /**
   * Waits for a drain that an answer tells of, and says every few seconds how much is left.
   *
   * @throws jpcache.base.UserException if the backing device fails, or the server is gone
   */
  final void awaitDrain(List<String> answer, PrintWriter err) {
    List<String> words = drain(answer);
    long toldNanos = System.nanoTime();
    for (long pauseMs = 10; !words.isEmpty(); pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
      long nowNanos = System.nanoTime();
      if (nowNanos - toldNanos > TELL_NANOS) {
        toldNanos = nowNanos;
        err.println("jpcache: " + Sizes.format(Long.parseLong(words.getLast())) + " left");
        err.flush();
      }
      LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(pauseMs));
      words = drain(ask("flush", words.getFirst()));
    }
  }

  /** The bytes that were to be written back when a drain began. */
  static long drainBytes(List<String> answer) {
    List<String> words = drain(answer);
    return words.isEmpty() ? 0 : Long.parseLong(words.getLast());
  }

  /** Number and bytes that are left of the drain in an answer; empty if there is none. */
  private static List<String> drain(List<String> answer) {
    for (String line : answer) {
      if (line.matches(Drains.LINE + "\\d{1,9} \\d{1,18}")) {
        return List.of(line.substring(Drains.LINE.length()).split(" ", -1));
      }
    }
    return List.of();
  }

  /** The same, of a server that may take so long. */
  List<String> ask(long timeoutMs, String... words) {
    try {
      return new ControlClient(places()).ask(timeoutMs, words);
    } catch (ControlClient.NoServer e) {
      Optional<DeviceLock.Holder> holder =
          cache == null ? Optional.empty() : DeviceLock.holder(Path.of(cache));
      throw holder.isEmpty()
          ? e
          : new UserException(e.getMessage() + "; but " + servedBy(cache, holder.get()), e);
    }
  }

  /** A server listens elsewhere if its --control or its user's environment say so. */
  private static String servedBy(@Nullable String cache, DeviceLock.Holder holder) {
    String asUser = "";
    try {
      UserPrincipal user = Files.getOwner(Path.of("/proc/" + holder.pid()));
      if (!user.equals(Files.getOwner(Path.of("/proc/self")))) {
        asUser = ", or ask as its user, " + user.getName();
      }
    } catch (IOException e) {
      // It has ended meanwhile.
    }
    return holder.description()
        + " has "
        + cache
        + " in use: if that is its server, name the socket of its --control"
        + asUser;
  }

  /** The cache that was named together with a socket, where not the socket says which is meant. */
  final @Nullable String cacheBesideControl() {
    return control == null ? null : cache;
  }

  private List<Path> places() {
    if (control != null) {
      return List.of(control.toAbsolutePath());
    }
    if (cache != null) {
      List<Path> places = ControlPaths.of(cache);
      if (!Files.exists(Path.of(cache)) && places.stream().noneMatch(Files::exists)) {
        throw new UserException(
            cache + ": does not exist, so no server can be found by it; name what it serves");
      }
      return places;
    }
    throw new ParameterException(
        spec.commandLine(), "which server? Name its cache with --cache, or its --control socket");
  }
}
