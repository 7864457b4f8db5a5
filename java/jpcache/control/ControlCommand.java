package jpcache.control;

import java.util.List;

/** Something that a running server can be asked to do. Runs on the control socket's thread. */
@FunctionalInterface
public interface ControlCommand {
  /**
   * Does it.
   *
   * @param arguments the words behind the command's name
   * @return the lines of the answer
   * @throws jpcache.base.UserException if it cannot be done; its message is the answer
   */
  List<String> run(List<String> arguments);
}
