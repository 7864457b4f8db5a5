package jpcache.tools.rescue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Queue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.function.Consumer;
import jpcache.backing.BackingDevice;
import jpcache.backing.SyncBacking;
import jpcache.base.UserException;
import jpcache.extent.WriteBatch;
import jpcache.media.CacheMedia;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PoisonedMemoryException;

/**
 * Writes the extents of a batch to the backing device, up to {@value #DEPTH} requests at a time.
 *
 * <p>A large extent, or a lone one, that is aligned as the device likes it is written straight out
 * of the mapped cache. Small extents that follow each other are gathered into one request; the copy
 * is far cheaper than a request for each.
 *
 * <p>Zeros are made rather than written.
 *
 * <p>What fails is written once more when all others have ended: by itself, copied page by page.
 * That tells a page of the cache that cannot be read from a device that cannot be written.
 *
 * <p>Used by one thread.
 */
final class BatchWriter implements AutoCloseable {
  private static final int DEPTH = 32;
  private static final int CHUNK_BYTES = 1 << 20;

  /** From here on a request of its own costs less than the copy. */
  private static final int DIRECT_BYTES = 64 << 10;

  private static final int PAGE_BYTES = 4096;

  /**
   * Some bytes of a run, to be written by one request.
   *
   * @param extent the extent that they begin in
   */
  private record Chunk(int extent, long offsetBytes, int lengthBytes) {
    long end() {
      return offsetBytes + lengthBytes;
    }
  }

  private final CacheMedia media;
  private final BackingDevice backing;
  private final boolean skipUnreadable;
  private final Consumer<String> notices;
  private final Arena arena = Arena.ofShared();
  private final BlockingQueue<MemorySegment> buffers = new LinkedBlockingQueue<>();
  private final MemorySegment carefulBuffer;
  private final MemorySegment page = arena.allocate(PAGE_BYTES);
  private final Semaphore room = new Semaphore(DEPTH);
  private final Queue<Chunk> again = new ConcurrentLinkedQueue<>();
  private long skippedBytes;

  /**
   * A writer for batches of one cache.
   *
   * @param skipUnreadable what cannot be read of the cache is left as it is on the backing device,
   *     and {@code notices} is told
   */
  BatchWriter(
      CacheMedia media, BackingDevice backing, boolean skipUnreadable, Consumer<String> notices) {
    this.media = media;
    this.backing = backing;
    this.skipUnreadable = skipUnreadable;
    this.notices = notices;
    for (int i = 0; i < DEPTH; i++) {
      buffers.add(arena.allocate(CHUNK_BYTES, PAGE_BYTES));
    }
    carefulBuffer = arena.allocate(CHUNK_BYTES, PAGE_BYTES);
  }

  long skippedBytes() {
    return skippedBytes;
  }

  /**
   * Writes a planned batch. All of it has been written when this returns; durable after a flush.
   *
   * @throws UserException if a part cannot be read or written
   */
  void write(WriteBatch batch) {
    int extent = 0;
    long at = 0;
    while (extent < batch.extents()) {
      at = Math.max(at, batch.offsetBytes(extent));
      if (batch.isZeros(extent)) {
        zero(batch, extent);
        at = end(batch, extent);
      } else {
        Chunk chunk = chunk(batch, extent, at);
        submit(batch, chunk);
        at = chunk.end();
      }
      while (extent < batch.extents() && end(batch, extent) <= at) {
        extent++;
      }
    }
    room.acquireUninterruptibly(DEPTH);
    room.release(DEPTH);
    for (Chunk chunk = again.poll(); chunk != null; chunk = again.poll()) {
      if (batch.isZeros(chunk.extent())) {
        SyncBacking.zero(
            backing, chunk.offsetBytes(), chunk.lengthBytes(), batch.mayUnmap(chunk.extent()));
      } else {
        writeCarefully(batch, chunk);
      }
    }
  }

  private void zero(WriteBatch batch, int extent) {
    Chunk chunk = new Chunk(extent, batch.offsetBytes(extent), batch.lengthBytes(extent));
    room.acquireUninterruptibly();
    backing.zero(
        chunk.offsetBytes(),
        chunk.lengthBytes(),
        batch.mayUnmap(extent),
        errno -> ended(chunk, errno));
  }

  private static long end(WriteBatch batch, int extent) {
    return batch.offsetBytes(extent) + batch.lengthBytes(extent);
  }

  /** What is written next: part of a large extent, or small ones up to the next large one. */
  private static Chunk chunk(WriteBatch batch, int extent, long from) {
    long to = end(batch, extent);
    int runEnd = batch.runEnd(extent);
    if (to - from < DIRECT_BYTES) {
      for (int next = extent + 1;
          next < runEnd && batch.lengthBytes(next) < DIRECT_BYTES && !batch.isZeros(next);
          next++) {
        to = end(batch, next);
        if (to - from >= CHUNK_BYTES) {
          break;
        }
      }
    }
    return new Chunk(extent, from, (int) Math.min(to - from, CHUNK_BYTES));
  }

  private void submit(WriteBatch batch, Chunk chunk) {
    room.acquireUninterruptibly();
    long address = media.view().address() + source(batch, chunk.extent(), chunk.offsetBytes());
    long unaligned =
        (chunk.offsetBytes() | chunk.lengthBytes() | address)
            & (backing.directAlignmentBytes() - 1);
    if (unaligned == 0 && chunk.end() <= end(batch, chunk.extent())) {
      backing.write(
          chunk.offsetBytes(), chunk.lengthBytes(), address, errno -> ended(chunk, errno));
      return;
    }
    MemorySegment buffer = buffers.remove(); // there are as many as there is room for requests
    try {
      gather(batch, chunk, buffer);
    } catch (PoisonedMemoryException e) {
      again.add(chunk);
      buffers.add(buffer);
      room.release();
      return;
    }
    backing.write(
        chunk.offsetBytes(),
        chunk.lengthBytes(),
        buffer.address(),
        errno -> {
          buffers.add(buffer);
          ended(chunk, errno);
        });
  }

  private void ended(Chunk chunk, int errno) {
    if (errno != 0) {
      again.add(chunk);
    }
    room.release();
  }

  /** Where on the cache device the data of a logical byte of an extent is. */
  private long source(WriteBatch batch, int extent, long offset) {
    return media.segments().dataOffset(batch.segment(extent))
        + batch.segmentOffsetBytes(extent)
        + (offset - batch.offsetBytes(extent));
  }

  private void gather(WriteBatch batch, Chunk chunk, MemorySegment into) {
    int extent = chunk.extent();
    for (long at = chunk.offsetBytes(); at < chunk.end(); extent++) {
      long to = Math.min(end(batch, extent), chunk.end());
      PmemReads.copy(
          media.view(), source(batch, extent, at), into, at - chunk.offsetBytes(), to - at);
      at = to;
    }
  }

  /** Writes a chunk over what the device has there, which stays where the cache is unreadable. */
  private void writeCarefully(WriteBatch batch, Chunk chunk) {
    long from = chunk.offsetBytes();
    if (skipUnreadable) {
      SyncBacking.read(backing, from, chunk.lengthBytes(), carefulBuffer.address());
    }
    int extent = chunk.extent();
    for (long at = from; at < chunk.end(); ) {
      long source = source(batch, extent, at);
      long pageLeft = PAGE_BYTES - source % PAGE_BYTES;
      long n = Math.min(Math.min(end(batch, extent), chunk.end()) - at, pageLeft);
      try {
        PmemReads.copy(media.view(), source, page, 0, n); // which may fail half way
        MemorySegment.copy(page, 0, carefulBuffer, at - from, n);
      } catch (PoisonedMemoryException e) {
        skip(e, at, n);
      }
      at += n;
      if (at == end(batch, extent)) {
        extent++;
      }
    }
    SyncBacking.write(backing, from, chunk.lengthBytes(), carefulBuffer.address());
  }

  private void skip(PoisonedMemoryException e, long offset, long length) {
    String what =
        String.format(
            "%s: logical bytes %d to %d: their data at ", media.device(), offset, offset + length);
    if (!skipUnreadable) {
      throw new UserException(
          what
              + e.getMessage()
              + "; --skip-unreadable gives them up, and the backing device keeps what it has there",
          e);
    }
    skippedBytes += length;
    notices.accept(what + e.getMessage() + "; given up");
  }

  /** Frees the buffers; no request is under way any more. */
  @Override
  public void close() {
    room.acquireUninterruptibly(DEPTH);
    arena.close();
  }
}
