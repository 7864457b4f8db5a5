package jpcache.control;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.nio.file.attribute.UserPrincipal;
import java.util.List;
import java.util.stream.Collectors;
import jdk.net.ExtendedSocketOptions;
import jpcache.base.Printable;
import jpcache.base.UserException;

/**
 * Asks a running server for something.
 *
 * <p>What listens must be one that {@link Peers} believe, and control characters of what it answers
 * reach nobody's terminal.
 */
public final class ControlClient {
  private static final int MAX_ANSWER_BYTES = 1 << 20;

  /** Nobody listens at any of the places. */
  public static final class NoServer extends UserException {
    private NoServer(String message) {
      super(message);
    }
  }

  private final List<Path> places;

  /**
   * A client of the first server that answers.
   *
   * @param places where its socket may be
   */
  public ControlClient(List<Path> places) {
    this.places = List.copyOf(places);
  }

  /**
   * Asks, and waits for the answer.
   *
   * @return its lines
   * @throws UserException if there is no server, it is somebody else's, it does not answer, or it
   *     could not do it
   */
  public List<String> ask(long timeoutMs, String... words) {
    for (Path place : places) {
      SocketChannel channel;
      try {
        channel = SocketChannel.open(UnixDomainSocketAddress.of(place));
      } catch (IOException e) {
        continue; // nobody listens there
      }
      try (channel) {
        requireBelieved(place, channel.getOption(ExtendedSocketOptions.SO_PEERCRED).user());
        return ask(place, channel, timeoutMs, String.join(" ", words));
      } catch (IOException e) {
        throw new UserException("control socket " + place + ": " + e.getMessage(), e);
      }
    }
    throw new NoServer(
        "no server answers; looked for its control socket at "
            + places.stream().map(Path::toString).collect(Collectors.joining(" and ")));
  }

  private static void requireBelieved(Path place, UserPrincipal server) throws IOException {
    if (!Peers.mayAnswer(server, Peers.self(), place)) {
      throw new UserException(
          "control socket "
              + place
              + ": user "
              + server.getName()
              + " listens there, who is neither this user nor root; ask as that user, or name"
              + " another socket with --control");
    }
  }

  private static List<String> ask(Path place, SocketChannel channel, long timeoutMs, String request)
      throws IOException {
    String answer;
    try (Selector selector = Selector.open()) {
      Lines lines = new Lines(channel, selector, timeoutMs);
      lines.send(request + "\n");
      answer = lines.receive(MAX_ANSWER_BYTES, false);
    }
    List<String> lines = answer.lines().map(Printable::oneLine).toList();
    if (!lines.isEmpty() && lines.getFirst().equals(Lines.OK)) {
      return lines.subList(1, lines.size());
    }
    if (!lines.isEmpty() && lines.getFirst().startsWith(Lines.ERROR)) {
      throw new UserException(lines.getFirst().substring(Lines.ERROR.length()));
    }
    throw new UserException("control socket " + place + ": the server gave no answer");
  }
}
