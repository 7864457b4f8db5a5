package jpcache.nbd;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import jpcache.base.UserException;

/**
 * A listening socket that a service manager opened for this process: systemd's socket activation,
 * as sd_listen_fds(3) has it.
 *
 * @param fd its descriptor
 * @param name what the manager calls it; for messages
 */
public record InheritedSocket(int fd, String name) {
  private static final int FIRST_FD = 3;
  private static final int MOST = 1024;

  /**
   * The sockets that the environment tells of: {@code LISTEN_FDS} of them from descriptor 3 on, if
   * {@code LISTEN_PID} is this process, with names from {@code LISTEN_FDNAMES}.
   *
   * @throws UserException if what it tells is nonsense
   */
  public static List<InheritedSocket> of(Map<String, String> environment, long pid) {
    String whose = environment.getOrDefault("LISTEN_PID", "");
    if (!whose.equals(Long.toString(pid))) {
      return List.of(); // they were meant for an ancestor
    }
    String count = environment.getOrDefault("LISTEN_FDS", "");
    if (!count.matches("\\d{1,4}") || Integer.parseInt(count) > MOST) {
      throw new UserException(
          "socket activation: LISTEN_FDS=" + count + " is not a number of sockets");
    }
    String[] names = environment.getOrDefault("LISTEN_FDNAMES", "").split(":", -1);
    List<InheritedSocket> sockets = new ArrayList<>();
    for (int i = 0; i < Integer.parseInt(count); i++) {
      sockets.add(new InheritedSocket(FIRST_FD + i, i < names.length ? names[i] : ""));
    }
    return sockets;
  }

  @Override
  public String toString() {
    return "descriptor " + fd + (name.isEmpty() ? "" : " (" + name + ")");
  }
}
