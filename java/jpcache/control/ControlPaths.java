package jpcache.control;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import jpcache.base.UserException;
import org.jspecify.annotations.Nullable;

/**
 * Where the control socket of a cache's server is when nobody says: {@code jpcache-HASH.sock}, with
 * a hash of the cache's real path, in the first of these directories that can be used: {@code
 * $XDG_RUNTIME_DIR}, {@code /run/jpcache}, {@code /tmp/jpcache-UID}. Who looks for it looks in all
 * of them: server and user need not have the same environment. One in which the path would be too
 * long for a socket cannot be used.
 */
public final class ControlPaths {
  private static final int HASH_DIGITS = 16;
  private static final int MAX_SOCKET_PATH_BYTES = 107;
  private static final String PRIVATE = "rwx------";

  private ControlPaths() {}

  /** Where a server of this cache may listen. */
  public static List<Path> of(String cache) {
    String name = "jpcache-" + hash(realPath(cache)) + ".sock";
    return directories(System.getenv("XDG_RUNTIME_DIR")).stream()
        .map(directory -> directory.resolve(name))
        .filter(path -> path.toString().getBytes(UTF_8).length <= MAX_SOCKET_PATH_BYTES)
        .toList();
  }

  /**
   * Where a server of this cache should listen. The directory is there, and is nobody else's.
   *
   * @throws UserException if there can be none
   */
  public static Path toListen(String cache) {
    for (Path path : of(cache)) {
      Path directory = Objects.requireNonNull(path.getParent());
      if (usable(directory)) {
        return path;
      }
    }
    throw new UserException("no directory for a control socket; name one with --control");
  }

  private static List<Path> directories(@Nullable String runtimeDirectory) {
    List<Path> directories = new ArrayList<>();
    if (runtimeDirectory != null && runtimeDirectory.startsWith("/")) {
      directories.add(Path.of(runtimeDirectory));
    }
    directories.add(Path.of("/run/jpcache"));
    directories.add(Path.of("/tmp/jpcache-" + userId()));
    return directories;
  }

  private static int userId() {
    try {
      return (Integer) attribute(Path.of("/proc/self"), "uid");
    } catch (IOException e) {
      throw new UserException("/proc/self: " + e.getMessage() + "; is /proc mounted?", e);
    }
  }

  /** It is a directory of ours that nobody else writes; it is made if need be. */
  private static boolean usable(Path directory) {
    try {
      try {
        Files.createDirectory(
            directory,
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(PRIVATE)));
      } catch (FileAlreadyExistsException e) {
        // Whose it is, is what follows.
      }
      int mode = (Integer) attribute(directory, "mode");
      return Files.isDirectory(directory, LinkOption.NOFOLLOW_LINKS)
          && (Integer) attribute(directory, "uid") == userId()
          && (mode & 0022) == 0
          && Files.isWritable(directory);
    } catch (IOException e) {
      return false;
    }
  }

  private static Object attribute(Path path, String name) throws IOException {
    LinkOption[] options =
        path.startsWith("/proc") ? new LinkOption[0] : new LinkOption[] {LinkOption.NOFOLLOW_LINKS};
    return Objects.requireNonNull(Files.getAttribute(path, "unix:" + name, options));
  }

  /** What a cache is known by, however it is named. */
  public static String realPath(String cache) {
    try {
      return Path.of(cache).toRealPath().toString();
    } catch (IOException e) {
      return Path.of(cache).toAbsolutePath().normalize().toString();
    }
  }

  private static String hash(String text) {
    try {
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(text.getBytes(UTF_8));
      return HexFormat.of().formatHex(digest).substring(0, HASH_DIGITS);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JDK has SHA-256", e);
    }
  }
}
