package jpcache.backing;

import java.lang.foreign.MemorySegment;
import jpcache.base.Completion;
import jpcache.base.Errno;

/**
 * A read or write that O_DIRECT does not take as it is, made of whole granules in aligned memory of
 * our own, one piece of at most {@link BounceBuffers#MAX_BYTES} after the other.
 *
 * <pre>
 *        lo        position                         dataEnd   hi
 *        ├───────────┬────────┬─ ··· ──┬───────────────┬────────┤  one piece
 *        │ neighbour │ ours   │        │          ours │ neighb.│
 *        └───────────┴────────┴─ ··· ──┴───────────────┴────────┘
 * </pre>
 *
 * A read reads all of it and hands ours over. A write reads the first and the last granule if they
 * hold neighbours' bytes, lays ours over them and writes all; it is the caller's to keep others'
 * writes out of those granules meanwhile ({@link WriteOrder}).
 *
 * <p>A failure ends the request, so of a write some leading pieces may have been written.
 */
final class Bounce {
  private final RawIo io;
  private final Transfer.Descriptor file;
  private final Geometry geometry;
  private final BounceBuffers buffers;
  private final boolean write;
  private final long endBytes;
  private final Completion done;
  private final MemorySegment buffer;

  // Made once, so that no step of a request that has begun fails for want of them.
  private final Completion handOver = this::handOver;
  private final Completion layOver = this::layOver;
  private final Completion pieceDone = this::pieceDone;

  // One step at a time, each handed on by the raw I/O: no two threads see these at once.
  private long positionBytes;
  private long address;
  private long lo;
  private long hi;
  private long dataEnd;

  Bounce(
      RawIo io,
      Transfer.Descriptor file,
      Geometry geometry,
      BounceBuffers buffers,
      boolean write,
      long offsetBytes,
      int lengthBytes,
      long address,
      Completion done) {
    this.io = io;
    this.file = file;
    this.geometry = geometry;
    this.buffers = buffers;
    this.write = write;
    this.positionBytes = offsetBytes;
    this.endBytes = offsetBytes + lengthBytes;
    this.address = address;
    this.done = done;
    long span = geometry.up(endBytes) - geometry.down(offsetBytes);
    this.buffer = buffers.take((int) Math.min(span, BounceBuffers.MAX_BYTES));
  }

  void start() {
    lo = geometry.down(positionBytes);
    hi = Math.min(geometry.up(endBytes), lo + BounceBuffers.MAX_BYTES);
    dataEnd = Math.min(endBytes, hi);
    if (write) {
      readNeighbours();
    } else {
      Transfer.read(io, file, lo, (int) (hi - lo), buffer.address(), handOver);
    }
  }

  private void handOver(int errno) {
    if (errno == 0) {
      BounceBuffers.copy(at(positionBytes), address, dataEnd - positionBytes);
    }
    pieceDone(errno);
  }

  private void readNeighbours() {
    int granule = geometry.granuleBytes();
    long last = hi - granule;
    boolean head = positionBytes > lo;
    boolean tail = dataEnd < hi && !(head && last == lo);
    if (tail && !geometry.direct(last, granule, at(last))) {
      // Where a granule's own address will not do, they are read with all between them.
      Transfer.read(io, file, lo, (int) (hi - lo), buffer.address(), layOver);
    } else if (head && tail) {
      Completion both;
      try {
        both = new Join(2, layOver);
      } catch (OutOfMemoryError e) {
        pieceDone(Errno.ENOMEM);
        return;
      }
      Transfer.read(io, file, lo, granule, at(lo), both);
      Transfer.read(io, file, last, granule, at(last), both);
    } else if (head || tail) {
      long from = head ? lo : last;
      Transfer.read(io, file, from, granule, at(from), layOver);
    } else {
      layOver(0);
    }
  }

  private void layOver(int errno) {
    if (errno != 0) {
      pieceDone(errno);
      return;
    }
    BounceBuffers.copy(address, at(positionBytes), dataEnd - positionBytes);
    Transfer.write(io, file, lo, (int) (hi - lo), buffer.address(), pieceDone);
  }

  private void pieceDone(int errno) {
    if (errno == 0 && dataEnd < endBytes) {
      address += dataEnd - positionBytes;
      positionBytes = dataEnd;
      start();
      return;
    }
    buffers.give(buffer);
    done.complete(errno);
  }

  /** Where in our memory the device's byte is. */
  private long at(long offsetBytes) {
    return buffer.address() + offsetBytes - lo;
  }
}
