package jpcache.control;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.net.ConnectException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserPrincipal;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeSet;
import jdk.net.ExtendedSocketOptions;
import jpcache.base.Printable;
import jpcache.base.UserException;

/**
 * Listens on a control socket and runs what it is asked for, one request after the other, on a
 * thread of its own.
 *
 * <p>The socket's file has mode 0600, and a peer must be the same user or root: the file exists for
 * a moment before its mode is set. A peer that is silent or does not read costs the others a second
 * or two. A socket that a dead server left is replaced; one that somebody listens on is not, nor is
 * anything that is not a socket.
 */
public final class ControlServer implements AutoCloseable {
  static final int MAX_REQUEST_BYTES = 1024;

  private static final long PEER_TIMEOUT_MS = 2000;
  private static final int FILE_TYPE_MASK = 0170000;
  private static final int FILE_TYPE_SOCKET = 0140000;

  private static final Logger LOG = System.getLogger("jpcache.control");

  private final Path path;
  private final Map<String, ControlCommand> commands;
  private final ServerSocketChannel listener;
  private final Object inode;
  private final UserPrincipal owner;
  private final Selector selector;
  private final Thread thread;

  /** Connections that end with the process: it is what their peers wait for. */
  private final List<SocketChannel> held = new ArrayList<>();

  private ControlServer(Path path, Map<String, ControlCommand> commands, ServerSocketChannel bound)
      throws IOException {
    this.path = path;
    this.commands = Map.copyOf(commands);
    listener = bound;
    Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
    inode = attribute(path, "ino");
    owner = Files.getOwner(path, LinkOption.NOFOLLOW_LINKS);
    selector = Selector.open();
    thread = Thread.ofPlatform().daemon().name("control").unstarted(this::acceptAll);
  }

  /**
   * Begins to listen.
   *
   * @param commands by the word that asks for each
   * @throws UserException if it cannot listen there
   */
  public static ControlServer start(Path path, Map<String, ControlCommand> commands) {
    try {
      removeStale(path);
      ServerSocketChannel bound = bind(path);
      try {
        ControlServer server = new ControlServer(path, commands, bound);
        server.thread.start();
        return server;
      } catch (Throwable e) {
        bound.close();
        Files.deleteIfExists(path);
        throw e;
      }
    } catch (IOException e) {
      throw cannot(path, String.valueOf(e.getMessage()));
    }
  }

  private static ServerSocketChannel bind(Path path) throws IOException {
    ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      return channel.bind(UnixDomainSocketAddress.of(path));
    } catch (Throwable e) {
      channel.close();
      throw e;
    }
  }

  private static void removeStale(Path path) throws IOException {
    try {
      if (((Integer) attribute(path, "mode") & FILE_TYPE_MASK) != FILE_TYPE_SOCKET) {
        throw cannot(path, "the path exists and is not a socket");
      }
    } catch (NoSuchFileException e) {
      return;
    }
    try (SocketChannel _ = SocketChannel.open(UnixDomainSocketAddress.of(path))) {
      throw cannot(path, "another server listens there");
    } catch (ConnectException e) {
      Files.deleteIfExists(path);
    }
  }

  private static Object attribute(Path path, String name) throws IOException {
    return Objects.requireNonNull(
        Files.getAttribute(path, "unix:" + name, LinkOption.NOFOLLOW_LINKS));
  }

  private static UserException cannot(Path path, String why) {
    return new UserException("control socket " + path + ": cannot listen: " + why);
  }

  /** Where it listens. */
  public Path path() {
    return path;
  }

  private void acceptAll() {
    while (listener.isOpen()) {
      try {
        serve(listener.accept());
      } catch (ClosedChannelException e) {
        return;
      } catch (IOException e) {
        LOG.log(Level.DEBUG, "a control connection failed: " + e.getMessage());
      }
    }
  }

  private void serve(SocketChannel peer) throws IOException {
    Runnable end = null;
    try {
      UserPrincipal user = peer.getOption(ExtendedSocketOptions.SO_PEERCRED).user();
      if (Peers.mayAsk(user, owner)) {
        Lines lines = new Lines(peer, selector, PEER_TIMEOUT_MS);
        List<String> words = List.of(lines.receive(MAX_REQUEST_BYTES, true).split(" ", -1));
        try {
          ControlCommand.Answer answer = run(words);
          end = answer.end();
          lines.send(success(answer.lines()));
        } catch (UserException e) {
          lines.send(Lines.ERROR + Printable.oneLine(String.valueOf(e.getMessage())) + "\n");
        }
      }
    } finally {
      if (end == null) {
        peer.close();
      } else {
        synchronized (held) {
          held.add(peer);
        }
        end.run();
      }
    }
  }

  /** Adds a line to the answers of those who wait for the end of the process. */
  public void tell(String line) {
    synchronized (held) {
      for (SocketChannel peer : held) {
        try {
          peer.write(
              ByteBuffer.wrap((Printable.oneLine(line) + "\n").getBytes(StandardCharsets.UTF_8)));
        } catch (IOException e) {
          LOG.log(Level.DEBUG, "a peer that waits for the end is gone: " + e.getMessage());
        }
      }
    }
  }

  private ControlCommand.Answer run(List<String> words) {
    ControlCommand command = commands.get(words.getFirst());
    if (command == null) {
      throw new UserException(
          "no such command: "
              + words.getFirst()
              + "; there are "
              + String.join(", ", new TreeSet<>(commands.keySet())));
    }
    try {
      return command.run(words.subList(1, words.size()));
    } catch (UserException e) {
      throw e;
    } catch (UncheckedIOException e) {
      throw new UserException(String.valueOf(e.getMessage()), e);
    } catch (RuntimeException e) {
      LOG.log(Level.ERROR, "control command " + words.getFirst() + " failed", e);
      throw new UserException("unexpected failure in the server: " + e, e);
    }
  }

  private static String success(List<String> lines) {
    StringBuilder answer = new StringBuilder(Lines.OK).append('\n');
    lines.forEach(line -> answer.append(Printable.oneLine(line)).append('\n'));
    return answer.toString();
  }

  /**
   * Listens no more and removes the socket, if it is still this one. What a command under way uses
   * may be taken away when this returns.
   */
  @Override
  public void close() {
    try {
      listener.close();
      thread.join();
      selector.close();
      if (attribute(path, "ino").equals(inode)) {
        Files.deleteIfExists(path);
      }
    } catch (IOException e) {
      // Somebody else removed or replaced it.
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
