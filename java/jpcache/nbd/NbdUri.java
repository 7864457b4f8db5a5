package jpcache.nbd;

import java.net.URI;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Objects;
import jpcache.base.UserException;
import org.jspecify.annotations.Nullable;

/**
 * Where an export is: {@code nbd://HOST[:PORT]/NAME} or {@code nbd+unix:///NAME?socket=PATH}, or
 * with {@code nbds} where TLS is required, as the nbd project's doc/uri.md has it.
 *
 * @param host a name or address without brackets; empty for a unix socket
 * @param port 0 lets the system choose one when listening
 * @param socketPath the unix socket; null for TCP
 * @param exportName empty for the default export
 * @param tls whether TLS is required
 */
public record NbdUri(
    String host, int port, @Nullable String socketPath, String exportName, boolean tls) {
  private static final String LOOPBACK = "127.0.0.1";
  private static final int MAX_PORT = 65535;

  /** An address on TCP. */
  public static NbdUri tcp(String host, int port, String exportName) {
    return new NbdUri(host, port, null, exportName, false);
  }

  /** An address on a unix socket. */
  public static NbdUri unix(String socketPath, String exportName) {
    return new NbdUri("", 0, Objects.requireNonNull(socketPath), exportName, false);
  }

  /** Where servers listen unless they are told otherwise. */
  public static NbdUri defaultListen() {
    return tcp(LOOPBACK, NbdProtocol.PORT, "");
  }

  /** The same address with another export. */
  public NbdUri withExport(String name) {
    return new NbdUri(host, port, socketPath, name, tls);
  }

  /** The same address with TLS required, or not. */
  public NbdUri withTls(boolean required) {
    return new NbdUri(host, port, socketPath, exportName, required);
  }

  /**
   * The address that a text names.
   *
   * @throws UserException if it names none, in one line
   */
  public static NbdUri parse(String text) {
    URI uri;
    try {
      uri = new URI(text);
    } catch (URISyntaxException e) {
      throw wrong(text, e.getReason());
    }
    String scheme = uri.getScheme() == null ? "" : uri.getScheme().toLowerCase(Locale.ROOT);
    boolean tls = scheme.startsWith("nbds");
    boolean unix = scheme.endsWith("+unix");
    String known = (tls ? "nbds" : "nbd") + (unix ? "+unix" : "");
    if (!scheme.equals(known) || uri.isOpaque() || uri.getRawFragment() != null) {
      throw wrong(text, "write nbd://HOST:PORT/NAME or nbd+unix:///NAME?socket=PATH");
    }
    String path = uri.getRawPath() == null ? "" : uri.getRawPath();
    String name = decode(text, path.startsWith("/") ? path.substring(1) : path);
    if (name.getBytes(StandardCharsets.UTF_8).length > NbdProtocol.MAX_STRING_BYTES) {
      throw wrong(text, "an export's name has at most " + NbdProtocol.MAX_STRING_BYTES + " bytes");
    }
    String socket = socketParameter(text, uri.getRawQuery());
    NbdUri parsed = unix ? parseUnix(text, uri, socket, name) : parseTcp(text, uri, socket, name);
    return parsed.withTls(tls);
  }

  private static NbdUri parseTcp(String text, URI uri, @Nullable String socket, String name) {
    if (socket != null) {
      throw wrong(text, "socket= belongs to nbd+unix://");
    }
    if (uri.getRawAuthority() == null) {
      return tcp(LOOPBACK, NbdProtocol.PORT, name);
    }
    if (uri.getHost() == null || uri.getRawUserInfo() != null) {
      throw wrong(text, uri.getRawAuthority() + " is not HOST or HOST:PORT");
    }
    int port = uri.getPort() == -1 ? NbdProtocol.PORT : uri.getPort();
    if (port > MAX_PORT) {
      throw wrong(text, "port " + port + " is not in 0.." + MAX_PORT);
    }
    String host = uri.getHost();
    return tcp(host.startsWith("[") ? host.substring(1, host.length() - 1) : host, port, name);
  }

  private static NbdUri parseUnix(String text, URI uri, @Nullable String socket, String name) {
    if (uri.getRawAuthority() != null) {
      throw wrong(text, "a unix socket has no host; write nbd+unix:///NAME?socket=PATH");
    }
    if (socket == null || socket.isEmpty()) {
      throw wrong(text, "?socket=PATH is missing");
    }
    return unix(socket, name);
  }

  private static @Nullable String socketParameter(String text, @Nullable String query) {
    String socket = null;
    for (String parameter : query == null ? new String[0] : query.split("&", -1)) {
      if (!parameter.startsWith("socket=")) {
        throw wrong(text, "parameter " + parameter + " is not known");
      }
      if (socket != null) {
        throw wrong(text, "socket= appears twice");
      }
      socket = decode(text, parameter.substring("socket=".length()));
    }
    return socket;
  }

  private static String decode(String text, String encoded) {
    byte[] in = encoded.getBytes(StandardCharsets.UTF_8);
    ByteBuffer out = ByteBuffer.allocate(in.length);
    for (int i = 0; i < in.length; i++) {
      if (in[i] == '%') {
        // java.net.URI has seen to it that two hexadecimal digits follow.
        out.put((byte) (Character.digit(in[i + 1], 16) << 4 | Character.digit(in[i + 2], 16)));
        i += 2;
      } else {
        out.put(in[i]);
      }
    }
    try {
      String decoded = StandardCharsets.UTF_8.newDecoder().decode(out.flip()).toString();
      if (decoded.indexOf('\0') >= 0) {
        throw wrong(text, "%00 is not allowed");
      }
      return decoded;
    } catch (CharacterCodingException e) {
      throw wrong(text, "its %XX are not UTF-8");
    }
  }

  private static UserException wrong(String text, @Nullable String reason) {
    return new UserException("NBD address " + text + ": " + reason);
  }

  private static String encode(String plain, String kept) {
    StringBuilder out = new StringBuilder();
    for (byte b : plain.getBytes(StandardCharsets.UTF_8)) {
      char c = (char) (b & 0xFF);
      boolean plainLetter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      boolean unreserved = plainLetter || (c >= '0' && c <= '9') || kept.indexOf(c) >= 0;
      if (unreserved) {
        out.append(c);
      } else {
        out.append('%').append(String.format(Locale.ROOT, "%02X", (int) c));
      }
    }
    return out.toString();
  }

  /** The URI: {@link #parse} gives this address back. */
  @Override
  public String toString() {
    String name = encode(exportName, "-._~/");
    String scheme = tls ? "nbds" : "nbd";
    if (socketPath != null) {
      return scheme + "+unix:///" + name + "?socket=" + encode(socketPath, "-._~/");
    }
    String shown = host.indexOf(':') >= 0 ? "[" + host + "]" : host;
    return scheme + "://" + shown + ":" + port + "/" + name;
  }
}
