package jpcache.base;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
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
  void theHolderOfAFileIsKnownWithoutALock() {
    assertEquals(Optional.empty(), DeviceLock.holder(file));
    DeviceLock.exclusive(writer(), "image");
    long self = ProcessHandle.current().pid();
    assertEquals(
        Optional.of(new DeviceLock.Holder(self, "this process itself")), DeviceLock.holder(file));
    assertEquals(Optional.empty(), DeviceLock.holder(directory.resolve("missing")));
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
    Process holder = flock();
    try {
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
    waitsUntilUnmapped(lockWithoutAProcess());
  }

  /** /proc/locks names the process that took a flock, also when that has ended. */
  @Test
  void aLockOfAProcessThatHasEndedIsWaitedFor() throws IOException, InterruptedException {
    Process killed = flock();
    long kept;
    try {
      kept = mapDescriptorOf(killed);
    } finally {
      killed.destroyForcibly();
      killed.waitFor();
    }
    waitsUntilUnmapped(kept);
  }

  @Test
  void aLockThatItsProcessHasNothingOpenOfIsWaitedFor() throws InterruptedException {
    int fd = Posix.open(file.toString(), Posix.O_RDWR, 0);
    assertEquals(0, Posix.flock(fd, Posix.LOCK_EX));
    waitsUntilUnmapped(mapAndClose(fd));
  }

  @Test
  void whoHasInheritedALockIsNamed() throws IOException, InterruptedException {
    Process ended =
        new ProcessBuilder(
                "flock", "--no-fork", file.toString(), "sh", "-c", "sleep 60 >&2 & echo $!")
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    long heir = Long.parseLong(ended.inputReader().readLine());
    try {
      ended.waitFor();
      while (!Files.readString(Path.of("/proc/" + heir + "/comm")).equals("sleep\n")) {
        Thread.onSpinWait(); // a copy of its shell yet
      }
      refusedBy(() -> DeviceLock.exclusive(writer(), "image"), "process " + heir + " (sleep)");
    } finally {
      ProcessHandle.of(heir).ifPresent(ProcessHandle::destroyForcibly);
    }
  }

  private void waitsUntilUnmapped(long kept) throws InterruptedException {
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
    return mapAndClose(fd);
  }

  private static long mapAndClose(int fd) {
    long mapped = Posix.mmap(4096, Posix.PROT_READ, Posix.MAP_SHARED, fd, 0);
    assertTrue(mapped > 0);
    Posix.close(fd);
    return mapped;
  }

  /** Keeps what the process has open of the file, without a descriptor. */
  private long mapDescriptorOf(Process process) throws IOException {
    CFunction syscall = CFunction.returningLong("syscall");
    long pidfd = syscall.call(434, process.pid(), 0); // pidfd_open
    assertTrue(pidfd >= 0, () -> Errno.text((int) -pidfd));
    long fd = syscall.call(438, pidfd, descriptorOf(process), 0); // pidfd_getfd
    Posix.close((int) pidfd);
    assumeTrue(fd != -Errno.EPERM, "descriptors of other processes are not to be had here");
    return mapAndClose((int) fd);
  }

  private int descriptorOf(Process process) throws IOException {
    Path all = Path.of("/proc/" + process.pid() + "/fd");
    try (DirectoryStream<Path> descriptors = Files.newDirectoryStream(all)) {
      for (Path descriptor : descriptors) {
        if (Files.isSameFile(descriptor, file)) {
          return Integer.parseInt(descriptor.getFileName().toString());
        }
      }
    }
    throw new AssertionError(process + " has not opened " + file);
  }

  /** A process that has the lock, and keeps it until its input ends. */
  private Process flock() throws IOException {
    Process holder =
        new ProcessBuilder("flock", "--no-fork", file.toString(), "cat")
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    holder.outputWriter().append("locked\n").flush();
    assertEquals("locked", holder.inputReader().readLine());
    return holder;
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
