package jpcache.nbd;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.GroupPrincipal;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.UserPrincipal;
import java.nio.file.attribute.UserPrincipalLookupService;
import jpcache.base.UserException;
import org.jspecify.annotations.Nullable;

/** Whose a unix socket is: a user, a group, or both. */
public record SocketOwner(@Nullable UserPrincipal user, @Nullable GroupPrincipal group) {
  /**
   * Looks {@code USER}, {@code USER:GROUP} or {@code :GROUP} up, by names or numbers.
   *
   * @throws UserException if there is no such user or group
   */
  public static SocketOwner parse(String text) {
    int colon = text.indexOf(':');
    String user = colon < 0 ? text : text.substring(0, colon);
    String group = colon < 0 ? "" : text.substring(colon + 1);
    if (user.isEmpty() && group.isEmpty()) {
      throw new UserException(text + ": write USER, USER:GROUP or :GROUP");
    }
    UserPrincipalLookupService lookup =
        Path.of("/").getFileSystem().getUserPrincipalLookupService();
    try {
      return new SocketOwner(
          user.isEmpty() ? null : lookup.lookupPrincipalByName(user),
          group.isEmpty() ? null : lookup.lookupPrincipalByGroupName(group));
    } catch (IOException e) {
      throw new UserException(text + ": there is no such user or group", e);
    }
  }

  /** Gives the file to them. */
  void own(Path file) throws IOException {
    PosixFileAttributeView view =
        Files.getFileAttributeView(file, PosixFileAttributeView.class, LinkOption.NOFOLLOW_LINKS);
    if (group != null) {
      view.setGroup(group);
    }
    if (user != null) {
      view.setOwner(user);
    }
  }
}
