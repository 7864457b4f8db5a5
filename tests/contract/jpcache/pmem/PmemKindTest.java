package jpcache.pmem;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import jpcache.base.UserException;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * What is taken for persistent memory. libpmem reads its environment once, when it is loaded, so
 * each case runs in a JVM of its own: {@link #main}.
 */
final class PmemKindTest {
  private static final int SIZE = 1 << 20;

  @TempDir(factory = ShmDirectory.class)
  private Path memory;

  @TempDir private Path disk;

  @BeforeEach
  void needsADisk() throws IOException {
    assumeFalse(Files.getFileStore(disk).type().equals("tmpfs"), "temporary files are in memory");
  }

  @ParameterizedTest
  @EnumSource(PmemBinding.class)
  void anOrdinaryFileIsNotPmemAndIsWrittenThroughTheKernel(PmemBinding binding) throws Exception {
    assertEquals(
        List.of(
            "NOT_PMEM",
            "dirty KiB: 0",
            "difference: -1",
            "truncated: 8 bytes at 1048568 are not durable: its memory is gone"),
        child("", List.of(), "write", binding, disk));
  }

  @ParameterizedTest
  @EnumSource(PmemBinding.class)
  void memoryIsEmulatedAndAnOrdinaryFileBesideItStaysOne(PmemBinding binding) throws Exception {
    assertEquals(
        List.of("EMULATED", "NOT_PMEM"), child("", List.of(), "kinds", binding, memory, disk));
  }

  @ParameterizedTest
  @EnumSource(PmemBinding.class)
  void aUserWhoForcesItAnswersForIt(PmemBinding binding) throws Exception {
    assertEquals(
        List.of("EMULATED", "EMULATED"), child("1", List.of(), "kinds", binding, memory, disk));
    assertEquals(
        List.of("NOT_PMEM", "NOT_PMEM"), child("0", List.of(), "kinds", binding, memory, disk));
  }

  @ParameterizedTest
  @EnumSource(value = PmemBinding.class, names = "JNI")
  void ourNativeLibraryThatIsMissingIsNamedWithTheCommandThatBuildsIt(PmemBinding jni)
      throws Exception {
    String expected =
        "--pmem jni: "
            + disk
            + "/libjpcache_jni.so is missing; build it (cmake -B target/native && cmake --build"
            + " target/native), name its directory by -Djpcache.native.dir, or choose --pmem ffm";
    assertEquals(
        List.of(expected),
        child("", List.of("-Djpcache.native.dir=" + disk), "kinds", jni, memory));
  }

  /** Whoever uses libpmem without us in between can do without our library, and is told. */
  @ParameterizedTest
  @EnumSource(PmemBinding.class)
  void withoutOurNativeLibraryOthersStoreUnguarded(PmemBinding binding) throws Exception {
    assertEquals(
        List.of("EMULATED", "guarded: true", "difference: -1"),
        child("", List.of(), "guard", binding, memory));
    if (binding != PmemBinding.JNI) {
      assertEquals(
          List.of("EMULATED", "guarded: false", "difference: -1"),
          child("", List.of("-Djpcache.native.dir=" + disk), "guard", binding, memory));
    }
  }

  @ParameterizedTest
  @EnumSource(PmemBinding.class)
  void aLibraryThatIsNotForThisMachineIsAsGoodAsNone(PmemBinding binding) throws Exception {
    Files.writeString(disk.resolve("libjpcache_jni.so"), "not a library");
    List<String> lines =
        child("", List.of("-Djpcache.native.dir=" + disk), "guard", binding, memory);
    if (binding == PmemBinding.JNI) {
      assertTrue(lines.getFirst().startsWith("--pmem jni: " + disk), lines::toString);
    } else {
      assertEquals(List.of("EMULATED", "guarded: false", "difference: -1"), lines);
    }
  }

  /**
   * Runs main in a JVM whose PMEM_IS_PMEM_FORCE is as given, or unset, and returns what it says.
   */
  private static List<String> child(
      String force, List<String> jvmFlags, String what, PmemBinding binding, Path... directories)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("--enable-native-access=ALL-UNNAMED", "-Xmx64m", "-cp"));
    command.add(System.getProperty("java.class.path"));
    command.addAll(jvmFlags);
    command.add(PmemKindTest.class.getName());
    command.add(what);
    command.add(binding.name());
    for (Path directory : directories) {
      command.add(Files.createTempFile(directory, "region", "").toString());
    }
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
    builder.environment().remove("PMEM_IS_PMEM_FORCE");
    if (!force.isEmpty()) {
      builder.environment().put("PMEM_IS_PMEM_FORCE", force);
    }
    Process process = builder.start();
    List<String> lines = process.inputReader().lines().toList();
    assertEquals(0, process.waitFor());
    return lines;
  }

  /** What the JVM of a case does; its lines are the result. */
  public static void main(String[] arguments) throws IOException {
    PmemBinding binding = PmemBinding.valueOf(arguments[1]);
    for (String path : List.of(arguments).subList(2, arguments.length)) {
      try (RandomAccessFile file = new RandomAccessFile(path, "rw")) {
        file.setLength(SIZE);
      }
      try (PmemRegion region = PmemFiles.open(path, binding)) {
        System.out.println(region.kind());
        if (arguments[0].equals("write")) {
          writeAndRead(region);
        }
        if (arguments[0].equals("guard")) {
          System.out.println("guarded: " + region.guardsStores());
          write(region);
        }
      } catch (UserException e) {
        System.out.println(e.getMessage());
      }
    }
  }

  private static void write(PmemRegion region) {
    byte[] expected = new byte[SIZE];
    new Random(5).nextBytes(expected);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment source = arena.allocate(SIZE);
      MemorySegment.copy(expected, 0, source, ValueLayout.JAVA_BYTE, 0, SIZE);
      region.copy(0, source.address(), SIZE / 2);
      region.drain();
      region.persist(SIZE / 2, source.address() + SIZE / 2, SIZE / 2);
    }
    System.out.println("difference: " + region.view().mismatch(MemorySegment.ofArray(expected)));
  }

  private static void writeAndRead(PmemRegion region) throws IOException {
    byte[] expected = new byte[SIZE];
    Random random = new Random(4);
    try (Arena arena = Arena.ofConfined();
        RandomAccessFile file = new RandomAccessFile(region.name(), "rw")) {
      MemorySegment source = arena.allocate(10_000);
      for (int i = 0; i < 50; i++) {
        byte[] bytes = new byte[random.nextInt(10_000)];
        random.nextBytes(bytes);
        int offset = random.nextInt(SIZE - bytes.length);
        System.arraycopy(bytes, 0, expected, offset, bytes.length);
        MemorySegment.copy(bytes, 0, source, ValueLayout.JAVA_BYTE, 0, bytes.length);
        if (i % 2 == 0) {
          region.copy(offset, source.address(), bytes.length);
          region.drain();
        } else {
          region.persist(offset, source.address(), bytes.length);
        }
      }
      System.out.println("dirty KiB: " + dirtyKib(region.address()));
      System.out.println("difference: " + region.view().mismatch(MemorySegment.ofArray(expected)));

      file.setLength(SIZE / 2);
      try {
        region.persist(SIZE - 8, source.address(), 8);
      } catch (UncheckedIOException e) {
        String message = String.valueOf(e.getMessage());
        System.out.println(
            "truncated:"
                + message.substring(message.indexOf(": ", message.indexOf(region.name())) + 1));
      }
    }
  }

  /** How much of the mapping that begins at an address the kernel has not written to its file. */
  private static long dirtyKib(long address) throws IOException {
    long dirty = 0;
    boolean ours = false;
    for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
      if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
        ours = line.startsWith(Long.toHexString(address) + "-");
      } else if (ours && line.matches("(Shared|Private)_Dirty:.*")) {
        dirty += Long.parseLong(line.replaceAll("[^0-9]", ""));
      }
    }
    return dirty;
  }
}
