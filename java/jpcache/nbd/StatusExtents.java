package jpcache.nbd;

import jpcache.block.BlockQueue;
import jpcache.block.ExtentSink;

/**
 * The extents that answer a BLOCK_STATUS: for each context a list in which neighbours differ.
 *
 * <pre>
 *             0            4       8                 (n-1)*8+4
 *            +------------+-------+--------+--------+-----
 *   compact  | context id | bytes | status | bytes  | ...
 *            +------------+-------+--------+--------+-----
 *             0            4       8        16       24
 *            +------------+-------+--------+--------+-----
 *   extended | context id | count | bytes  | status | ...
 *            +------------+-------+--------+--------+-----
 * </pre>
 *
 * It may end before the range does, as the protocol allows: a client asks on from there. That
 * bounds what one request costs in memory, and in time as far as extents are told here; what it
 * costs to find them the device bounds itself. One connection's, used by its thread.
 */
final class StatusExtents implements ExtentSink {
  /** Of one context in one reply. */
  static final int MOST_EXTENTS = 2048;

  /** Of the device's, merged or not, for one request. */
  static final int MOST_VISITED = 1 << 16;

  private static final MetaContext[] CONTEXTS = MetaContext.values();

  private final long[][] lengths = new long[MetaContext.COUNT][];
  private final int[][] statuses = new int[MetaContext.COUNT][];
  private final int[] counts = new int[MetaContext.COUNT];

  private int wanted;
  private int open;
  private int most;
  private int visited;

  /** For requests that ask for some of these contexts. */
  StatusExtents(int contexts) {
    for (MetaContext context : CONTEXTS) {
      int room = (contexts & context.bit()) != 0 ? MOST_EXTENTS : 0;
      lengths[context.index()] = new long[room];
      statuses[context.index()] = new int[room];
    }
  }

  /** Asks the device about the range of a request. */
  void describe(BlockQueue queue, Request request) {
    wanted = request.contexts();
    open = wanted;
    most = request.has(NbdProtocol.CMD_FLAG_REQ_ONE) ? 1 : MOST_EXTENTS;
    visited = 0;
    for (int i = 0; i < MetaContext.COUNT; i++) {
      counts[i] = 0;
    }
    if (wanted != 0) {
      queue.describe(request.offset(), request.length(), this);
    }
  }

  @Override
  public boolean extent(long lengthBytes, int flags) {
    for (MetaContext context : CONTEXTS) {
      if ((open & context.bit()) != 0) {
        add(context, lengthBytes, context.status(flags));
      }
    }
    visited++;
    return open != 0 && visited < MOST_VISITED;
  }

  private void add(MetaContext context, long lengthBytes, int status) {
    int i = context.index();
    int count = counts[i];
    if (count > 0 && statuses[i][count - 1] == status) {
      lengths[i][count - 1] += lengthBytes;
    } else if (count == most) {
      open &= ~context.bit();
    } else {
      lengths[i][count] = lengthBytes;
      statuses[i][count] = status;
      counts[i] = count + 1;
    }
  }

  /** What the reply takes. */
  int replyBytes(ReplyFormat format) {
    if (wanted == 0) {
      return format.plainBytes;
    }
    int bytes = 0;
    for (MetaContext context : CONTEXTS) {
      if ((wanted & context.bit()) != 0) {
        bytes += format.chunkBytes(payloadBytes(format, counts[context.index()]));
      }
    }
    return bytes;
  }

  private static int payloadBytes(ReplyFormat format, int count) {
    return format == ReplyFormat.EXTENDED ? 8 + count * 16 : 4 + count * 8;
  }

  /** Writes the reply, of {@link #replyBytes}. Something is wanted, and was found. */
  void write(ReplyFormat format, long address, Request request) {
    boolean extended = format == ReplyFormat.EXTENDED;
    int type =
        extended ? NbdProtocol.REPLY_TYPE_BLOCK_STATUS_EXT : NbdProtocol.REPLY_TYPE_BLOCK_STATUS;
    long at = address;
    int left = wanted;
    for (MetaContext context : CONTEXTS) {
      if ((left & context.bit()) == 0) {
        continue;
      }
      left &= ~context.bit();
      int count = counts[context.index()];
      int flags = left == 0 ? NbdProtocol.REPLY_FLAG_DONE : 0;
      int payload = payloadBytes(format, count);
      at += format.chunk(at, type, flags, request.cookie(), request.offset(), payload);
      NativeMemory.netInt(at, context.id());
      at += 4;
      if (extended) {
        NativeMemory.netInt(at, count);
        at += 4;
      }
      at = writeExtents(extended, at, context.index(), count);
    }
  }

  private long writeExtents(boolean extended, long address, int context, int count) {
    long at = address;
    for (int i = 0; i < count; i++) {
      if (extended) {
        NativeMemory.netLong(at, lengths[context][i]);
        NativeMemory.netLong(at + 8, statuses[context][i]);
        at += 16;
      } else {
        NativeMemory.netInt(at, (int) lengths[context][i]); // unsigned: no more than was asked for
        NativeMemory.netInt(at + 4, statuses[context][i]);
        at += 8;
      }
    }
    return at;
  }
}
