package jpcache.control;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.UserPrincipal;
import java.util.Objects;

/** Who may be at the other end of a control socket. */
final class Peers {
  private static final int OTHERS_WRITE = 0022;

  private Peers() {}

  /** Whose this process is. */
  static UserPrincipal self() throws IOException {
    return Files.getOwner(Path.of("/proc/self"));
  }

  /** Whether a client is served: it is the server's user, or root. */
  static boolean mayAsk(UserPrincipal peer, UserPrincipal server) {
    return peer.equals(server) || isRoot(peer);
  }

  /**
   * Whether a server is believed: anybody can listen in a directory like /tmp, before or instead of
   * the one that is looked for. It must be this user's or root's. Root also believes the server of
   * a user who was given the directory: nobody else can listen there.
   */
  static boolean mayAnswer(UserPrincipal server, UserPrincipal self, Path place)
      throws IOException {
    return server.equals(self) || isRoot(server) || (isRoot(self) && wasGiven(server, place));
  }

  /** Whether the directory is a user's, in one of root's, and nobody else can write to either. */
  private static boolean wasGiven(UserPrincipal user, Path place) throws IOException {
    Path directory = Objects.requireNonNull(place.toAbsolutePath().getParent());
    Path above = directory.getParent();
    return above != null
        && Files.getOwner(directory, LinkOption.NOFOLLOW_LINKS).equals(user)
        && isRoot(Files.getOwner(above, LinkOption.NOFOLLOW_LINKS))
        && !othersWrite(directory)
        && !othersWrite(above);
  }

  private static boolean othersWrite(Path path) throws IOException {
    Object mode = Files.getAttribute(path, "unix:mode", LinkOption.NOFOLLOW_LINKS);
    return (((Integer) Objects.requireNonNull(mode)) & OTHERS_WRITE) != 0;
  }

  private static boolean isRoot(UserPrincipal user) {
    return user.getName().equals("root");
  }
}
