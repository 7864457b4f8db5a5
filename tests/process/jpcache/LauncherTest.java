package jpcache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The launcher, run for real over JDKs, and a checkout, that are shell scripts: a JDK's {@code
 * java} prints its arguments, and the checkout's {@code ci/build} counts its runs.
 */
class LauncherTest {
  private static final Path LAUNCHER = Path.of("jpcache").toAbsolutePath();

  @TempDir Path dir;
  private Path installed;
  private Path checkout;
  private Path jdk;

  private record Result(int exitCode, List<String> out, String err) {}

  @BeforeEach
  void layOut() throws IOException {
    installed = Files.createDirectory(dir.resolve("installed"));
    Files.copy(LAUNCHER, installed.resolve("jpcache"));
    checkout = Files.createDirectory(dir.resolve("checkout"));
    Files.copy(LAUNCHER, checkout.resolve("jpcache"));
    Files.createFile(checkout.resolve("pom.xml"));
    Files.createDirectories(checkout.resolve("java/jpcache"));
    Files.createDirectory(checkout.resolve("ci"));
    script(checkout.resolve("ci/setup"), "exit 0");
    script(checkout.resolve("ci/build"), "echo build >>builds");
    jdk = jdk("jdk", "25.0.3");
  }

  private static void script(Path path, String text) throws IOException {
    Files.createDirectories(path.getParent());
    Files.writeString(path, "#!/bin/sh\n" + text + "\n");
    assertTrue(path.toFile().setExecutable(true));
  }

  private Path jdk(String name, String version) throws IOException {
    Path home = dir.resolve(name);
    script(home.resolve("bin/java"), "echo \"$0\"; for a; do echo \"$a\"; done");
    script(home.resolve("bin/javac"), "exit 0");
    Files.writeString(
        home.resolve("release"),
        "IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"" + version + "\"\nLIBC=\"gnu\"");
    return home;
  }

  private Process start(Path launcher, Path javaHome, String... args) throws IOException {
    List<String> command = new ArrayList<>(List.of(launcher.toString()));
    command.addAll(List.of(args));
    ProcessBuilder builder = new ProcessBuilder(command).directory(checkout.toFile());
    builder.environment().put("JAVA_HOME", javaHome.toString());
    builder.environment().put("JPCACHE_JAVA_OPTS", "-Xmx7m -Dx=y");
    return builder.start();
  }

  private static Result end(Process process) throws IOException, InterruptedException {
    String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    String err = new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(process.waitFor(30, TimeUnit.SECONDS));
    return new Result(process.exitValue(), out.lines().toList(), err);
  }

  private Result run(Path home, Path javaHome, String... args)
      throws IOException, InterruptedException {
    return end(start(home.resolve("jpcache"), javaHome, args));
  }

  private long builds() throws IOException {
    return Files.readAllLines(checkout.resolve("builds")).size();
  }

  @Test
  void anInstalledJpcacheRunsTheJarBesideItWithJavaHomesJava() throws Exception {
    Result result = run(installed, jdk, "dump", "--cache", "a  b*");
    assertEquals("", result.err);
    assertEquals(jdk.resolve("bin/java").toString(), result.out.getFirst());
    List<String> jar = List.of("-jar", installed.resolve("jpcache.jar").toString());
    assertEquals(jar, result.out.subList(result.out.size() - 5, result.out.size() - 3));
    assertEquals(
        List.of("dump", "--cache", "a  b*"),
        result.out.subList(result.out.size() - 3, result.out.size()));
  }

  @Test
  void theUsersJvmOptionsStandBehindOurs() throws Exception {
    List<String> out = run(installed, jdk, "dump").out;
    assertEquals(List.of("-Xmx7m", "-Dx=y"), out.subList(out.size() - 5, out.size() - 3));
  }

  @Test
  void aServerIsTunedToRunLongAndACommandToEndSoon() throws Exception {
    List<String> server = run(installed, jdk, "serve").out;
    assertTrue(server.contains("-XX:+UseG1GC"), server.toString());
    assertFalse(server.contains("-XX:TieredStopAtLevel=1"), server.toString());
    assertTrue(run(installed, jdk, "--verbose", "serve").out.contains("-XX:+UseG1GC"));
    List<String> command = run(installed, jdk, "dump").out;
    assertTrue(command.contains("-XX:+UseSerialGC"), command.toString());
    assertTrue(command.contains("-XX:TieredStopAtLevel=1"), command.toString());
  }

  @Test
  void whatTheJvmSaysByItselfGoesToStderr() throws Exception {
    assertTrue(run(installed, jdk, "serve").out.contains("-XX:+DisplayVMOutputToStderr"));
  }

  @Test
  void aWorkingDirectoryThatIsGoneIsToldInOneLine() throws Exception {
    Path gone = dir.resolve("gone");
    String inGone = "mkdir $0; cd $0; rmdir $0; exec " + installed.resolve("jpcache") + " dump";
    Result result = end(new ProcessBuilder("sh", "-c", inGone, gone.toString()).start());
    assertEquals(1, result.exitCode, result.err);
    // The shell itself may have a line before that.
    String told = "jpcache: the working directory is gone; cd to another one\n";
    assertTrue(result.err.endsWith(told), result.err);
  }

  @Test
  void aLimitOfOpenFilesThatIsTooLowForAnythingIsTold() throws Exception {
    String limited = "ulimit -n 13; exec " + installed.resolve("jpcache") + " dump";
    Result result = end(new ProcessBuilder("sh", "-c", limited).start());
    assertEquals(1, result.exitCode, result.err);
    assertTrue(result.err.contains("ulimit -n"), result.err);
  }

  @Test
  void aLinkFromElsewhereLeadsToTheInstalledFiles() throws Exception {
    Path link = Files.createSymbolicLink(dir.resolve("link"), installed.resolve("jpcache"));
    Result result = end(start(link, jdk, "dump"));
    assertTrue(result.out.contains(installed.resolve("jpcache.jar").toString()), result.toString());
  }

  @Test
  void aJavaHomeThatIsTooOldIsPassedOver() throws Exception {
    Path old = jdk("old", "24.0.2");
    assertNotEquals(List.of(old.toString()), run(installed, old, "--java-home").out);
  }

  @Test
  void versionsAreComparedAsNumbers() throws Exception {
    for (String version : List.of("25", "25-ea", "26.0.1", "100")) {
      Path home = jdk("v" + version, version);
      assertEquals(List.of(home.toString()), run(installed, home, "--java-home").out);
    }
    for (String version : List.of("1.8.0_402", "9", "24", "x", "")) {
      Path home = jdk("v" + version, version);
      assertNotEquals(List.of(home.toString()), run(installed, home, "--java-home").out);
    }
  }

  @Test
  void aCheckoutIsBuiltOnceAndThenRunsWhatWasBuilt() throws Exception {
    Result first = run(checkout, jdk, "dump");
    assertTrue(first.err.matches("jpcache: building [^\n]*\n"), first.err);
    Result second = run(checkout, jdk, "dump");
    assertEquals("", second.err);
    assertEquals(first.out, second.out);
    assertTrue(first.out.contains(checkout.resolve("target/jpcache/jpcache.jar").toString()));
    assertEquals(1, builds());
  }

  @Test
  void firstCallsAtTheSameTimeBuildOnce() throws Exception {
    // Long enough for the others to come in between.
    script(checkout.resolve("ci/build"), "echo build >>builds; sleep 0.3");
    List<Process> calls = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      calls.add(start(checkout.resolve("jpcache"), jdk, "dump"));
    }
    for (Process call : calls) {
      assertEquals(0, end(call).exitCode);
    }
    assertEquals(1, builds());
  }

  @Test
  void aSourceThatIsNewerOrGoneIsAReasonToBuild() throws Exception {
    Path source = Files.createFile(checkout.resolve("java/jpcache/A.java"));
    run(checkout, jdk, "dump");
    Files.setLastModifiedTime(source, FileTime.from(Instant.now().plusSeconds(5)));
    run(checkout, jdk, "dump");
    assertEquals(2, builds());
    Files.delete(source);
    run(checkout, jdk, "dump");
    assertEquals(3, builds());
    run(checkout, jdk, "dump");
    assertEquals(3, builds());
  }

  @Test
  void anotherJdkIsAReasonToBuild() throws Exception {
    run(checkout, jdk, "dump");
    run(checkout, jdk("other", "25.0.3"), "dump");
    assertEquals(2, builds());
    Path other = jdk("other", "25.0.4");
    run(checkout, other, "dump");
    run(checkout, other, "dump");
    assertEquals(3, builds());
  }

  @Test
  void whatAnotherUserHasBuiltIsRunAsItIs() throws Exception {
    List<String> built = run(checkout, jdk, "dump").out;
    Path mark = checkout.resolve("target/jpcache/built");
    assumeTrue(Files.isWritable(Path.of("/etc/shadow")), "only root gives files away");
    Files.setAttribute(mark, "unix:uid", 12345);
    Result result = run(checkout, jdk("other", "25.0.4"), "dump");
    assertEquals(built.subList(1, built.size()), result.out.subList(1, result.out.size()));
    assertTrue(result.err.matches("jpcache: runs what the owner of [^\n]*\n"), result.err);
    assertEquals(1, builds());
  }

  @Test
  void fileNamesAreUtf8WhateverTheLocale() throws Exception {
    script(jdk.resolve("bin/java"), "echo \"$LC_ALL\"");
    ProcessBuilder builder = new ProcessBuilder(installed.resolve("jpcache").toString(), "dump");
    builder.environment().put("JAVA_HOME", jdk.toString());
    for (String named : List.of("de_DE@euro", "xx_XX.UTF-8")) {
      builder.environment().put("LC_ALL", named);
      assertEquals(List.of("C.UTF-8"), end(builder.start()).out);
    }
  }

  @Test
  void aBuildThatFailsIsToldWithItsLogAndRunsNothing() throws Exception {
    script(checkout.resolve("ci/build"), "echo fine; echo '[ERROR] A.java: no'; exit 3");
    Result result = run(checkout, jdk, "dump");
    assertEquals(1, result.exitCode);
    assertEquals(List.of(), result.out);
    assertTrue(result.err.contains(checkout.resolve("target/build.log").toString()), result.err);
    assertTrue(result.err.contains("\n[ERROR] A.java: no\n"), result.err);
    assertFalse(result.err.contains("fine"), result.err);
    // Nothing counts as built, so the next call tries again.
    script(checkout.resolve("ci/build"), "echo build >>builds");
    assertEquals(0, run(checkout, jdk, "dump").exitCode);
  }
}
