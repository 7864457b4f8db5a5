package jpcache.nbd;

import java.util.Objects;
import jpcache.base.Completion;
import org.jspecify.annotations.Nullable;

/**
 * A request under way and the place of its reply. Pooled: a connection makes as many as it ever has
 * in flight at once.
 *
 * <p>Life: {@link ReplyQueue#begin} hands it out; the device calls {@link #complete}, on whatever
 * thread; the queue sends it and then takes it back. Which fields belong to whom is written at
 * each.
 */
final class Reply implements Completion {
  static final int HEADER_BYTES = NbdProtocol.SIMPLE_REPLY_BYTES;

  private final ReplyQueue queue;
  private ReplyMemory.@Nullable Chunk chunk;
  private long address;
  private long cookie;
  private int dataBytes;
  private int sendBytes;

  /**
   * Whether it completed on the connection's thread and waits for the end of the batch. Its own.
   */
  boolean done;

  /** Whether the connection's thread has it in the list of the batch. Its own. */
  boolean inBatch;

  /** Whether only a commit completes it. The connection's thread's own. */
  boolean needsCommit;

  /** What the request counts as, and when it began; null if it was refused. */
  NbdMetrics.@Nullable Requests kind;

  long begunNanos;

  /** The next in whichever list it is: spare, or completed late. */
  @Nullable Reply next;

  Reply(ReplyQueue queue) {
    this.queue = queue;
  }

  void begin(
      long requestCookie,
      int replyDataBytes,
      boolean onlyCommitCompletes,
      NbdMetrics.@Nullable Requests requestKind,
      long requestBegunNanos) {
    kind = requestKind;
    begunNanos = requestBegunNanos;
    cookie = requestCookie;
    dataBytes = replyDataBytes;
    needsCommit = onlyCommitCompletes;
    done = false;
  }

  void place(ReplyMemory.Chunk inChunk, long atAddress) {
    chunk = inChunk;
    address = atAddress;
  }

  /** Where the data of a read goes. */
  long dataAddress() {
    return address + HEADER_BYTES;
  }

  /** Where it is sent from. */
  long address() {
    return address;
  }

  /** What is sent: of a failed read the header alone. */
  int sendBytes() {
    return sendBytes;
  }

  /** Its place may be used again. Only with the send lock. */
  void release() {
    Objects.requireNonNull(chunk).release();
    chunk = null;
  }

  @Override
  public void complete(int errno) {
    // A simple reply: magic, error, cookie.
    NativeMemory.netInt(address, NbdProtocol.SIMPLE_REPLY_MAGIC);
    NativeMemory.netInt(address + 4, Request.errorOnWire(errno));
    NativeMemory.netLong(address + 8, cookie);
    sendBytes = errno == 0 ? HEADER_BYTES + dataBytes : HEADER_BYTES;
    if (errno != 0 && kind != null) {
      kind.failed();
    }
    queue.completed(this);
  }
}
