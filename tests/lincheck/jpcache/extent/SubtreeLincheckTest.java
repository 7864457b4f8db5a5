package jpcache.extent;

import java.util.ArrayList;
import java.util.List;
import org.jetbrains.lincheck.datastructures.IntGen;
import org.jetbrains.lincheck.datastructures.ModelCheckingOptions;
import org.jetbrains.lincheck.datastructures.Operation;
import org.jetbrains.lincheck.datastructures.Param;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * A look at a subtree without its monitor is one moment's, wherever other threads' changes are
 * interrupted: Lincheck tries interleavings of every load and store, as if memory were sequentially
 * consistent. (What real processors make of it, {@link SubtreePeekTest} tries.)
 */
@Param(name = "start", gen = IntGen.class, conf = "0:5")
@Param(name = "sectors", gen = IntGen.class, conf = "1:3")
@Param(name = "segment", gen = IntGen.class, conf = "1:4")
public class SubtreeLincheckTest {
  private static final int SECTORS = 8;

  private final Subtree subtree = new Subtree(true);

  public SubtreeLincheckTest() {
    subtree.insert(Extent.of(0, SECTORS, 7, 0), 7);
  }

  @Operation
  public void insert(
      @Param(name = "start") int start,
      @Param(name = "sectors") int sectors,
      @Param(name = "segment") int segment) {
    synchronized (subtree) {
      subtree.insert(Extent.of(start, sectors, segment, start), segment);
    }
  }

  @Operation
  public void clear(@Param(name = "start") int start, @Param(name = "sectors") int sectors) {
    synchronized (subtree) {
      subtree.clear(start, start + sectors);
    }
  }

  /** As a reader does: once without the monitor, and with it if that met a change. */
  @Operation
  public List<Long> look() {
    ExtentList into = new ExtentList();
    int stamp = subtree.stamp();
    if (!subtree.peek(0, SECTORS, into) || !subtree.unchangedSince(stamp)) {
      into.clear();
      synchronized (subtree) {
        subtree.overlaps(0, SECTORS, into);
      }
    }
    List<Long> seen = new ArrayList<>();
    for (int i = 0; i < into.size(); i++) {
      seen.add(into.get(i));
      seen.add(Extent.isWhole(into.get(i)) ? into.dataCrc(i) : -1L);
    }
    return seen;
  }

  @Test
  @Timeout(86_400)
  void looksWithoutTheMonitorAreLinearizable() {
    new ModelCheckingOptions()
        .iterations(20)
        .invocationsPerIteration(Integer.getInteger("jpcache.lincheck.invocations", 300))
        .threads(2)
        .actorsPerThread(2)
        .actorsBefore(1)
        .actorsAfter(1)
        .check(SubtreeLincheckTest.class);
  }
}
