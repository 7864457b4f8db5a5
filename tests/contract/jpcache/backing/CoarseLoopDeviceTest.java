package jpcache.backing;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** A block device with 4 KiB blocks, of which requests may be parts. */
class CoarseLoopDeviceTest extends BackingDeviceContract {
  @Override
  Path medium(long sizeBytes) throws IOException {
    return media.loop(Media.file(media.onDisk(), sizeBytes), 4096);
  }

  @Override
  boolean isFile() {
    return false;
  }

  @Test
  void itsBlockIsThatOfTheDevice() throws IOException {
    try (BackingDevice device =
        BackingDevices.open(medium(8192).toString(), BackingOptions.readWrite())) {
      assertEquals(4096, device.blockBytes());
    }
  }
}
