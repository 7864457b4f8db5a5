package jpcache.cli;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import jpcache.base.Errno;
import jpcache.base.Sizes;
import jpcache.base.UserException;
import jpcache.cache.Drain;
import jpcache.control.ControlCommand.Answer;

/**
 * The drains of a running server that somebody on the control socket waits for. A drain may take
 * hours and a request may not, so who begins one is given its number, and asks for it again and
 * again: {@link RunningServer#awaitDrain}.
 *
 * <p>The answer is {@code drain NUMBER LEFT-BYTES} while it goes on, and nothing when it is done.
 *
 * <p>Any thread: each cache may have a control socket.
 */
final class Drains {
  /** What an answer's line begins with while there is something to wait for. */
  static final String LINE = "drain ";

  /** Who has not asked for so many others is not waiting any more. */
  private static final int KEPT = 64;

  private record Begun(Drain drain, String subject) {}

  private final Map<Integer, Begun> drains =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Integer, Begun> eldest) {
          return size() > KEPT;
        }
      };
  private int last;

  /**
   * Keeps one that has begun.
   *
   * @param subject what its failure is told of: the backing device, and what else there is to know
   */
  synchronized Answer begun(Drain drain, String subject) {
    Begun begun = new Begun(drain, subject);
    drains.put(++last, begun);
    return answer(last, begun);
  }

  /** How it stands with one that was begun before. */
  synchronized Answer look(String number) {
    Begun begun = number.matches("\\d{1,9}") ? drains.get(Integer.valueOf(number)) : null;
    if (begun == null) {
      throw new UserException("flush " + number + ": there is none of this number");
    }
    return answer(Integer.parseInt(number), begun);
  }

  private Answer answer(int number, Begun begun) {
    Drain drain = begun.drain();
    if (!drain.hasEnded()) {
      return new Answer(List.of(LINE + number + " " + drain.leftBytes()), null);
    }
    drains.remove(number);
    if (drain.errno() != 0) {
      throw new UserException(
          begun.subject()
              + ": "
              + Errno.text(drain.errno())
              + ": "
              + Sizes.format(drain.leftBytes())
              + " could not be written back yet; the cache keeps it and goes on trying");
    }
    return Answer.of();
  }
}
