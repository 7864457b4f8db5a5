package jpcache.backing;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** A file whose file system takes O_DIRECT only in 4 KiB: most requests bounce. */
class CoarseFileDeviceTest extends BackingDeviceContract {
  @Override
  Path medium(long sizeBytes) throws IOException {
    return Media.file(media.coarseFileSystem(32 << 20), sizeBytes);
  }

  @Test
  void itIsCoarseIndeed() throws IOException {
    try (BackingDevice device =
        BackingDevices.open(medium(8192).toString(), BackingOptions.readWrite())) {
      assertEquals(512, device.blockBytes());
      assertEquals(4096, device.directAlignmentBytes());
    }
  }
}
