package jpcache.nbd;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import jpcache.base.Affinity;

/**
 * On which processor of this machine a client's requests are made, as far as that can be found.
 *
 * <p>Of a TCP connection the kernel knows where its packets come in, which on loopback is where
 * they went out. Of a unix socket it knows the client's process. Of its threads the one that waits
 * for each answer before it goes on sleeps as often as there were answers, and that is counted in
 * /proc. A client in another container, or whose threads are another user's secret, is not found.
 */
final class ClientProcessor implements Placement.Processors {
  /** A process with more threads is not looked through. */
  private static final int MOST_THREADS = 256;

  private static final String SLEEPS = "voluntary_ctxt_switches:";

  /** In /proc/PID/stat, behind the command's name: the processor that it ran on last. */
  private static final int PROCESSOR_FIELD = 36;

  private final int fd;
  private final Affinity home;
  private Map<Path, Long> sleepsBefore = Map.of();

  /**
   * @param fd the connection's socket
   * @param home where the connection's thread may run
   */
  ClientProcessor(int fd, Affinity home) {
    this.fd = fd;
    this.home = home;
  }

  @Override
  public void watch() {
    sleepsBefore = sleeps();
  }

  @Override
  public boolean moveToClient(int roundTrips) {
    return home.applyOnly(find(roundTrips / 2));
  }

  @Override
  public void moveAway() {
    home.apply();
  }

  /**
   * The processor of the thread that has slept most often since {@link #watch}.
   *
   * @param leastSleeps one that has slept less is not the one that is meant
   * @return a negative number if there is none
   */
  private int find(int leastSleeps) {
    try (SocketAddress scratch = new SocketAddress()) {
      if (scratch.read(fd) >= 0 && scratch.family() != Sockets.AF_UNIX) {
        return scratch.option(fd, Sockets.SOL_SOCKET, Sockets.SO_INCOMING_CPU);
      }
    }
    Path found = null;
    long most = leastSleeps - 1L;
    for (Map.Entry<Path, Long> thread : sleeps().entrySet()) {
      long slept = thread.getValue() - sleepsBefore.getOrDefault(thread.getKey(), Long.MAX_VALUE);
      if (slept > most) {
        most = slept;
        found = thread.getKey();
      }
    }
    return found == null ? -1 : processor(found);
  }

  private Map<Path, Long> sleeps() {
    Map<Path, Long> sleeps = new HashMap<>();
    int pid;
    try (SocketAddress scratch = new SocketAddress()) {
      pid = scratch.option(fd, Sockets.SOL_SOCKET, Sockets.SO_PEERCRED);
    }
    if (pid <= 0) {
      return sleeps;
    }
    try (DirectoryStream<Path> threads =
        Files.newDirectoryStream(Path.of("/proc", Integer.toString(pid), "task"))) {
      for (Path thread : threads) {
        if (sleeps.size() == MOST_THREADS) {
          return Map.of();
        }
        for (String line : Files.readAllLines(thread.resolve("status"))) {
          if (line.startsWith(SLEEPS)) {
            sleeps.put(thread, Long.parseLong(line.substring(SLEEPS.length()).strip()));
          }
        }
      }
    } catch (IOException | DirectoryIteratorException | NumberFormatException e) {
      return Map.of(); // it ends, or is not ours to see
    }
    return sleeps;
  }

  private static int processor(Path thread) {
    try {
      String stat = Files.readString(thread.resolve("stat"));
      String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
      return Integer.parseInt(fields[PROCESSOR_FIELD]);
    } catch (IOException | RuntimeException e) {
      return -1; // it has ended
    }
  }
}
