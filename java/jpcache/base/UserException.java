package jpcache.base;

/**
 * A failure that its message alone explains to a user: what failed, where, the value, what to do.
 *
 * <p>Commands print the message as one line and exit 1; the stack trace is for {@code --verbose}.
 * What is thrown as anything else is a bug of ours.
 */
public class UserException extends RuntimeException {
  public UserException(String message) {
    super(message);
  }

  public UserException(String message, Throwable cause) {
    super(message, cause);
  }
}
