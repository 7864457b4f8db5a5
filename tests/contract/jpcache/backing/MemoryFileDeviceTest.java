package jpcache.backing;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** A file on tmpfs: everything through the page cache. */
class MemoryFileDeviceTest extends BackingDeviceContract {
  @Override
  Path medium(long sizeBytes) throws IOException {
    return Media.file(media.directory(Path.of("/dev/shm")), sizeBytes);
  }

  @Test
  void nothingIsCopiedForItsAlignment() throws IOException {
    try (BackingDevice device =
        BackingDevices.open(medium(8192).toString(), BackingOptions.readWrite())) {
      assertEquals(512, device.directAlignmentBytes());
    }
  }
}
