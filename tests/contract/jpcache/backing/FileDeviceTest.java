package jpcache.backing;

import java.io.IOException;
import java.nio.file.Path;

/** A file on the disk that the build is on, whatever its file system allows. */
class FileDeviceTest extends BackingDeviceContract {
  @Override
  Path medium(long sizeBytes) throws IOException {
    return Media.file(media.onDisk(), sizeBytes);
  }
}
