package jpcache.backing;

/** What devices that exist for a test or a measurement alone have in common. */
public abstract class TestDevice implements BackingDevice {
  private final String name;
  private final int blockBytes;
  private final int directAlignmentBytes;

  /** One with sectors of 512 bytes, which takes memory from any of them. */
  protected TestDevice(String name) {
    this(name, 512, 512);
  }

  protected TestDevice(String name, int blockBytes, int directAlignmentBytes) {
    this.name = name;
    this.blockBytes = blockBytes;
    this.directAlignmentBytes = directAlignmentBytes;
  }

  @Override
  public final String name() {
    return name;
  }

  @Override
  public final int blockBytes() {
    return blockBytes;
  }

  @Override
  public final int directAlignmentBytes() {
    return directAlignmentBytes;
  }

  @Override
  public final boolean readOnly() {
    return false;
  }

  @Override
  public void close() {}
}
