package jpcache.nbd;

import java.io.EOFException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import jpcache.tls.TlsClient;
import org.jspecify.annotations.Nullable;

/**
 * A small honest NBD client for tests: fixed newstyle negotiation, simple, structured or extended
 * replies, and as many requests in flight as the caller sends before it receives. It is strict: a
 * reply that the protocol does not allow is an exception.
 *
 * <p>It shares no code and no constants with the server, so that a mistake in those shows.
 * Blocking; one thread may send while another receives, provided the caller keeps each to one
 * thread.
 *
 * <p>High level: {@link #unix}, {@link #tcp}, then {@link #go}, then {@link #read}, {@link #write},
 * {@link #flush}, {@link #disconnect}. Pipelined: {@code sendX} returns the request's cookie,
 * {@link #receive} gives whatever reply comes next. Low level: {@link #raw}.
 */
public final class NbdClient implements AutoCloseable {
  public static final int FIXED_NEWSTYLE = 1;
  public static final int NO_ZEROES = 2;

  public static final int OPT_EXPORT_NAME = 1;
  public static final int OPT_ABORT = 2;
  public static final int OPT_LIST = 3;
  public static final int OPT_STARTTLS = 5;
  public static final int OPT_INFO = 6;
  public static final int OPT_GO = 7;
  public static final int OPT_STRUCTURED_REPLY = 8;
  public static final int OPT_LIST_META_CONTEXT = 9;
  public static final int OPT_SET_META_CONTEXT = 10;
  public static final int OPT_EXTENDED_HEADERS = 11;

  public static final int REP_ACK = 1;
  public static final int REP_SERVER = 2;
  public static final int REP_INFO = 3;
  public static final int REP_META_CONTEXT = 4;
  public static final int REP_ERR_UNSUP = 0x80000001;
  public static final int REP_ERR_INVALID = 0x80000003;
  public static final int REP_ERR_UNKNOWN = 0x80000006;

  public static final int READ = 0;
  public static final int WRITE = 1;
  public static final int DISC = 2;
  public static final int FLUSH = 3;
  public static final int TRIM = 4;
  public static final int CACHE = 5;
  public static final int WRITE_ZEROES = 6;
  public static final int BLOCK_STATUS = 7;
  public static final int FLAG_FUA = 1;
  public static final int FLAG_NO_HOLE = 2;
  public static final int FLAG_DF = 4;
  public static final int FLAG_REQ_ONE = 8;
  public static final int FLAG_FAST_ZERO = 16;
  public static final int FLAG_PAYLOAD_LEN = 32;

  /** How requests and replies look, as negotiated. */
  public enum Format {
    SIMPLE,
    STRUCTURED,
    EXTENDED
  }

  /** One reply to an option. */
  @SuppressWarnings("ArrayRecordComponent") // replies are taken apart, never compared
  public record OptionReply(int type, byte[] data) {
    public boolean isError() {
      return type < 0;
    }
  }

  /** What the server said of an export. */
  public record ExportInfo(
      long sizeBytes, int flags, int minimumBlock, int preferredBlock, int maximumBlock) {
    public boolean readOnly() {
      return (flags & 2) != 0;
    }
  }

  /** What a metadata context says of a piece of the export. */
  public record Extent(long lengthBytes, long status) {}

  /**
   * A reply to a request, all chunks together.
   *
   * @param data empty unless it answers a read that succeeded
   * @param holes how many chunks of it were holes
   * @param message what the server said of the error, to people
   * @param extents of a BLOCK_STATUS, by the context's number
   */
  @SuppressWarnings("ArrayRecordComponent") // replies are taken apart, never compared
  public record Reply(
      long cookie,
      int error,
      byte[] data,
      int holes,
      String message,
      Map<Integer, List<Extent>> extents) {}

  /** A request that waits for its reply, and what has come of that. */
  private static final class Pending {
    final long offset;
    final int length;
    final byte[] data;
    int missing;
    int holes;
    int error;
    String message = "";
    final Map<Integer, List<Extent>> extents = new HashMap<>();

    Pending(long offset, int length) {
      this.offset = offset;
      this.length = length;
      this.data = new byte[length];
      this.missing = length;
    }
  }

  private final SocketChannel channel;
  private final Map<Long, Pending> reads = new ConcurrentHashMap<>();
  private Format format = Format.SIMPLE;
  private long nextCookie = 1;
  private boolean zeroes = true;

  /** Guards the engine: one thread sends, another receives. */
  private final Object tlsLock = new Object();

  private @Nullable TlsClient tls;
  private ByteBuffer decrypted = ByteBuffer.allocate(0);

  private NbdClient(SocketChannel channel) {
    this.channel = channel;
  }

  /** Connects to a unix socket; nothing is negotiated yet. */
  public static NbdClient unix(Path socket) throws IOException {
    return new NbdClient(open(StandardProtocolFamily.UNIX, UnixDomainSocketAddress.of(socket)));
  }

  /** Connects over TCP; nothing is negotiated yet. */
  public static NbdClient tcp(InetSocketAddress address) throws IOException {
    StandardProtocolFamily family =
        address.getAddress() instanceof java.net.Inet6Address
            ? StandardProtocolFamily.INET6
            : StandardProtocolFamily.INET;
    SocketChannel channel = open(family, address);
    channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
    return new NbdClient(channel);
  }

  private static SocketChannel open(StandardProtocolFamily family, SocketAddress address)
      throws IOException {
    SocketChannel channel = SocketChannel.open(family);
    try {
      channel.connect(address);
    } catch (IOException e) {
      channel.close();
      throw e;
    }
    return channel;
  }

  // ---- Negotiation ------------------------------------------------------------------------

  /** Reads the greeting; returns the server's handshake flags. */
  public int greeting() throws IOException {
    ByteBuffer in = receiveExactly(18);
    expect(0x4e42444d41474943L, in.getLong(), "NBDMAGIC");
    expect(0x49484156454F5054L, in.getLong(), "IHAVEOPT");
    return in.getShort() & 0xFFFF;
  }

  /** Answers the greeting. */
  public void clientFlags(int flags) throws IOException {
    zeroes = (flags & NO_ZEROES) == 0;
    send(ByteBuffer.allocate(4).putInt(flags).flip());
  }

  /** Greeting and flags as a modern client sends them. */
  public NbdClient hello() throws IOException {
    greeting();
    clientFlags(FIXED_NEWSTYLE | NO_ZEROES);
    return this;
  }

  /** STARTTLS, which must be granted, and the handshake: what follows is encrypted. */
  public NbdClient startTls(TlsClient client) throws IOException {
    List<OptionReply> replies = option(OPT_STARTTLS, new byte[0]);
    expect(REP_ACK, replies.getLast().type(), "reply to STARTTLS");
    while (!client.established()) {
      sendPlain(ByteBuffer.wrap(client.take()));
      if (!client.established()) {
        ByteBuffer in = ByteBuffer.allocate(1 << 14);
        if (channel.read(in) < 0) {
          throw new EOFException("the server closed during the handshake");
        }
        client.offer(Arrays.copyOf(in.array(), in.position()));
      }
    }
    sendPlain(ByteBuffer.wrap(client.take()));
    tls = client;
    return this;
  }

  /** Sends an option without waiting for its replies. */
  public void sendOption(int option, byte[] data) throws IOException {
    send(
        ByteBuffer.allocate(16 + data.length)
            .putLong(0x49484156454F5054L)
            .putInt(option)
            .putInt(data.length)
            .put(data)
            .flip());
  }

  /** The next reply to {@code option}. */
  public OptionReply optionReply(int option) throws IOException {
    ByteBuffer in = receiveExactly(20);
    expect(0x3e889045565a9L, in.getLong(), "option reply magic");
    expect(option, in.getInt(), "option that is replied to");
    int type = in.getInt();
    int length = in.getInt();
    if (length < 0 || length > 1 << 20) {
      throw new IOException("option reply of " + Integer.toUnsignedString(length) + " bytes");
    }
    return new OptionReply(type, receiveExactly(length).array());
  }

  /** Sends an option and collects its replies up to the final one. */
  public List<OptionReply> option(int option, byte[] data) throws IOException {
    sendOption(option, data);
    List<OptionReply> replies = new ArrayList<>();
    do {
      replies.add(optionReply(option));
    } while (replies.getLast().type() > REP_ACK);
    return replies;
  }

  /** The names of the server's exports. */
  public List<String> list() throws IOException {
    List<String> names = new ArrayList<>();
    for (OptionReply reply : option(OPT_LIST, new byte[0])) {
      if (reply.isError()) {
        throw new IOException("LIST answered " + Integer.toHexString(reply.type()));
      }
      if (reply.type() == REP_SERVER) {
        ByteBuffer data = ByteBuffer.wrap(reply.data());
        byte[] name = new byte[data.getInt()];
        data.get(name);
        names.add(new String(name, StandardCharsets.UTF_8));
      }
    }
    return names;
  }

  /** The data of OPT_INFO and OPT_GO. */
  public static byte[] infoRequest(String name, int... informations) {
    byte[] utf8 = name.getBytes(StandardCharsets.UTF_8);
    ByteBuffer data = ByteBuffer.allocate(4 + utf8.length + 2 + 2 * informations.length);
    data.putInt(utf8.length).put(utf8).putShort((short) informations.length);
    for (int information : informations) {
      data.putShort((short) information);
    }
    return data.array();
  }

  /** Greeting, flags and OPT_GO: transmission begins. */
  public ExportInfo go(String name) throws IOException {
    hello();
    return exportInfo(option(OPT_GO, infoRequest(name, 3)));
  }

  /** The same, with replies of some format, and metadata contexts. */
  public ExportInfo go(String name, Format wanted, String... contexts) throws IOException {
    hello();
    negotiate(wanted);
    if (contexts.length > 0) {
      option(OPT_SET_META_CONTEXT, contextRequest(name, contexts));
    }
    return exportInfo(option(OPT_GO, infoRequest(name, 3)));
  }

  /** After {@link #hello}: replies of some format. */
  public void negotiate(Format wanted) throws IOException {
    if (wanted != Format.SIMPLE) {
      int option = wanted == Format.EXTENDED ? OPT_EXTENDED_HEADERS : OPT_STRUCTURED_REPLY;
      expect(REP_ACK, option(option, new byte[0]).getLast().type(), "reply to the format");
      format = wanted;
    }
  }

  /** The data of OPT_LIST_META_CONTEXT and OPT_SET_META_CONTEXT. */
  public static byte[] contextRequest(String name, String... queries) {
    ByteBuffer data = ByteBuffer.allocate(1 << 16);
    byte[] utf8 = name.getBytes(StandardCharsets.UTF_8);
    data.putInt(utf8.length).put(utf8).putInt(queries.length);
    for (String query : queries) {
      byte[] bytes = query.getBytes(StandardCharsets.UTF_8);
      data.putInt(bytes.length).put(bytes);
    }
    return java.util.Arrays.copyOf(data.array(), data.position());
  }

  /** Picks the export's information out of the replies to OPT_INFO or OPT_GO. */
  public static ExportInfo exportInfo(List<OptionReply> replies) throws IOException {
    if (replies.getLast().type() != REP_ACK) {
      OptionReply last = replies.getLast();
      throw new IOException(
          Integer.toHexString(last.type())
              + ": "
              + new String(last.data(), StandardCharsets.UTF_8));
    }
    long size = -1;
    int flags = 0;
    int[] blocks = {1, 4096, 32 << 20};
    for (OptionReply reply : replies) {
      ByteBuffer data = ByteBuffer.wrap(reply.data());
      if (reply.type() != REP_INFO) {
        continue;
      }
      int information = data.getShort();
      if (information == 0) {
        size = data.getLong();
        flags = data.getShort() & 0xFFFF;
      } else if (information == 3) {
        blocks = new int[] {data.getInt(), data.getInt(), data.getInt()};
      }
    }
    if (size < 0) {
      throw new IOException("the server acknowledged without NBD_INFO_EXPORT");
    }
    return new ExportInfo(size, flags, blocks[0], blocks[1], blocks[2]);
  }

  /** OPT_EXPORT_NAME after {@link #greeting} and {@link #clientFlags}: transmission begins. */
  public ExportInfo exportName(String name) throws IOException {
    sendOption(OPT_EXPORT_NAME, name.getBytes(StandardCharsets.UTF_8));
    ByteBuffer in = receiveExactly(zeroes ? 10 + 124 : 10);
    ExportInfo info = new ExportInfo(in.getLong(), in.getShort() & 0xFFFF, 1, 4096, 32 << 20);
    while (in.hasRemaining()) {
      expect(0, in.get(), "reserved byte after the export's flags");
    }
    return info;
  }

  // ---- Transmission -----------------------------------------------------------------------

  /** Sends one request as it is given; returns its cookie. */
  public long sendRequest(int type, int flags, long offset, long length, byte[] payload)
      throws IOException {
    long cookie = nextCookie++;
    if (type == READ && length <= 1 << 26) {
      reads.put(cookie, new Pending(offset, (int) length));
    }
    send(request(format, type, flags, cookie, offset, length, payload));
    return cookie;
  }

  /** The bytes of a compact request. */
  public static ByteBuffer request(
      int type, int flags, long cookie, long offset, int length, byte[] payload) {
    return request(Format.SIMPLE, type, flags, cookie, offset, length, payload);
  }

  /** The bytes of a request; an extended one with a payload has the flag for that. */
  public static ByteBuffer request(
      Format format, int type, int flags, long cookie, long offset, long length, byte[] payload) {
    boolean extended = format == Format.EXTENDED;
    int marks = extended && payload.length > 0 ? flags | FLAG_PAYLOAD_LEN : flags;
    ByteBuffer bytes =
        ByteBuffer.allocate(32 + payload.length)
            .putInt(extended ? 0x21e41c71 : 0x25609513)
            .putShort((short) marks)
            .putShort((short) type)
            .putLong(cookie)
            .putLong(offset);
    return (extended ? bytes.putLong(length) : bytes.putInt((int) length)).put(payload).flip();
  }

  public long sendRead(long offset, int length) throws IOException {
    return sendRequest(READ, 0, offset, length, new byte[0]);
  }

  public long sendWrite(long offset, byte[] payload, boolean fua) throws IOException {
    return sendRequest(WRITE, fua ? FLAG_FUA : 0, offset, payload.length, payload);
  }

  public long sendFlush() throws IOException {
    return sendRequest(FLUSH, 0, 0, 0, new byte[0]);
  }

  /** Tells {@link #receive} that a reply to {@code cookie} carries this many bytes. */
  public void expectRead(long cookie, int length) {
    reads.put(cookie, new Pending(0, length));
  }

  /** The next reply that is complete, whichever request it answers. */
  public Reply receive() throws IOException {
    while (true) {
      int magic = receiveExactly(4).getInt();
      if (magic == 0x67446698 && format != Format.EXTENDED) {
        return simpleReply();
      }
      expect(format == Format.EXTENDED ? 0x6e8a278c : 0x668e33ef, magic, "reply magic");
      Reply reply = chunk();
      if (reply != null) {
        return reply;
      }
    }
  }

  private Reply simpleReply() throws IOException {
    ByteBuffer in = receiveExactly(12);
    int error = in.getInt();
    long cookie = in.getLong();
    Pending read = reads.remove(cookie);
    if (read != null && format != Format.SIMPLE) {
      throw new IOException("a simple reply to a read though structured replies were negotiated");
    }
    byte[] data = read == null || error != 0 ? new byte[0] : receiveExactly(read.length).array();
    return new Reply(cookie, error, data, 0, "", Map.of());
  }

  /** Takes a chunk; null if more come. */
  private @Nullable Reply chunk() throws IOException {
    boolean extended = format == Format.EXTENDED;
    ByteBuffer in = receiveExactly(extended ? 28 : 16);
    int flags = in.getShort();
    int type = in.getShort() & 0xFFFF;
    long cookie = in.getLong();
    long offset = extended ? in.getLong() : -1;
    long length = extended ? in.getLong() : in.getInt();
    if (length < 0 || length > (33 << 20) || (flags & ~1) != 0) {
      throw new IOException("a chunk of " + length + " bytes with flags " + flags);
    }
    Pending pending = reads.computeIfAbsent(cookie, c -> new Pending(offset, 0));
    if (extended) {
      expect(pending.offset, offset, "offset of the request");
    }
    ByteBuffer payload = receiveExactly((int) length);
    take(pending, type, payload);
    expect(0, payload.remaining(), "payload that is left in a chunk of type " + type);
    if ((flags & 1) == 0) {
      return null;
    }
    reads.remove(cookie);
    boolean ok = pending.error == 0;
    expect(0, ok ? pending.missing : 0, "bytes that no chunk brought");
    byte[] data = ok ? pending.data : new byte[0];
    return new Reply(cookie, pending.error, data, pending.holes, pending.message, pending.extents);
  }

  private void take(Pending pending, int type, ByteBuffer payload) throws IOException {
    switch (type) {
      case 0 -> {}
      case 1 -> {
        int at = (int) (payload.getLong() - pending.offset);
        pending.missing -= payload.remaining();
        payload.get(pending.data, at, payload.remaining());
      }
      case 2 -> {
        long at = payload.getLong() - pending.offset;
        int bytes = payload.getInt();
        if (bytes <= 0 || at < 0 || at + bytes > pending.length) {
          throw new IOException("a hole of " + bytes + " at " + at);
        }
        pending.missing -= bytes;
        pending.holes++;
      }
      case 5, 6 -> {
        expect(format == Format.EXTENDED ? 6 : 5, type, "type of status chunk");
        List<Extent> list = new ArrayList<>();
        if (pending.extents.put(payload.getInt(), list) != null) {
          throw new IOException("two status chunks of one context");
        }
        if (type == 6) {
          expect(payload.remaining() / 16, payload.getInt(), "number of extents");
        }
        while (payload.hasRemaining()) {
          list.add(
              type == 6
                  ? new Extent(payload.getLong(), payload.getLong())
                  : new Extent(payload.getInt() & 0xFFFFFFFFL, payload.getInt()));
        }
      }
      case 0x8001 -> {
        pending.error = payload.getInt();
        byte[] text = new byte[payload.getShort()];
        payload.get(text);
        pending.message = new String(text, StandardCharsets.UTF_8);
      }
      default -> throw new IOException("a chunk of type " + type);
    }
  }

  /** Sends a request and waits for its reply, which must be the next. */
  public Reply call(int type, int flags, long offset, long length, byte[] payload)
      throws IOException {
    long cookie = sendRequest(type, flags, offset, length, payload);
    Reply reply = receive();
    expect(cookie, reply.cookie(), "cookie");
    return reply;
  }

  public byte[] read(long offset, int length) throws IOException {
    return succeeded(call(READ, 0, offset, length, new byte[0])).data();
  }

  public void write(long offset, byte[] payload) throws IOException {
    succeeded(call(WRITE, 0, offset, payload.length, payload));
  }

  public void flush() throws IOException {
    succeeded(call(FLUSH, 0, 0, 0, new byte[0]));
  }

  /** Asks for an orderly end; replies to what is in flight can still be received. */
  public void disconnect() throws IOException {
    send(request(format, DISC, 0, nextCookie++, 0, 0, new byte[0]));
  }

  /** A request without payload that succeeds. */
  public Reply command(int type, int flags, long offset, long length) throws IOException {
    return succeeded(call(type, flags, offset, length, new byte[0]));
  }

  private static Reply succeeded(Reply reply) throws IOException {
    if (reply.error() != 0) {
      throw new IOException("the server answered error " + reply.error() + reply.message());
    }
    return reply;
  }

  // ---- Bytes ------------------------------------------------------------------------------

  /** Sends bytes of any sort. */
  public void send(ByteBuffer bytes) throws IOException {
    if (tls == null) {
      sendPlain(bytes);
      return;
    }
    byte[] plain = new byte[bytes.remaining()];
    bytes.get(plain);
    byte[] encrypted;
    synchronized (tlsLock) {
      tls.write(plain);
      encrypted = tls.take();
    }
    sendPlain(ByteBuffer.wrap(encrypted));
  }

  private void sendPlain(ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  /** Exactly so many bytes, ready to be read; {@link EOFException} if the server closes before. */
  public ByteBuffer receiveExactly(int length) throws IOException {
    ByteBuffer in = ByteBuffer.allocate(length);
    while (in.hasRemaining()) {
      if (read(in) < 0) {
        throw new EOFException("the server closed after " + in.position() + " of " + length);
      }
    }
    return in.flip();
  }

  private int read(ByteBuffer in) throws IOException {
    if (tls == null) {
      return channel.read(in);
    }
    while (!decrypted.hasRemaining()) {
      ByteBuffer encrypted = ByteBuffer.allocate(1 << 16);
      if (channel.read(encrypted) < 0) {
        return -1;
      }
      synchronized (tlsLock) {
        tls.offer(Arrays.copyOf(encrypted.array(), encrypted.position()));
        decrypted = ByteBuffer.wrap(tls.read());
      }
    }
    int n = Math.min(in.remaining(), decrypted.remaining());
    in.put(decrypted.slice(decrypted.position(), n));
    decrypted.position(decrypted.position() + n);
    return n;
  }

  /** True once the server has closed; bytes that it still sent are dropped. */
  public boolean closedByServer() {
    ByteBuffer in = ByteBuffer.allocate(65536);
    try {
      while (channel.read(in) >= 0) {
        in.clear();
      }
    } catch (IOException e) {
      return true; // a reset is an end, too
    }
    return true;
  }

  /** The channel itself. */
  public SocketChannel raw() {
    return channel;
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }

  private static void expect(long expected, long actual, String what) throws IOException {
    if (expected != actual) {
      throw new IOException(String.format("%s: expected 0x%x, got 0x%x", what, expected, actual));
    }
  }
}
