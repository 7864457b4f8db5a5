package jpcache.backing;

import static jpcache.backing.BackingDeviceContract.told;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.Reader;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import jpcache.base.Errno;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What opening refuses and how it says so, and faults that only real media have. */
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class BackingDevicesTest {
  private static final int MIB = 1 << 20;

  private final Media media = new Media();

  @AfterEach
  void takeDown() throws IOException {
    media.close();
  }

  private static final String WHY =
      "; what is dirty in the cache goes there, even with --read-only; `jpcache view` only reads";

  private static BackingDevice open(Path path) {
    return BackingDevices.open(path.toString(), BackingOptions.readWrite());
  }

  private static BackingDevice openForReading(Path path) {
    return BackingDevices.open(path.toString(), BackingOptions.forReading());
  }

  private static void assertRefused(Path path, String reason) throws IOException {
    assertEquals("backing " + path + ": " + reason, told(() -> open(path)));
    assertEquals(List.of(), descriptorsOf(path), "left open");
  }

  private static List<Path> descriptorsOf(Path path) throws IOException {
    List<Path> found = new ArrayList<>();
    try (DirectoryStream<Path> all = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
      for (Path fd : all) {
        if (Files.exists(fd) && Files.readSymbolicLink(fd).equals(path)) {
          found.add(fd);
        }
      }
    }
    return found;
  }

  @Test
  void aMissingFileIsToldWithHowToMakeOne() throws IOException {
    Path path = media.onDisk().resolve("missing");
    assertRefused(path, "No such file or directory; create a file with: truncate -s SIZE " + path);
  }

  @Test
  void onlyFilesAndBlockDevicesAreAccepted() throws IOException {
    Path directory = media.onDisk();
    assertRefused(directory, "is a directory, not a file or block device");
    assertRefused(Path.of("/dev/full"), "is a character device, not a file or block device");
    Path pipe = directory.resolve("pipe");
    Shell.run("mkfifo", pipe.toString());
    assertRefused(pipe, "is a named pipe, not a file or block device");
    assertRefused(directory.resolve("pipe/x"), "Not a directory");
  }

  @Test
  void aSizeThatIsNotWholeBlocksIsRefused() throws IOException {
    Path directory = media.onDisk();
    Path file = Media.file(directory, 0);
    assertRefused(file, "is empty; give a file its size with: truncate -s SIZE " + file);
    Media.file(directory, 100_000);
    assertRefused(file, "its size of 100000 bytes is not a multiple of 512; give it one that is");
  }

  @Test
  void aFileWithoutPermissionIsRefused() throws IOException {
    Path file = Media.file(media.onDisk(), MIB);
    Shell.run("chmod", "000", file.toString());
    assumeTrue(!Files.isReadable(file), "root may read anything");
    assertRefused(file, "cannot be opened for writing: Permission denied" + WHY);
  }

  @Test
  void aFileOnAReadOnlyFileSystemCanOnlyBeRead() throws IOException {
    Path disk = media.mount("-t", "tmpfs", "tmpfs");
    Path file = Media.file(disk, MIB);
    Shell.run("mount", "-o", "remount,ro", disk.toString());
    assertRefused(file, "cannot be opened for writing: Read-only file system" + WHY);
    openForReading(file).close();
  }

  @Test
  void aReadOnlyBlockDeviceCanOnlyBeRead() throws IOException {
    Path device = media.loop(Media.file(media.onDisk(), MIB), 512, "--read-only");
    assertRefused(device, "cannot be opened for writing: the device is read-only" + WHY);
    openForReading(device).close();
  }

  @Test
  void aFileThatIsALoopDeviceIsRefused() throws IOException {
    Path file = Media.file(media.onDisk(), MIB);
    Path loop = media.loop(file, 512);
    String reason = "is in use: it is attached to " + loop + "; detach it with: losetup -d " + loop;
    assertRefused(file, reason);
    assertEquals("backing " + file + ": " + reason, told(() -> openForReading(file)));
  }

  @Test
  void aFileThatIsAReadOnlyLoopDeviceMayBeRead() throws IOException {
    Path file = Media.file(media.onDisk(), MIB);
    media.loop(file, 512, "--read-only");
    openForReading(file).close();
  }

  @Test
  void aMountedBlockDeviceIsRefusedWithItsMountPoint() throws IOException {
    Path device = media.loop(Media.file(media.onDisk(), 8L * MIB), 512);
    Shell.run("mkfs.ext4", "-q", device.toString());
    Path at = media.mount(device.toString());
    String reason = "is in use: it is mounted on " + at;
    assertRefused(device, reason);
    assertEquals("backing " + device + ": " + reason, told(() -> openForReading(device)));
  }

  @Test
  void anOpenBlockDeviceCannotBeMounted() throws IOException {
    Path device = media.loop(Media.file(media.onDisk(), 8L * MIB), 512);
    Shell.run("mkfs.ext4", "-q", device.toString());
    Path at = media.onDisk();
    try (BackingDevice opened = open(device)) {
      assertEquals(8L * MIB, opened.sizeBytes());
      IOException refused =
          assertThrows(
              IOException.class, () -> Shell.run("mount", device.toString(), at.toString()));
      assertTrue(
          String.valueOf(refused.getMessage()).contains("already mounted"), refused::toString);
    }
  }

  @Test
  void whatAnotherProcessHasLockedIsRefusedWithItsPid() throws Exception {
    Path file = Media.file(media.onDisk(), MIB);
    Process other =
        new ProcessBuilder("flock", file.toString(), "sh", "-c", "echo locked; exec cat")
            .redirectErrorStream(true)
            .start();
    try (Reader out = other.inputReader()) {
      assertEquals('l', out.read());
      String told = told(() -> open(file));
      assertTrue(
          told.startsWith("backing " + file + ": is in use by process " + other.pid()), told);
    } finally {
      other.destroy();
      other.waitFor();
    }
  }

  /** As udev does while it looks at a change. */
  @Test
  void aSharedFlockOfABlockDeviceIsWaitedFor() throws Exception {
    Path device = media.loop(Media.file(media.onDisk(), MIB), 512);
    Process udev = flock("--shared", device, "0.3");
    try {
      open(device).close();
    } finally {
      udev.destroyForcibly();
      udev.waitFor();
    }
  }

  @Test
  void anExclusiveFlockOfABlockDeviceIsRefusedAtOnce() throws Exception {
    Path device = media.loop(Media.file(media.onDisk(), MIB), 512);
    Process other = flock("--exclusive", device, "2"); // waiting for it would help
    try {
      String told = told(() -> open(device));
      assertTrue(
          told.startsWith("backing " + device + ": is in use by process " + other.pid()), told);
    } finally {
      other.destroyForcibly();
      other.waitFor();
    }
  }

  /** A process that has the lock when this returns, for so long. */
  private static Process flock(String mode, Path device, String seconds) throws IOException {
    String command = "echo locked; exec sleep " + seconds;
    Process holder =
        new ProcessBuilder("flock", mode, "--no-fork", device.toString(), "sh", "-c", command)
            .redirectErrorStream(true)
            .start();
    assertEquals('l', holder.getInputStream().read());
    return holder;
  }

  @Test
  void aPathThatIsReplacedAfterwardsMakesNoDifference() throws IOException {
    Path directory = media.onDisk();
    Path file = Media.file(directory, MIB);
    try (BackingDevice device = open(file);
        Arena arena = Arena.ofShared()) {
      MemorySegment data = arena.allocate(4096, 4096).fill((byte) 5);
      Files.move(file, file.resolveSibling("moved"));
      Media.file(directory, MIB);
      SyncBacking.write(device, 0, 4096, data.address());
      SyncBacking.flush(device);
      open(file).close();
      assertEquals(5, Files.readAllBytes(file.resolveSibling("moved"))[4095]);
    }
  }

  @Test
  void aFullFileSystemIsTheErrorOfTheWriteThatItHits() throws IOException {
    Path file = Media.file(media.mount("-t", "tmpfs", "-o", "size=64k", "tmpfs"), 4L * MIB);
    try (BackingDevice device = open(file);
        Arena arena = Arena.ofShared()) {
      long memory = arena.allocate(MIB, 4096).address();
      Traffic.assertErrno(0, BackingDeviceContract.write(device, 0, 4096, memory));
      Traffic.assertErrno(Errno.ENOSPC, BackingDeviceContract.write(device, MIB, MIB, memory));
      Traffic.assertErrno(0, BackingDeviceContract.read(device, 0, MIB, memory));
    }
  }

  /** A loop device over a sparse file on a file system that is full fails as a dying disk does. */
  @Test
  void aDiskThatFailsWritesIsToldAndStillReads() throws IOException {
    Path file = Media.file(media.mount("-t", "tmpfs", "-o", "size=64k", "tmpfs"), 4L * MIB);
    try (BackingDevice device = open(media.loop(file, 512));
        Arena arena = Arena.ofShared()) {
      long memory = arena.allocate(MIB, 4096).address();
      int errno = 0;
      // Page by page: Linux's loop driver takes a write that was done in part for one that was
      // done.
      for (int page = 0; errno == 0 && page < 32; page++) {
        errno = BackingDeviceContract.write(device, page * 4096L, 4096, memory);
      }
      assertTrue(errno == Errno.EIO || errno == Errno.ENOSPC, Errno.text(errno));
      Traffic.assertErrno(0, BackingDeviceContract.read(device, 0, MIB, memory));
    }
  }
}
