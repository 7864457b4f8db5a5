package jpcache.cache;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import jpcache.backing.MemoryBacking;
import jpcache.base.Errno;
import jpcache.block.BlockQueue;
import jpcache.media.CacheMode;
import jpcache.media.MediaFormatter;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Writes that wait keep their order, hold nobody up for ever, and each completes once. */
class BacklogTest {
  private static final int LOGICAL_BYTES = 64 << 20;
  private static final int PENDING = -1;
  private static final int WRITE_BYTES = 4 << 20;

  private final Arena arena = Arena.ofShared();
  private final MemoryRegion region = new MemoryRegion(512L << 20);
  private final MemorySegment buffer = arena.allocate(32 << 20);
  private final MemoryBacking backing = new MemoryBacking(new byte[LOGICAL_BYTES]);
  private final Cache cache;

  BacklogTest() {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 90);
    cache = Cache.open(region, backing, CacheOptions.defaults().withLanes(1));
  }

  @AfterEach
  void unmap() {
    region.close();
    arena.close();
  }

  /** Uses up the room with committed writes. */
  private void fill(BlockQueue queue) {
    while (cache.backlog().isEmpty()) {
      queue.write(32 << 20, WRITE_BYTES, buffer.address(), false, e -> {});
      queue.commit();
    }
  }

  private void stepUntilNobodyWaits() {
    for (int step = 0; !cache.backlog().isEmpty(); step++) {
      cache.maintenance().step(System.nanoTime());
      assertTrue(step < 10_000, "no progress");
    }
  }

  private byte read(BlockQueue queue, long offset) {
    int[] result = {PENDING};
    queue.read(offset, 512, buffer.address(), e -> result[0] = e);
    assertEquals(0, result[0]);
    return buffer.get(JAVA_BYTE, 0);
  }

  private void write(BlockQueue queue, long offset, int length, char fill, List<Character> order) {
    try (Arena own = Arena.ofConfined()) {
      MemorySegment data = own.allocate(length).fill((byte) fill);
      // Address and bytes are looked at before commit returns; a queue that copies late would fail.
      queue.write(offset, length, data.address(), false, e -> order.add(e == 0 ? fill : '!'));
    }
  }

  @Test
  void ofTwoWritesOfABatchTheLaterOneWinsEvenIfItAloneWaits() {
    List<Character> order = new ArrayList<>();
    try (BlockQueue queue = cache.openQueue();
        BlockQueue other = cache.openQueue()) {
      write(queue, 0, 512, 'a', order);
      fill(other);
      write(queue, 0, 512, 'b', order);
      stepUntilNobodyWaits();
      queue.commit();
      assertEquals('b', read(queue, 0));
      assertEquals(2, order.size());
    }
  }

  @Test
  void writesThatWaitAreServedInTheOrderInWhichTheyCame() {
    List<Character> order = new ArrayList<>();
    try (BlockQueue one = cache.openQueue();
        BlockQueue two = cache.openQueue()) {
      fill(one);
      for (char fill = 'a'; fill <= 'h'; fill++) {
        write(fill % 2 == 0 ? one : two, 0, fill == 'd' ? 32 << 20 : 512, fill, order);
      }
      stepUntilNobodyWaits();
      assertEquals(List.of('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'), order);
      assertEquals('h', read(one, 0));
    }
  }

  /** What has been staged holds room, so who waits for room must not sit on it. */
  @Test
  void aClientThatIsHeldUpInTheMiddleOfABatchDoesNotWaitForItself() throws Exception {
    AtomicInteger completed = new AtomicInteger();
    int writes = (int) ((512L << 20) / WRITE_BYTES) + 60;
    Thread client =
        Thread.ofPlatform()
            .daemon()
            .start(() -> {
              try (BlockQueue queue = cache.openQueue()) {
                for (int i = 0; i < writes; i++) {
                  queue.write(
                      (long) i % 8 * WRITE_BYTES,
                      WRITE_BYTES,
                      buffer.address(),
                      false,
                      e -> completed.incrementAndGet());
                }
                queue.commit();
              }
            });
    long deadline = System.nanoTime() + 20_000_000_000L;
    while (completed.get() < writes && System.nanoTime() < deadline) {
      cache.maintenance().step(System.nanoTime());
      Thread.onSpinWait();
    }
    cache.stopWaiting();
    client.join();
    assertEquals(writes, completed.get());
  }

  @Test
  void aWriteWhoseServiceThrowsFailsAndThoseBehindItGoOn() {
    List<Character> order = new ArrayList<>();
    try (BlockQueue queue = cache.openQueue()) {
      fill(queue);
      write(queue, 0, 1536, 'a', order);
      write(queue, 4096, 512, 'b', order);
      region.watch((offset, length) -> {
        if (length == 1536) {
          throw new IllegalStateException("a test");
        }
      });
      assertThrows(IllegalStateException.class, this::stepUntilNobodyWaits);
      stepUntilNobodyWaits();
      assertEquals(List.of('!', 'b'), order);
    }
  }

  @Test
  void closingFailsWhoWaitsAndWhoIsHeldUpAndEachOnlyOnce() throws Exception {
    AtomicInteger succeeded = new AtomicInteger();
    AtomicInteger shutDown = new AtomicInteger();
    AtomicInteger handedOver = new AtomicInteger();
    List<Thread> clients = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      clients.add(
          Thread.ofPlatform()
              .daemon()
              .start(() -> {
                try (BlockQueue queue = cache.openQueue()) {
                  while (shutDown.get() == 0) {
                    handedOver.incrementAndGet();
                    queue.write(
                        0,
                        WRITE_BYTES,
                        buffer.address(),
                        false,
                        e -> (e == Errno.ESHUTDOWN ? shutDown : succeeded).incrementAndGet());
                    queue.commit();
                  }
                }
              }));
    }
    while (clients.stream().anyMatch(client -> client.getState() != Thread.State.WAITING)) {
      Thread.onSpinWait();
    }
    cache.stopWaiting();
    for (Thread client : clients) {
      client.join();
    }
    assertEquals(handedOver.get(), succeeded.get() + shutDown.get());
    assertTrue(shutDown.get() > 16, "64 MiB waited: " + shutDown);
  }
}
