package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import jpcache.Seeds;
import jpcache.base.Posix;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class ReplyMemoryTest {
  private static final int LIMIT = 4 << 20;

  private final long before = NativeMemory.inUseBytes();
  private final ClientSocket socket = new ClientSocket(Posix.eventfd());
  private final ReplyQueue queue =
      new ReplyQueue(socket, Thread.currentThread(), LIMIT, new NbdMetrics());
  private final ReplyMemory memory = new ReplyMemory(LIMIT);

  @AfterEach
  void givesEverythingBack() {
    memory.close();
    queue.close();
    socket.close();
    assertEquals(before, NativeMemory.inUseBytes());
  }

  private Reply reserve(int bytes) {
    Reply reply = new Reply(queue);
    assertTrue(memory.reserve(reply, bytes));
    return reply;
  }

  @Test
  void laysRepliesOutOneAfterTheOther() {
    Reply first = reserve(4112);
    Reply second = reserve(16);
    Reply third = reserve(4112);
    assertEquals(first.address() + 4112, second.address());
    assertEquals(second.address() + 16, third.address());
  }

  @Test
  void usesAChunkAgainFromItsStartOnceAllItsRepliesAreOut() {
    Reply first = reserve(4112);
    Reply second = reserve(16);
    long start = first.address();
    second.release();
    memory.recycle();
    assertNotEquals(start, reserve(16).address(), "the first reply is still there");
    first.release();
    memory.recycle();
    assertNotEquals(start, reserve(16).address(), "the third as well");
  }

  @Test
  void refusesWhatWouldPassItsLimitUntilSomethingIsOut() {
    List<Reply> replies = new ArrayList<>();
    for (int i = 0; i < LIMIT / ReplyMemory.CHUNK_BYTES; i++) {
      replies.add(reserve(ReplyMemory.CHUNK_BYTES));
    }
    assertFalse(memory.reserve(new Reply(queue), 16));
    assertEquals(LIMIT, memory.mappedBytes());
    replies.get(2).release();
    memory.recycle();
    reserve(16);
    assertEquals(LIMIT, memory.mappedBytes());
  }

  @Test
  void grantsOneReplyThatIsLargerThanTheLimitWhenThereIsNoOther() {
    Reply small = reserve(16);
    assertFalse(memory.reserve(new Reply(queue), 2 * LIMIT));
    small.release();
    memory.recycle();
    Reply large = reserve(2 * LIMIT);
    assertFalse(memory.reserve(new Reply(queue), 16));
    large.release();
    memory.recycle();
    memory.trim();
    assertEquals(0, memory.mappedBytes());
  }

  @Test
  void neverPassesItsLimitNorOverlapsReplies() {
    long seed = Seeds.next(ReplyMemoryTest.class);
    Random random = new Random(seed);
    record Live(Reply reply, int bytes) {}
    List<Live> live = new ArrayList<>();
    for (int i = 0; i < 20_000; i++) {
      Reply reply = new Reply(queue);
      int bytes = random.nextInt(1, random.nextInt(50) == 0 ? LIMIT / 2 : 70_000);
      if (random.nextBoolean() && memory.reserve(reply, bytes)) {
        for (Live other : live) {
          assertTrue(
              reply.address() + bytes <= other.reply.address()
                  || other.reply.address() + other.bytes <= reply.address(),
              "seed " + seed);
        }
        live.add(new Live(reply, bytes));
      } else if (!live.isEmpty()) {
        live.remove(random.nextInt(live.size())).reply.release();
        memory.recycle();
      }
      assertTrue(memory.mappedBytes() <= LIMIT, "seed " + seed);
    }
  }
}
