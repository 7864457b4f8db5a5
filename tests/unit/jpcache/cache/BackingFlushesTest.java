package jpcache.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayDeque;
import java.util.Queue;
import jpcache.backing.TestDevice;
import jpcache.base.Completion;
import jpcache.base.Errno;
import org.junit.jupiter.api.Test;

/** Who is told what, on a device whose flushes end one by one, when the test says so. */
class BackingFlushesTest {
  private static final int PENDING = -1;

  private static final class FlushedDevice extends TestDevice {
    private final Queue<Completion> underWay = new ArrayDeque<>();

    FlushedDevice() {
      super("flushed device");
    }

    void end(int errno) {
      underWay.remove().complete(errno);
    }

    @Override
    public void flush(Completion done) {
      underWay.add(done);
    }

    @Override
    public long sizeBytes() {
      return 0;
    }

    @Override
    public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
      done.complete(Errno.EINVAL);
    }

    @Override
    public void write(long offsetBytes, int lengthBytes, long address, Completion done) {
      done.complete(Errno.EINVAL);
    }
  }

  private final FlushedDevice device = new FlushedDevice();
  private final BackingFlushes flushes = new BackingFlushes(device, false);

  private int[] flush() {
    int[] errno = {PENDING};
    flushes.flush(e -> errno[0] = e);
    return errno;
  }

  private int[] flushForClient() {
    int[] errno = {PENDING};
    flushes.flushForClient(e -> errno[0] = e);
    return errno;
  }

  @Test
  void whoComesDuringAFlushWaitsForTheNext() {
    int[] first = flush();
    int[] second = flush();
    int[] third = flush();
    device.end(0);
    assertEquals(0, first[0]);
    assertEquals(PENDING, second[0]);
    device.end(0);
    assertEquals(0, second[0]);
    assertEquals(0, third[0]);
    assertFalse(flushes.isBusy());
  }

  @Test
  void aFailureIsToldToThoseThatWaitForTheNextFlushToo() {
    int[] first = flush();
    int[] second = flushForClient();
    device.end(Errno.EIO);
    assertEquals(Errno.EIO, first[0]);
    assertEquals(Errno.EIO, second[0]);
    int[] third = flushForClient();
    device.end(0);
    assertEquals(0, third[0]);
  }

  @Test
  void theNextClientIsToldOfALossThatNoClientWasToldOf() {
    flushes.written();
    flush();
    device.end(Errno.EIO);
    assertTrue(flushes.isNeeded());
    int[] client = flushForClient();
    device.end(0);
    assertEquals(Errno.EIO, client[0]);
    int[] next = flushForClient();
    device.end(0);
    assertEquals(0, next[0], "one client is told once");
  }

  /** The client whose flush ended well before does not count as told. */
  @Test
  void theNextClientIsToldOfALossThatCameAfterAnothersGoodFlush() {
    int[] before = flushForClient();
    flushes.written();
    int[] others = flush();
    device.end(0);
    assertEquals(0, before[0]);
    device.end(Errno.EIO);
    assertEquals(Errno.EIO, others[0]);
    int[] client = flushForClient();
    device.end(0);
    assertEquals(Errno.EIO, client[0]);
  }

  @Test
  void whoThrowsWhenToldKeepsTheAnswerFromNobody() {
    flush();
    int[] before = flush();
    flushes.flush(e -> {
      throw new IllegalStateException("a mistake");
    });
    int[] behind = flush();
    device.end(0);
    assertThrows(IllegalStateException.class, () -> device.end(0));
    assertEquals(0, before[0]);
    assertEquals(0, behind[0]);
    assertFalse(flushes.isBusy());
  }
}
