package jpcache.block;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Bytes of a device that stay as they are for a while, so that they can be sent from where they
 * lie. Filled in by {@link BlockQueue#lend}; to be used again after {@link #end}.
 *
 * <p>While it is open the device cannot use that memory for anything else, so it should be short,
 * and must have ended before the device is closed. The memory may fail meanwhile: then a system
 * call that reads it says EFAULT, {@link #copyTo} says so too, and anything else that touches it
 * may end the process.
 *
 * <p>Used by one thread at a time, which need not always be the same one.
 */
public final class Loan {
  /** The device that bytes are borrowed from. */
  public interface Lender {
    /** Copies bytes of its memory; false if some of them cannot be read. */
    boolean copy(long fromAddress, long toAddress, int lengthBytes);

    /** What was lent with this token is not needed any more. Any thread. */
    void takeBack(int token);
  }

  private @Nullable Lender lender;
  private long address;
  private int lengthBytes;
  private int token;

  /** The lender's: the loan begins. */
  public void begin(Lender from, long atAddress, int bytes, int lenderToken) {
    lender = from;
    address = atAddress;
    lengthBytes = bytes;
    token = lenderToken;
  }

  /** Where the bytes are. */
  public long address() {
    return address;
  }

  public int lengthBytes() {
    return lengthBytes;
  }

  /**
   * Copies all of the bytes.
   *
   * @return false if they cannot be read: what lies at the destination then is undefined
   */
  public boolean copyTo(long toAddress) {
    return Objects.requireNonNull(lender).copy(address, toAddress, lengthBytes);
  }

  /** The bytes are not needed any more. */
  public void end() {
    Lender from = Objects.requireNonNull(lender);
    lender = null;
    from.takeBack(token);
  }
}
