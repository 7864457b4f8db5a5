package jpcache.control;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;

/**
 * Text over a socket that is given so much time and no more.
 *
 * <p>The protocol: a connection carries one request, a line of words with single spaces between
 * them, and its answer, which ends with the connection. The answer's first line is {@code ok}, with
 * what was asked for on the lines behind it, or {@code error} and the reason. All is UTF-8 without
 * control characters.
 */
final class Lines {
  static final String OK = "ok";
  static final String ERROR = "error ";

  private static final int CHUNK_BYTES = 4096;

  private final SocketChannel channel;
  private final Selector selector;
  private final long deadlineNanos;

  /** Makes the channel non-blocking; the selector is this one's alone. */
  Lines(SocketChannel channel, Selector selector, long timeoutMs) throws IOException {
    this.channel = channel;
    this.selector = selector;
    deadlineNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timeoutMs);
    channel.configureBlocking(false);
  }

  /**
   * Reads until the peer ends its output, or after the first line if that is all that is wanted.
   *
   * @throws IOException if it is longer than {@code limitBytes}, takes too long, or is not UTF-8
   */
  String receive(int limitBytes, boolean oneLine) throws IOException {
    ByteBuffer text = ByteBuffer.allocate(Math.min(limitBytes + 1, CHUNK_BYTES));
    while (true) {
      int n = channel.read(text);
      if (n < 0 || (oneLine && endOfLine(text) >= 0)) {
        return decode(text, oneLine);
      }
      if (text.position() > limitBytes) {
        throw new IOException("more than " + limitBytes + " bytes");
      }
      if (!text.hasRemaining()) {
        int larger = Math.min(limitBytes + 1, 2 * text.capacity());
        text = ByteBuffer.allocate(larger).put(text.flip());
      }
      if (n == 0) {
        await(SelectionKey.OP_READ);
      }
    }
  }

  private static int endOfLine(ByteBuffer text) {
    for (int i = 0; i < text.position(); i++) {
      if (text.get(i) == '\n') {
        return i;
      }
    }
    return -1;
  }

  private static String decode(ByteBuffer text, boolean oneLine) throws IOException {
    int end = oneLine ? endOfLine(text) : text.position();
    if (end < 0) {
      throw new IOException("the line has no end");
    }
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(text.flip().limit(end)).toString();
    } catch (CharacterCodingException e) {
      throw new IOException("not UTF-8", e);
    }
  }

  void send(String text) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
    while (bytes.hasRemaining()) {
      if (channel.write(bytes) == 0) {
        await(SelectionKey.OP_WRITE);
      }
    }
  }

  private void await(int operation) throws IOException {
    long leftMs = TimeUnit.NANOSECONDS.toMillis(deadlineNanos - System.nanoTime());
    SelectionKey key = channel.register(selector, operation);
    try {
      if (leftMs <= 0 || selector.select(leftMs) == 0) {
        throw new IOException("no answer in time");
      }
    } finally {
      key.cancel();
      selector.selectNow(); // forgets the key, so that the channel can be registered again
    }
  }
}
