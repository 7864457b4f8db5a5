package jpcache.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import jpcache.Golden;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What cannot be served is refused in one line that names it, with exit code 1. */
class RefusalTest {
  private static final long BACKING_BYTES = 64 << 20;

  @TempDir(factory = ShmDirectory.class)
  Path shm;

  @TempDir Path disk;

  private Media media;

  @BeforeEach
  void canRun() {
    Jpcache.assumeItCanRun();
    media = Media.in(shm, disk);
  }

  @Test
  void aBackingDeviceThatIsNotThere() {
    media.formatted("512M");
    viewAndServeFailSaying(media.backing().toString(), "No such file or directory");
  }

  @Test
  void aBackingDeviceThatIsADirectory() throws IOException {
    media.formatted("512M");
    Files.createDirectory(media.backing());
    viewAndServeFailSaying(media.backing().toString(), "directory");
  }

  @Test
  void aBackingDeviceThatIsSmallerThanWhatTheCacheHoldsForIt() throws IOException {
    Golden.Copy copy = Golden.named("dirty-crash").unpack(shm);
    truncate(copy.backing(), 1 << 20);
    media = new Media(copy.cache(), copy.backing(), media.socket());
    viewAndServeFailSaying("1048576");
  }

  @Test
  void aCacheThatIsNotThere() {
    media.withBacking(BACKING_BYTES);
    dumpFailsSaying(media.cache().toString(), "No such file or directory");
    viewAndServeFailSaying(media.cache().toString(), "No such file or directory");
    Jpcache.run(media.serveCommand()).failedSaying("jpcache format", "--create");
  }

  @Test
  void aCacheThatWasNeverFormatted() throws IOException {
    media.withBacking(BACKING_BYTES);
    Files.createFile(media.cache());
    extend(media.cache(), 512 << 20);
    dumpFailsSaying(media.cache().toString(), "format");
    viewAndServeFailSaying(media.cache().toString(), "format");
  }

  @Test
  void aCacheThatIsEmpty() throws IOException {
    media.withBacking(BACKING_BYTES);
    Files.createFile(media.cache());
    dumpFailsSaying(media.cache().toString());
    viewAndServeFailSaying(media.cache().toString());
  }

  @ParameterizedTest
  @ValueSource(ints = {6 << 10, 600 << 20})
  void aCacheThatWasTruncated(int bytes) throws IOException {
    media.withBacking(BACKING_BYTES).formatted("1G");
    truncate(media.cache(), bytes);
    dumpFailsSaying(media.cache().toString());
    viewAndServeFailSaying(media.cache().toString());
  }

  @Test
  void aCacheOfRandomBytes() throws IOException {
    media.withBacking(BACKING_BYTES);
    Files.write(media.cache(), new Stamp(1).payload(1, 1, 0, 2048));
    extend(media.cache(), 512 << 20);
    dumpFailsSaying(media.cache().toString(), "magic");
    viewAndServeFailSaying(media.cache().toString(), "magic");
  }

  @Test
  void aFormatOfACacheThatIsTooSmall() {
    Jpcache.Result result =
        Jpcache.run("format", "--cache", media.cache().toString(), "--size", "511M");
    assertEquals(2, result.exit(), result::toString);
    assertTrue(result.err().contains("511M: a cache has at least 512 MiB"), result::toString);
    assertTrue(Files.notExists(media.cache()), "a refused format leaves no file");
  }

  @Test
  void aFormatOverACacheUnlessItIsForced() throws IOException {
    Golden.Copy copy = Golden.named("dirty-crash").unpack(shm);
    String cache = copy.cache().toString();
    Jpcache.run("format", "--cache", cache).failedSaying(cache, "dirty", "--force");
    Media full = new Media(copy.cache(), copy.backing(), media.socket());
    assertEquals(
        Golden.named("dirty-crash").expect().logicalSha256(), full.viewSha256(shm), "refused");
    Jpcache.run("format", "--cache", cache, "--force").succeeded();
    assertEquals(
        Golden.named("dirty-crash").expect().backingSha256(), full.viewSha256(shm), "forced");
  }

  @ParameterizedTest
  @CsvSource({
    "--mode write-through, --mode write-through, has mode write-back",
    "--data-crc, --data-crc, has data crc off",
    "--create 1G, --create 1 GiB, has 512 MiB",
  })
  void anOptionThatContradictsTheCacheWithBothValues(String option, String asked, String is) {
    media.withBacking(BACKING_BYTES).formatted("512M");
    Jpcache.run(with(media.serveCommand(), option.split(" ", -1)))
        .failedSaying(asked + ": the cache " + media.cache() + " " + is);
  }

  @Test
  void aSizeThatContradictsTheFileThatIsToBeFormatted() {
    media.formatted("512M");
    Jpcache.run("format", "--cache", media.cache().toString(), "--size", "1G", "--force")
        .failedSaying("--size 1 GiB: " + media.cache() + " exists with 512 MiB");
  }

  @Test
  void aSocketWhoseDirectoryIsNotThere() {
    media.withBacking(BACKING_BYTES).formatted("512M");
    Media lost = new Media(media.cache(), media.backing(), shm.resolve("none/s"));
    Jpcache.run(lost.serveCommand()).failedSaying(lost.socket().toString());
  }

  @ParameterizedTest
  @ValueSource(strings = {"nbd+unix:///?socket=/nowhere/s", "nbd://0.0.0.0:0/"})
  void aServerThatCannotListenLeavesNoCacheThatItHasMade(String address) {
    media.withBacking(BACKING_BYTES);
    String backing = media.backing().toString();
    String[] serve = {"serve", "--cache", media.cache().toString(), "--backing", backing};
    Jpcache.run(with(serve, "--create", "512M", "--listen", address)).failedSaying(address);
    assertTrue(Files.notExists(media.cache()), "what it has made");

    media.formatted("512M");
    Jpcache.run(with(serve, "--create", "512M", "--listen", address)).failedSaying(address);
    assertTrue(Files.exists(media.cache()), "what was there before");
  }

  @Test
  void wrongUsageExitsTwoAndSaysWhereToLook() {
    Jpcache.Result result = Jpcache.run("serve", "--cash", "x");
    assertEquals(2, result.exit(), result::toString);
    assertTrue(result.err().contains("--cash"), result::toString);
    assertTrue(result.err().contains("--help"), result::toString);
  }

  @Test
  void verboseAloneShowsTheStackTrace() {
    Jpcache.Result result = Jpcache.run("dump", "--cache", "/nowhere", "--verbose");
    assertEquals(1, result.exit(), result::toString);
    assertTrue(result.err().lines().anyMatch(line -> line.startsWith("\tat ")), result::toString);
  }

  @ParameterizedTest
  @ValueSource(strings = {"serve", "status", "top", "set", "stop", "format", "dump", "view"})
  void everyCommandExplainsItself(String command) {
    Jpcache.Result result = Jpcache.run(command, "--help").succeeded();
    assertTrue(result.out().contains("--cache"), result::toString);
  }

  private void viewAndServeFailSaying(String... words) {
    Jpcache.run(media.viewCommand()).failedSaying(words);
    Jpcache.run(media.serveCommand()).failedSaying(words);
  }

  private void dumpFailsSaying(String... words) {
    Jpcache.run("dump", "--cache", media.cache().toString()).failedSaying(words);
  }

  private static String[] with(String[] command, String... more) {
    String[] all = Arrays.copyOf(command, command.length + more.length);
    System.arraycopy(more, 0, all, command.length, more.length);
    return all;
  }

  private static void truncate(Path file, long sizeBytes) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.truncate(sizeBytes);
    }
  }

  private static void extend(Path file, long sizeBytes) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.write(ByteBuffer.allocate(1), sizeBytes - 1);
    }
  }
}
