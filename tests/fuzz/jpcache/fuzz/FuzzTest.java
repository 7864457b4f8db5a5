package jpcache.fuzz;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import jpcache.Seeds;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every {@link FuzzTarget} over its seeds, over the inputs that once broke it, and over random
 * mutations of both for a while. {@code ci/fuzz} lets Jazzer search instead, guided by what an
 * input reaches.
 */
class FuzzTest {
  private static final Path REGRESSIONS = Path.of("tests/fuzz/regressions");

  /** Some of them, others in each run; ci/fuzz has all. */
  private static final int MOST_SEEDS = Integer.getInteger("jpcache.fuzz.seeds", 50);

  private static final long NANOS =
      TimeUnit.MILLISECONDS.toNanos(Long.getLong("jpcache.fuzz.millis", 700));

  static Stream<String> targets() {
    return StreamSupport.stream(FuzzTargets.names().spliterator(), false);
  }

  @ParameterizedTest
  @MethodSource("targets")
  void noInputCrashesOrHangsItOrFillsItsMemory(String name) {
    long seed = Seeds.next(getClass());
    try (FuzzTarget target = FuzzTargets.named(name)) {
      List<byte[]> inputs = new ArrayList<>(target.seeds());
      assertTrue(!inputs.isEmpty(), "no seeds");
      Collections.shuffle(inputs, new Random(seed));
      inputs.subList(Math.min(MOST_SEEDS, inputs.size()), inputs.size()).clear();
      inputs.addAll(regressions(name));
      Judge judge = new Judge(name, target);
      inputs.forEach(judge::feed);
      Mutator mutator = new Mutator(inputs, new SplittableRandom(seed));
      long rounds = 0;
      for (long end = System.nanoTime() + NANOS; System.nanoTime() < end; rounds++) {
        judge.feed(mutator.next());
      }
      System.out.printf(
          "fuzz %s: %d inputs, %d mutations, at most %s%n",
          name, inputs.size(), rounds, judge.worst());
    }
  }

  private static List<byte[]> regressions(String name) {
    Path directory = REGRESSIONS.resolve(name);
    if (Files.notExists(directory)) {
      return List.of();
    }
    try (Stream<Path> files = Files.list(directory)) {
      List<byte[]> inputs = new ArrayList<>();
      for (Path file : files.sorted().toList()) {
        inputs.add(Files.readAllBytes(file));
      }
      return inputs;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
