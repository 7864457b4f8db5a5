package jpcache.backing;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongSupplier;
import jpcache.base.Completion;
import jpcache.base.Errno;
import org.jspecify.annotations.Nullable;

/**
 * A file or block device, read and written past the page cache.
 *
 * <p>A request is checked whole, cut at {@link Geometry#directEndBytes} if it reaches into the
 * tail, and each part goes to the raw I/O: as it is where its alignment allows, otherwise by a
 * {@link Bounce}. The tail, and everything when the file system has no O_DIRECT, goes through the
 * plain descriptor, which takes any alignment. No byte is ever written through both descriptors,
 * nor any page, so the two cannot disagree; fdatasync on either covers the whole inode.
 *
 * <p>Requests complete on the raw I/O's threads, under no lock.
 *
 * <p>Where memory is wanting a request ends with ENOMEM. What a step needs is allocated before
 * anything of it has begun, and the raw I/O refuses a call only as a whole: so each step tells its
 * own failure, once, and nothing throws.
 */
final class DirectDevice implements BackingDevice {
  private final String name;
  private final Geometry geometry;
  private final boolean readOnly;
  private final RawIo io;
  private final Transfer.Descriptor direct;
  private final Transfer.Descriptor plain;
  private final Runnable release;

  private final InFlight inFlight = new InFlight();
  private final BounceBuffers buffers;
  private final WriteOrder writeOrder = new WriteOrder();
  private final Flushes flushes;
  private final Holes holes;
  private final ZeroRange.Unsupported cannotZero = new ZeroRange.Unsupported();
  private final ZeroWrites.Target zeroTarget = this::writeParts;

  /** How many ranges are being zeroed by a call that has the inode. */
  private final AtomicInteger zeroing = new AtomicInteger();

  /**
   * A device over open descriptors.
   *
   * @param directFd open with O_DIRECT; not used if the geometry has no direct part
   * @param plainFd open without
   * @param release gives the descriptors up; called when the last request has ended
   */
  DirectDevice(
      String name,
      Geometry geometry,
      boolean readOnly,
      RawIo io,
      int directFd,
      int plainFd,
      Runnable release) {
    this.name = name;
    this.geometry = geometry;
    this.readOnly = readOnly;
    this.io = io;
    this.direct = new Transfer.Descriptor(directFd, geometry.alignmentBytes());
    this.plain = new Transfer.Descriptor(plainFd, 1);
    this.release = release;
    this.buffers = new BounceBuffers(geometry.memoryAlignmentBytes());
    this.flushes = new Flushes(io, plainFd);
    this.holes = new Holes(plainFd, geometry.blockBytes());
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public long sizeBytes() {
    return geometry.sizeBytes();
  }

  @Override
  public int blockBytes() {
    return geometry.blockBytes();
  }

  @Override
  public int directAlignmentBytes() {
    return geometry.alignmentBytes();
  }

  @Override
  public int preferredBlockBytes() {
    return geometry.preferredBlockBytes();
  }

  @Override
  public boolean readOnly() {
    return readOnly;
  }

  @Override
  public int queueDepth() {
    return io.depth();
  }

  @Override
  public void read(long offsetBytes, int lengthBytes, long address, Completion done) {
    int refusal = check(offsetBytes, lengthBytes);
    if (refusal != 0 || lengthBytes == 0) {
      done.complete(refusal);
      return;
    }
    Completion leaving = enter(done);
    if (leaving != null) {
      readParts(offsetBytes, lengthBytes, address, leaving);
    }
  }

  private void readParts(long offsetBytes, int lengthBytes, long address, Completion done) {
    int head = directBytes(offsetBytes, lengthBytes);
    Completion parts = parts(head, lengthBytes, done);
    if (parts == null) {
      return;
    }
    if (head > 0) {
      readDirect(offsetBytes, head, address, parts);
    }
    if (head < lengthBytes) {
      Transfer.read(io, plain, offsetBytes + head, lengthBytes - head, address + head, parts);
    }
  }

  @Override
  public void write(long offsetBytes, int lengthBytes, long address, Completion done) {
    int refusal = readOnly ? Errno.EROFS : check(offsetBytes, lengthBytes);
    if (refusal != 0 || lengthBytes == 0) {
      done.complete(refusal);
      return;
    }
    Completion leaving = enter(done);
    if (leaving != null) {
      writeParts(offsetBytes, lengthBytes, address, leaving);
    }
  }

  private void writeParts(long offsetBytes, int lengthBytes, long address, Completion done) {
    int head = directBytes(offsetBytes, lengthBytes);
    Completion parts = parts(head, lengthBytes, done);
    if (parts == null) {
      return;
    }
    if (head > 0) {
      orderAndWriteDirect(offsetBytes, head, address, parts);
    }
    if (head < lengthBytes) {
      Transfer.write(io, plain, offsetBytes + head, lengthBytes - head, address + head, parts);
    }
  }

  /**
   * Whole blocks of the file system are left to it; what is smaller it would change in the page
   * cache, where nothing of ours may be, so there zeros are written.
   */
  @Override
  public void zero(long offsetBytes, long lengthBytes, boolean unmap, Completion done) {
    int refusal = readOnly ? Errno.EROFS : check(offsetBytes, lengthBytes);
    if (refusal != 0 || lengthBytes == 0) {
      done.complete(refusal);
      return;
    }
    Completion leaving = enter(done);
    if (leaving == null) {
      return;
    }
    long end = offsetBytes + lengthBytes;
    long unit = Math.max(geometry.granuleBytes(), geometry.preferredBlockBytes());
    long from = Math.min((offsetBytes + unit - 1) & -unit, end);
    long to = Math.max(end & -unit, from);
    Completion parts;
    OrderedZero blocks;
    try {
      parts = new Join(3, leaving);
      blocks = from == to ? null : new OrderedZero(from, to, unmap, parts);
    } catch (OutOfMemoryError e) {
      leaving.complete(Errno.ENOMEM);
      return;
    }
    ZeroWrites.start(zeroTarget, offsetBytes, from - offsetBytes, parts);
    ZeroWrites.start(zeroTarget, to, end - to, parts);
    if (blocks == null) {
      parts.complete(0);
    } else {
      blocks.enter();
    }
  }

  @Override
  public long nextHole(long fromBytes, long toBytes) {
    return unlessBusy(toBytes, () -> holes.nextHole(fromBytes, toBytes));
  }

  @Override
  public long nextData(long fromBytes, long toBytes) {
    return unlessBusy(fromBytes, () -> holes.nextData(fromBytes, toBytes));
  }

  /** Asks the file system unless it would have the caller wait for a call of zero's to end. */
  private long unlessBusy(long otherwise, LongSupplier question) {
    if (!inFlight.enter()) {
      return otherwise;
    }
    try {
      return zeroing.get() > 0 ? otherwise : question.getAsLong();
    } finally {
      inFlight.leave();
    }
  }

  @Override
  public void flush(Completion done) {
    Completion leaving = enter(done);
    if (leaving == null) {
      return;
    }
    if (readOnly) {
      leaving.complete(0);
    } else {
      flushes.flush(leaving);
    }
  }

  @Override
  public void close() {
    if (inFlight.close()) {
      io.close();
      release.run();
    }
  }

  private int check(long offsetBytes, long lengthBytes) {
    boolean inside =
        offsetBytes >= 0
            && lengthBytes >= 0
            && lengthBytes <= geometry.sizeBytes()
            && offsetBytes <= geometry.sizeBytes() - lengthBytes;
    boolean sectors = ((offsetBytes | lengthBytes) & (SECTOR_BYTES - 1)) == 0;
    return inside && sectors ? 0 : Errno.EINVAL;
  }

  /** How much of the request lies before the tail. */
  private int directBytes(long offsetBytes, int lengthBytes) {
    return Math.clamp(geometry.directEndBytes() - offsetBytes, 0, lengthBytes);
  }

  /** What the parts of a request complete; null if it has failed. */
  private static @Nullable Completion parts(int headBytes, int lengthBytes, Completion done) {
    try {
      return headBytes == 0 || headBytes == lengthBytes ? done : new Join(2, done);
    } catch (OutOfMemoryError e) {
      done.complete(Errno.ENOMEM);
      return null;
    }
  }

  private void readDirect(long offsetBytes, int lengthBytes, long address, Completion done) {
    if (geometry.direct(offsetBytes, lengthBytes, address)) {
      Transfer.read(io, direct, offsetBytes, lengthBytes, address, done);
    } else {
      bounce(false, offsetBytes, lengthBytes, address, done);
    }
  }

  private void orderAndWriteDirect(
      long offsetBytes, int lengthBytes, long address, Completion done) {
    if (geometry.granuleBytes() == SECTOR_BYTES) {
      writeDirect(offsetBytes, lengthBytes, address, done); // there are no partial writes
      return;
    }
    OrderedWrite write;
    try {
      write = new OrderedWrite(offsetBytes, lengthBytes, address, done);
    } catch (OutOfMemoryError e) {
      done.complete(Errno.ENOMEM);
      return;
    }
    write.enter();
  }

  private void writeDirect(long offsetBytes, int lengthBytes, long address, Completion done) {
    if (geometry.direct(offsetBytes, lengthBytes, address)) {
      Transfer.write(io, direct, offsetBytes, lengthBytes, address, done);
    } else {
      bounce(true, offsetBytes, lengthBytes, address, done);
    }
  }

  private void bounce(
      boolean write, long offsetBytes, int lengthBytes, long address, Completion done) {
    Bounce bounce;
    try {
      bounce =
          new Bounce(io, direct, geometry, buffers, write, offsetBytes, lengthBytes, address, done);
    } catch (OutOfMemoryError e) {
      done.complete(Errno.ENOMEM);
      return;
    }
    bounce.start();
  }

  /** A write that may have to wait for neighbours, or they for it. */
  private final class OrderedWrite implements Completion {
    private final WriteOrder.Range range;
    private final Completion done;

    OrderedWrite(long offsetBytes, int lengthBytes, long address, Completion done) {
      this.done = done;
      this.range =
          new WriteOrder.Range(
              geometry.down(offsetBytes),
              geometry.up(offsetBytes + lengthBytes),
              !geometry.whole(offsetBytes, lengthBytes),
              () -> writeDirect(offsetBytes, lengthBytes, address, this));
    }

    void enter() {
      writeOrder.enter(range);
    }

    @Override
    public void complete(int errno) {
      writeOrder.leave(range);
      done.complete(errno);
    }
  }

  /** Zeros that go where partial writes may be under way, or may come. */
  private final class OrderedZero implements Completion {
    private final WriteOrder.Range range;
    private final Completion done;

    OrderedZero(long fromBytes, long toBytes, boolean unmap, Completion done) {
      this.done = done;
      ZeroRange zeros =
          new ZeroRange(
              io, plain.fd(), cannotZero, fromBytes, toBytes, unmap, this, this::writeInstead);
      range = new WriteOrder.Range(fromBytes, toBytes, false, zeros::start);
    }

    void enter() {
      zeroing.incrementAndGet();
      writeOrder.enter(range);
    }

    /** The writes of zeros find their own places in the order. */
    private void writeInstead(long offsetBytes, long lengthBytes) {
      leave();
      ZeroWrites.start(zeroTarget, offsetBytes, lengthBytes, done);
    }

    @Override
    public void complete(int errno) {
      leave();
      done.complete(errno);
    }

    private void leave() {
      zeroing.decrementAndGet();
      writeOrder.leave(range);
    }
  }

  /** Counts a request, and returns what it is to complete; null if it has failed. */
  private @Nullable Completion enter(Completion done) {
    Completion leaving;
    try {
      leaving = leaving(done);
    } catch (OutOfMemoryError e) {
      done.complete(Errno.ENOMEM);
      return null;
    }
    if (!inFlight.enter()) {
      done.complete(Errno.ESHUTDOWN);
      return null;
    }
    return leaving;
  }

  /** Tells the caller and then counts the request as gone, even if the caller's code throws. */
  private Completion leaving(Completion done) {
    return errno -> {
      try {
        done.complete(errno);
      } catch (Throwable e) {
        Mishaps.log(name, "a completion threw", e);
      } finally {
        inFlight.leave();
      }
    };
  }
}
