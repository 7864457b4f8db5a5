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
 * <p>Used by the control socket's thread.
 */
final class Drains {
  /** What an answer's line begins with while there is something to wait for. */
  static final String LINE = "drain ";

  /** Who has not asked for so many others is not waiting any more. */
  private static final int KEPT = 64;

  private final String backing;
  private final Map<Integer, Drain> drains =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Integer, Drain> eldest) {
          return size() > KEPT;
        }
      };
  private int last;

  Drains(String backing) {
    this.backing = backing;
  }

  Answer begun(Drain drain) {
    drains.put(++last, drain);
    return answer(last, drain);
  }

  /** How it stands with one that was begun before. */
  Answer look(String number) {
    Drain drain = number.matches("\\d{1,9}") ? drains.get(Integer.valueOf(number)) : null;
    if (drain == null) {
      throw new UserException("flush " + number + ": there is none of this number");
    }
    return answer(Integer.parseInt(number), drain);
  }

  private Answer answer(int number, Drain drain) {
    if (!drain.hasEnded()) {
      return new Answer(List.of(LINE + number + " " + drain.leftBytes()), null);
    }
    drains.remove(number);
    if (drain.errno() != 0) {
      throw new UserException(
          "backing "
              + backing
              + ": "
              + Errno.text(drain.errno())
              + ": "
              + Sizes.format(drain.leftBytes())
              + " could not be written back yet; the cache keeps it and goes on trying");
    }
    return Answer.of();
  }
}
