package jpcache.control;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import jpcache.base.UserException;
import jpcache.fuzz.FuzzTarget;

/** The control socket, asked anything: it answers by the protocol, or not at all, and goes on. */
public final class ControlFuzz implements FuzzTarget {
  private static final int MOST_ANSWER_BYTES = 64 << 10;

  private final Path directory;
  private final ControlServer server;

  public ControlFuzz() {
    try {
      directory = Files.createTempDirectory("jpcache-fuzz-");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    server =
        ControlServer.start(
            directory.resolve("control"),
            Map.of(
                "echo",
                words -> new ControlCommand.Answer(words, null),
                "fail",
                words -> {
                  throw new UserException("no: " + words);
                }));
  }

  @Override
  public void accept(byte[] input) {
    try (SocketChannel peer = SocketChannel.open(UnixDomainSocketAddress.of(server.path()))) {
      boolean heard = send(peer, ByteBuffer.wrap(input));
      ByteBuffer answer = ByteBuffer.allocate(MOST_ANSWER_BYTES);
      while (read(peer, answer)) {
        // to its end
      }
      judge(new String(answer.array(), 0, answer.position(), StandardCharsets.UTF_8), heard);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** False if the server closed first, which it may when it has heard too much. */
  private static boolean send(SocketChannel peer, ByteBuffer bytes) {
    try {
      while (bytes.hasRemaining()) {
        peer.write(bytes);
      }
      peer.shutdownOutput();
      return true;
    } catch (IOException e) {
      return false;
    }
  }

  private static boolean read(SocketChannel peer, ByteBuffer answer) {
    try {
      return peer.read(answer) > 0;
    } catch (IOException e) {
      return false; // a reset: the server closed with bytes unread
    }
  }

  private static void judge(String answer, boolean heard) {
    boolean known = answer.isEmpty() || answer.startsWith("ok\n") || answer.startsWith("error ");
    boolean printable = answer.chars().noneMatch(c -> c != '\n' && Character.isISOControl(c));
    if (!known || !printable || (heard && !answer.isEmpty() && !answer.endsWith("\n"))) {
      throw new AssertionError("answered: " + answer);
    }
  }

  @Override
  public List<byte[]> seeds() {
    return Stream.of(
            "echo a b\n", "fail x\n", "other\n", "\n", "echo", " echo  \n", "echo \u0001\n")
        .map(text -> text.getBytes(StandardCharsets.UTF_8))
        .toList();
  }

  @Override
  public void close() {
    server.close();
    try {
      Files.delete(directory);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
