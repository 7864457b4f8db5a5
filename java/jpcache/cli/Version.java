package jpcache.cli;

import java.io.IOException;
import java.io.InputStream;
import java.util.Properties;
import picocli.CommandLine.IVersionProvider;

/** What {@code --version} prints: the version, and the commit if it was built from a checkout. */
final class Version implements IVersionProvider {
  @Override
  public String[] getVersion() throws IOException {
    return new String[] {text()};
  }

  private static String text() throws IOException {
    Properties built = new Properties();
    try (InputStream in = Version.class.getResourceAsStream("version.properties")) {
      if (in == null) {
        return "jpcache (unknown version: version.properties is missing)";
      }
      built.load(in);
    }
    String commit = built.getProperty("commit", "");
    return "jpcache "
        + built.getProperty("version")
        + (commit.isEmpty() ? "" : " (" + commit + ")");
  }
}
