package jpcache.backing;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.PrintWriter;
import java.lang.foreign.Arena;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.atomic.AtomicInteger;
import jpcache.base.Posix;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What either raw I/O does where memory or threads are wanting. */
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RawIoTest {
  private final Media media = new Media();
  private int fd;

  @BeforeEach
  void open() throws IOException {
    fd = Posix.open(Media.file(media.onDisk(), 4096).toString(), Posix.O_RDWR, 0);
  }

  @AfterEach
  void takeDown() throws IOException {
    Posix.close(fd);
    media.close();
  }

  /** What there is no memory to log. */
  private static final class Untold extends RuntimeException {
    private static final long serialVersionUID = 1;

    @Override
    public void printStackTrace(PrintWriter to) {
      throw new OutOfMemoryError("simulated");
    }
  }

  @Test
  void theRingGoesOnAfterWhatThereIsNoMemoryToLog() throws Ring.UnavailableException {
    goesOn(UringIo.start(4));
  }

  @Test
  void thePoolGoesOnAfterWhatThereIsNoMemoryToLog() {
    goesOn(new PooledIo(1));
  }

  private void goesOn(RawIo io) {
    CompletableFuture<Integer> second = new CompletableFuture<>();
    io.sync(
        fd,
        result -> {
          io.sync(fd, second::complete);
          throw new Untold();
        });
    assertEquals(0, second.join());
    io.close();
  }

  /** Whatever the limit on processes is by the time there is work. */
  @Test
  void thePoolNeedsNoThreadButTheFirst() {
    AtomicInteger started = new AtomicInteger();
    ThreadFactory only =
        task -> {
          if (started.getAndIncrement() > 0) {
            throw new OutOfMemoryError("unable to create native thread: simulated");
          }
          return Thread.ofPlatform().daemon().unstarted(task);
        };
    RawIo io = new PooledIo(4, only);
    assertEquals(1, started.get());
    Flushes flushes = new Flushes(io, fd);
    try (Arena arena = Arena.ofShared()) {
      long memory = arena.allocate(4096).address();
      for (int i = 0; i < 10; i++) {
        CompletableFuture<Integer> written = new CompletableFuture<>();
        CompletableFuture<Integer> flushed = new CompletableFuture<>();
        io.write(fd, 0, 4096, memory, written::complete);
        flushes.flush(flushed::complete);
        assertEquals(4096, written.join());
        assertEquals(0, flushed.join());
      }
    }
    io.close();
  }
}
