package jpcache.pmem;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import jpcache.backing.Media;
import jpcache.backing.Shell;
import jpcache.base.UserException;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A block device as the kernel has it below a cache; a loop device stands in for /dev/pmem0. */
class OfflineBlockDeviceTest {
  private static final long SIZE_BYTES = 8 << 20;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  private final Media media = new Media();
  private Path file = Path.of("");
  private String device = "";

  @BeforeEach
  void attach() throws IOException {
    file = Media.file(shm, SIZE_BYTES);
    device = media.loop(file, 512).toString();
  }

  @AfterEach
  void detach() throws IOException {
    media.close();
  }

  @Test
  void whatIsPersistedIsOnTheDevice() throws Exception {
    try (PmemRegion region = PmemFiles.openOffline(device, null);
        Arena arena = Arena.ofConfined()) {
      assertEquals(SIZE_BYTES, region.sizeBytes());
      assertEquals(PmemRegion.Kind.NOT_PMEM, region.kind());
      MemorySegment bytes = arena.allocate(24, 8).fill((byte) 7);
      region.persist(12_345, bytes.address(), bytes.byteSize());
      assertEquals(7, region.view().get(ValueLayout.JAVA_BYTE, 12_345));
      try (RandomAccessFile image = new RandomAccessFile(file.toFile(), "r")) {
        byte[] stored = new byte[26];
        image.seek(12_344);
        image.readFully(stored);
        assertEquals(0, stored[0]);
        assertEquals(7, stored[1]);
        assertEquals(7, stored[24]);
        assertEquals(0, stored[25]);
      }
    }
  }

  @Test
  void itIsThisProcessAlones() {
    PmemRegion region = PmemFiles.openOffline(device, null);
    try (region) {
      UserException e =
          assertThrows(UserException.class, () -> PmemFiles.openOffline(device, null));
      assertTrue(String.valueOf(e.getMessage()).startsWith(device + ": "), e::toString);
    }
    PmemFiles.openOffline(device, null).close();
  }

  @Test
  void aMountedOneIsRefusedWhetherItIsToBeWrittenOrRead() throws Exception {
    Shell.run("mkfs.ext4", "-q", device);
    try (Media mounted = new Media()) {
      String refusal = device + ": is in use: it is mounted on " + mounted.mount(device);
      assertEquals(refusal, refused(() -> ReadOnlyMapping.open(device)));
      assertEquals(refusal, refused(() -> PmemFiles.openOffline(device, null)));
    }
    ReadOnlyMapping.open(device).close();
  }

  @Test
  void readersLookTogetherButNotBesideAWriter() {
    try (ReadOnlyMapping first = ReadOnlyMapping.open(device)) {
      ReadOnlyMapping.open(first.name()).close();
      assertTrue(refused(() -> PmemFiles.openOffline(device, null)).contains("is in use by"));
    }
    try (PmemRegion region = PmemFiles.openOffline(device, null)) {
      assertTrue(refused(() -> ReadOnlyMapping.open(region.name())).contains("is in use by"));
    }
  }

  private static String refused(Runnable opening) {
    return String.valueOf(assertThrows(UserException.class, opening::run).getMessage());
  }
}
