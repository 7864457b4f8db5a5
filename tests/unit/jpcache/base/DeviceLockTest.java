package jpcache.base;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class DeviceLockTest {
  @TempDir private Path directory;
  private Path file;
  private final List<Integer> open = new ArrayList<>();

  @BeforeEach
  void create() throws IOException {
    file = directory.resolve("image");
    Files.write(file, new byte[4096]);
  }

  @AfterEach
  void closeAll() {
    open.forEach(Posix::close);
  }

  @Test
  void twoReadersShareAFile() {
    DeviceLock.shared(reader(), "image");
    assertDoesNotThrow(() -> DeviceLock.shared(reader(), "image"));
  }

  @Test
  void aWriterKeepsWritersAndReadersOff() {
    DeviceLock.exclusive(writer(), "image");
    refusedBy(() -> DeviceLock.exclusive(writer(), "image"), "this process itself");
    refusedBy(() -> DeviceLock.shared(reader(), "image"), "this process itself");
  }

  @Test
  void aReaderKeepsAWriterOff() {
    DeviceLock.shared(reader(), "image");
    refusedBy(() -> DeviceLock.exclusive(writer(), "image"), "this process itself");
  }

  @Test
  void closingTheFileUnlocksIt() {
    int first = writer();
    DeviceLock.exclusive(first, "image");
    Posix.close(first);
    open.clear();
    assertDoesNotThrow(() -> DeviceLock.exclusive(writer(), "image"));
  }

  @Test
  void aPosixLockOfOneByteCounts() throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE);
        FileLock lock = channel.lock(100, 1, false)) {
      assertTrue(lock.isValid());
      refusedBy(() -> DeviceLock.exclusive(writer(), "image"), "this process itself");
    }
  }

  /** That is how qemu locks an image: read locks of single bytes, which name no process. */
  @Test
  void anOpenFileDescriptionLockCountsAndItsHolderIsFound() {
    int qemu = reader();
    lockByte(qemu, 100, (short) 0);
    refusedBy(() -> DeviceLock.exclusive(writer(), "image"), "this process itself");
    assertDoesNotThrow(() -> DeviceLock.shared(reader(), "image"));
  }

  @Test
  void anotherProcessIsNamed() throws IOException, InterruptedException {
    // cat says when it has the lock, and keeps it until its input ends.
    Process holder =
        new ProcessBuilder("flock", "--no-fork", file.toString(), "cat")
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try {
      holder.outputWriter().append("locked\n").flush();
      assertEquals("locked", holder.inputReader().readLine());
      refusedBy(
          () -> DeviceLock.exclusive(writer(), "image"), "process " + holder.pid() + " (cat)");
    } finally {
      holder.outputWriter().close();
      holder.waitFor();
    }
    assertDoesNotThrow(() -> DeviceLock.exclusive(writer(), "image"));
  }

  /** As the kernel keeps a file locked that a killed process still has requests under way on. */
  @Test
  void aLockThatIsNoProcesssIsWaitedFor() throws InterruptedException {
    long kept = lockWithoutAProcess();
    AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
    int fd = writer();
    Thread waiter =
        Thread.ofPlatform()
            .uncaughtExceptionHandler((thread, e) -> failure.set(e))
            .start(() -> DeviceLock.exclusive(fd, "image", TimeUnit.MINUTES.toMillis(1)));
    while (waiter.isAlive() && waiter.getState() != Thread.State.TIMED_WAITING) {
      Thread.onSpinWait();
    }
    assertTrue(waiter.isAlive(), () -> "it waits: " + failure.get());
    Posix.munmap(kept, 4096);
    waiter.join();
    assertNull(failure.get());
    refusedBy(() -> DeviceLock.exclusive(writer(), "image"), "this process itself");
  }

  @Test
  void aLockThatNobodyGivesUpIsNotWaitedForForEver() {
    long kept = lockWithoutAProcess();
    refusedBy(() -> DeviceLock.exclusive(writer(), "image", 30), "another process");
    Posix.munmap(kept, 4096);
  }

  /** A lock of a file that is open because it is mapped, and that no descriptor shows. */
  private long lockWithoutAProcess() {
    int fd = Posix.open(file.toString(), Posix.O_RDWR, 0);
    lockByte(fd, 0, (short) 1);
    long mapped = Posix.mmap(4096, Posix.PROT_READ, Posix.MAP_SHARED, fd, 0);
    assertTrue(mapped > 0);
    Posix.close(fd);
    return mapped;
  }

  private static void lockByte(int fd, long at, short type) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment lock = arena.allocate(32, 8);
      lock.set(ValueLayout.JAVA_SHORT, 0, type);
      lock.set(ValueLayout.JAVA_LONG, 8, at);
      lock.set(ValueLayout.JAVA_LONG, 16, 1);
      assertEquals(0, Posix.fcntl(fd, 37, lock.address()));
    }
  }

  @Test
  void aFileThatIsNotOpenForWritingCannotBeLockedExclusively() {
    UserException e =
        assertThrows(UserException.class, () -> DeviceLock.exclusive(reader(), "image"));
    assertEquals("image: cannot be locked: Bad file descriptor", e.getMessage());
  }

  private static void refusedBy(Runnable lock, String holder) {
    UserException e = assertThrows(UserException.class, lock::run);
    assertEquals("image: is in use by " + holder + "; stop it, or choose another", e.getMessage());
  }

  private int reader() {
    return open(Posix.O_RDONLY);
  }

  private int writer() {
    return open(Posix.O_RDWR);
  }

  private int open(int flags) {
    int fd = Posix.open(file.toString(), flags, 0);
    assertTrue(fd >= 0, () -> Errno.text(-fd));
    open.add(fd);
    return fd;
  }
}
