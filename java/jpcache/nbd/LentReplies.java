package jpcache.nbd;

import jpcache.block.Loan;
import org.jspecify.annotations.Nullable;

/**
 * The replies of a connection whose data is sent from where the device has it, and their loans. Its
 * thread's own.
 */
final class LentReplies {
  /** As many at once; others are copied. Bounds what a client can keep the device from using. */
  private static final int MOST = 16;

  private final Reply[] replies = new Reply[MOST];
  private final Loan[] loans = new Loan[MOST]; // the first are those of the replies, in turn
  private int count;

  /** {@code loans[count..settled)} have ended for the client, and are yet to be given back. */
  private int settled;

  LentReplies() {
    for (int i = 0; i < MOST; i++) {
      loans[i] = new Loan();
    }
  }

  boolean any() {
    return count > 0;
  }

  /** The loan of the next reply; null if there are too many. */
  @Nullable Loan spare() {
    return count < MOST ? loans[count] : null;
  }

  /** A reply that has been given {@link #spare}. */
  void add(Reply reply) {
    replies[count++] = reply;
  }

  /** Finds those whose loans are not needed any more. With the send lock. */
  void settle() {
    settled = count;
    for (int i = count - 1; i >= 0; i--) {
      if (replies[i].loan() == null) {
        count--;
        replies[i] = replies[count];
        Loan ended = loans[i];
        loans[i] = loans[count];
        loans[count] = ended;
      }
    }
  }

  /** Gives back what {@link #settle} found; without the lock, since the device may have to work. */
  void endLoans() {
    for (; settled > count; settled--) {
      loans[settled - 1].end();
    }
  }
}
