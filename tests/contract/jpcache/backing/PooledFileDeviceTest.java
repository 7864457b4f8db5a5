package jpcache.backing;

/** A file, by threads that block in the kernel. */
class PooledFileDeviceTest extends FileDeviceTest {
  @Override
  BackingOptions.Way way() {
    return BackingOptions.Way.POOL;
  }
}
