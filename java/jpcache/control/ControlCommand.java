package jpcache.control;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** Something that a running server can be asked to do. Runs on the control socket's thread. */
@FunctionalInterface
public interface ControlCommand {
  /**
   * What it answers.
   *
   * @param lines what was asked for
   * @param end if not null, ends the process: it runs once the answer is out, and the peer's
   *     connection then stays open until the process is gone
   */
  record Answer(List<String> lines, @Nullable Runnable end) {
    public static Answer of(String... lines) {
      return new Answer(List.of(lines), null);
    }
  }

  /**
   * Does it.
   *
   * @param arguments the words behind the command's name
   * @throws jpcache.base.UserException if it cannot be done; its message is the answer
   */
  Answer run(List<String> arguments);
}
