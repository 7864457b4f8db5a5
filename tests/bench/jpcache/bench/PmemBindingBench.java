package jpcache.bench;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import jpcache.pmem.PmemBinding;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemReads;
import jpcache.pmem.PmemRegion;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What a store costs through each binding, as the engine makes it: through {@link PmemRegion}, with
 * its bounds check. native/pmem_raw_bench.c measures the same from C, over a region of the same
 * size, with the same places.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 2, time = 400, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 9, time = 200, timeUnit = TimeUnit.MILLISECONDS)
@Fork(1)
@State(Scope.Thread)
public class PmemBindingBench {
  private static final long REGION_BYTES = 256 << 20;
  private static final int PAGE = 4096;

  @Param({"FFM", "JNI", "JNA"})
  private PmemBinding binding;

  private Path directory;
  private PmemRegion region;
  private long memory;
  private long sequential;
  private long state = 1;

  @Setup
  public void create() throws IOException {
    directory = Files.createTempDirectory(Path.of("/dev/shm"), "pmem-bench-");
    region = PmemFiles.create(directory.resolve("region").toString(), REGION_BYTES, binding);
    MemorySegment page = Arena.global().allocate(PAGE, 64).fill((byte) 0x5a);
    memory = page.address();
    for (long at = 0; at < REGION_BYTES; at += PAGE) { // every page is there and mapped
      region.persist(at, memory, PAGE);
    }
  }

  @TearDown
  public void remove() throws IOException {
    region.close();
    Files.delete(directory.resolve("region"));
    Files.delete(directory);
  }

  private long nextPage() {
    sequential = sequential + PAGE & REGION_BYTES - 1;
    return sequential;
  }

  /** xorshift64. */
  private long randomPage() {
    state ^= state << 13;
    state ^= state >>> 7;
    state ^= state << 17;
    return state & REGION_BYTES - PAGE;
  }

  /** The cheapest call there is: a fence with nothing before it. */
  @Benchmark
  public void drain() {
    region.drain();
  }

  @Benchmark
  public void persist4kSequential() {
    region.persist(nextPage(), memory, PAGE);
  }

  @Benchmark
  public void persist4kRandom() {
    region.persist(randomPage(), memory, PAGE);
  }

  /** One key, behind the last one. */
  @Benchmark
  public void persist40Bytes() {
    sequential = sequential + 40 >= REGION_BYTES - 40 ? 0 : sequential + 40;
    region.persist(sequential, memory, 40);
  }

  /** A read hit's copy: by Java, whatever the binding. */
  @Benchmark
  public void read4kRandom() {
    PmemReads.copy(region.view(), randomPage(), memory, PAGE);
  }
}
