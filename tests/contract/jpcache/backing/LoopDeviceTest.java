package jpcache.backing;

import java.io.IOException;
import java.nio.file.Path;

/** A block device. */
class LoopDeviceTest extends BackingDeviceContract {
  @Override
  Path medium(long sizeBytes) throws IOException {
    return media.loop(Media.file(media.onDisk(), sizeBytes), 512);
  }

  @Override
  boolean isFile() {
    return false;
  }
}
