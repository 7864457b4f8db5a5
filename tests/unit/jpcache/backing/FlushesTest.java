package jpcache.backing;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import jpcache.base.Errno;
import org.junit.jupiter.api.Test;

class FlushesTest {
  private static final int FD = 7;

  /** Syncs that were asked for and have not ended. */
  private final Deque<RawIo.Result> syncs = new ArrayDeque<>();

  private final List<String> told = new ArrayList<>();
  private boolean refuses;
  private final Flushes flushes = new Flushes(new Syncs(), FD);

  private final class Syncs implements RawIo {
    @Override
    public int depth() {
      return 1;
    }

    @Override
    public void sync(int fd, Result done) {
      assertEquals(FD, fd);
      if (refuses) {
        throw new OutOfMemoryError("simulated");
      }
      syncs.add(done);
    }

    @Override
    public void read(int fd, long offsetBytes, int lengthBytes, long address, Result done) {
      throw new AssertionError();
    }

    @Override
    public void write(int fd, long offsetBytes, int lengthBytes, long address, Result done) {
      throw new AssertionError();
    }

    @Override
    public void fallocate(int fd, int mode, long offsetBytes, long lengthBytes, Result done) {
      throw new AssertionError();
    }

    @Override
    public void close() {}
  }

  private void flush(String name) {
    flushes.flush(errno -> told.add(name + " " + errno));
  }

  private void endSync(int result) {
    syncs.remove().ended(result);
  }

  @Test
  void flushesAskedForDuringASyncShareTheNextOne() {
    flush("a");
    flush("b");
    flush("c");
    assertEquals(1, syncs.size());
    endSync(0);
    assertEquals(List.of("a 0"), told, "b and c may follow writes that the first did not cover");
    assertEquals(1, syncs.size());
    endSync(0);
    assertEquals(List.of("a 0", "b 0", "c 0"), told);
    assertEquals(0, syncs.size());
  }

  @Test
  void aFailureIsToldToThoseWhoWaitForTheNextSyncToo() {
    flush("a");
    flush("b");
    endSync(-Errno.EIO);
    assertEquals(List.of("a 5", "b 5"), told);
    assertEquals(0, syncs.size());
    flush("c");
    endSync(0);
    assertEquals("c 0", told.getLast());
  }

  @Test
  void anInterruptedSyncIsRepeated() {
    flush("a");
    endSync(-Errno.EINTR);
    assertEquals(List.of(), told);
    endSync(0);
    assertEquals(List.of("a 0"), told);
  }

  @Test
  void aSyncThatIsRefusedFailsThoseWhoWaitForItAndNobodyElse() {
    refuses = true;
    flush("a");
    assertEquals(List.of("a 12"), told);
    refuses = false;
    flush("b");
    flush("c");
    flush("d");
    refuses = true;
    endSync(0);
    assertEquals(List.of("a 12", "c 12", "d 12", "b 0"), told);
    flush("e");
    refuses = false;
    flush("f");
    endSync(0);
    assertEquals(List.of("e 12", "f 0"), told.subList(4, 6));
  }

  @Test
  void anInterruptedSyncThatIsRefusedHasFailed() {
    flush("a");
    refuses = true;
    endSync(-Errno.EINTR);
    assertEquals(List.of("a 12"), told);
    refuses = false;
    flush("b");
    endSync(0);
    assertEquals("b 0", told.getLast());
  }

  @Test
  void aFlushFromACompletionIsASyncOfItsOwn() {
    flushes.flush(errno -> flush("inner"));
    endSync(0);
    assertEquals(List.of(), told);
    endSync(0);
    assertEquals(List.of("inner 0"), told);
  }
}
