package jpcache.control;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import jpcache.base.UserException;

/** Asks a running server for something. */
public final class ControlClient {
  private static final int MAX_ANSWER_BYTES = 1 << 20;

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
   * @throws UserException if there is no server, it does not answer, or it could not do it
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
        return ask(place, channel, timeoutMs, String.join(" ", words));
      } catch (IOException e) {
        throw new UserException("control socket " + place + ": " + e.getMessage(), e);
      }
    }
    throw new UserException(
        "no server answers; looked for its control socket at "
            + places.stream().map(Path::toString).collect(Collectors.joining(" and ")));
  }

  private static List<String> ask(Path place, SocketChannel channel, long timeoutMs, String request)
      throws IOException {
    String answer;
    try (Selector selector = Selector.open()) {
      Lines lines = new Lines(channel, selector, timeoutMs);
      lines.send(request + "\n");
      answer = lines.receive(MAX_ANSWER_BYTES, false);
    }
    List<String> lines = answer.lines().toList();
    if (!lines.isEmpty() && lines.getFirst().equals(Lines.OK)) {
      return lines.subList(1, lines.size());
    }
    if (!lines.isEmpty() && lines.getFirst().startsWith(Lines.ERROR)) {
      throw new UserException(lines.getFirst().substring(Lines.ERROR.length()));
    }
    throw new UserException("control socket " + place + ": the server gave no answer");
  }
}
