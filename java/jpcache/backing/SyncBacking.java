package jpcache.backing;

import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import jpcache.base.Completion;
import jpcache.base.Errno;
import jpcache.base.UserException;

/** For offline tools: one request at a time, waited for, failures as the user is told them. */
public final class SyncBacking {
  private SyncBacking() {}

  /**
   * Reads and waits.
   *
   * @throws UserException if the device fails
   */
  public static void read(BackingDevice device, long offsetBytes, int lengthBytes, long address) {
    String what = "reading " + lengthBytes + " bytes at " + offsetBytes;
    await(device, what, done -> device.read(offsetBytes, lengthBytes, address, done));
  }

  /**
   * Writes and waits; durable after {@link #flush}.
   *
   * @throws UserException if the device fails
   */
  public static void write(BackingDevice device, long offsetBytes, int lengthBytes, long address) {
    String what = "writing " + lengthBytes + " bytes at " + offsetBytes;
    await(device, what, done -> device.write(offsetBytes, lengthBytes, address, done));
  }

  /**
   * Makes a range zeros and waits; durable after {@link #flush}.
   *
   * @throws UserException if the device fails
   */
  public static void zero(BackingDevice device, long offsetBytes, long lengthBytes, boolean unmap) {
    String what = "zeroing " + lengthBytes + " bytes at " + offsetBytes;
    await(device, what, done -> device.zero(offsetBytes, lengthBytes, unmap, done));
  }

  /**
   * Makes every write that has completed durable.
   *
   * @throws UserException if the device fails
   */
  public static void flush(BackingDevice device) {
    await(device, "flushing", device::flush);
  }

  private static void await(BackingDevice device, String what, Consumer<Completion> request) {
    CompletableFuture<Integer> result = new CompletableFuture<>();
    request.accept(result::complete);
    int errno = result.join();
    if (errno != 0) {
      throw new UserException(
          "backing " + device.name() + ": " + what + " failed: " + Errno.text(errno));
    }
  }
}
