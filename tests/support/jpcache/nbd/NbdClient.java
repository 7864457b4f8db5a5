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
import jpcache.tls.TlsClient;
import org.jspecify.annotations.Nullable;

/**
 * A small honest NBD client for tests: fixed newstyle negotiation, simple replies, and as many
 * requests in flight as the caller sends before it receives.
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

  public static final int REP_ACK = 1;
  public static final int REP_SERVER = 2;
  public static final int REP_INFO = 3;
  public static final int REP_ERR_UNSUP = 0x80000001;
  public static final int REP_ERR_INVALID = 0x80000003;
  public static final int REP_ERR_UNKNOWN = 0x80000006;

  public static final int READ = 0;
  public static final int WRITE = 1;
  public static final int DISC = 2;
  public static final int FLUSH = 3;
  public static final int FLAG_FUA = 1;

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

  /** A reply to a request: {@code data} is empty unless it answers a read that succeeded. */
  @SuppressWarnings("ArrayRecordComponent") // replies are taken apart, never compared
  public record Reply(long cookie, int error, byte[] data) {}

  private final SocketChannel channel;
  private final Map<Long, Integer> readLengths = new HashMap<>();
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
    } while (replies.getLast().type() == REP_SERVER || replies.getLast().type() == REP_INFO);
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
  public long sendRequest(int type, int flags, long offset, int length, byte[] payload)
      throws IOException {
    long cookie = nextCookie++;
    if (type == READ) {
      readLengths.put(cookie, length);
    }
    send(request(type, flags, cookie, offset, length, payload));
    return cookie;
  }

  /** The bytes of a request. */
  public static ByteBuffer request(
      int type, int flags, long cookie, long offset, int length, byte[] payload) {
    return ByteBuffer.allocate(28 + payload.length)
        .putInt(0x25609513)
        .putShort((short) flags)
        .putShort((short) type)
        .putLong(cookie)
        .putLong(offset)
        .putInt(length)
        .put(payload)
        .flip();
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
    readLengths.put(cookie, length);
  }

  /** The next reply, whichever request it answers. */
  public Reply receive() throws IOException {
    ByteBuffer in = receiveExactly(16);
    expect(0x67446698, in.getInt(), "simple reply magic");
    int error = in.getInt();
    long cookie = in.getLong();
    Integer length = readLengths.remove(cookie);
    byte[] data =
        length == null || error != 0 ? new byte[0] : receiveExactly(length.intValue()).array();
    return new Reply(cookie, error, data);
  }

  /** Sends a request and waits for its reply, which must be the next. */
  public Reply call(int type, int flags, long offset, int length, byte[] payload)
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
    send(request(DISC, 0, nextCookie++, 0, 0, new byte[0]));
  }

  private static Reply succeeded(Reply reply) throws IOException {
    if (reply.error() != 0) {
      throw new IOException("the server answered error " + reply.error());
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
