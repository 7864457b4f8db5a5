package jpcache.extent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** What a subtree is after a change that failed. */
class SubtreeTest {
  /** Else it would count as being changed at all other times than those at which it is. */
  @Test
  void aChangeThatFailsIsOverForThoseWhoLookWithoutTheMonitor() {
    Subtree subtree = new Subtree();
    subtree.insert(Extent.of(8, 8, 1, 0));
    int outside = 4 * Extent.SUBTREE_SECTORS;
    assertThrows(IndexOutOfBoundsException.class, () -> subtree.clear(outside, outside + 1));
    ExtentList found = new ExtentList();
    int stamp = subtree.stamp();
    assertTrue(subtree.peek(0, Extent.SUBTREE_SECTORS, found));
    assertTrue(subtree.unchangedSince(stamp));
    assertEquals(1, found.size());
  }
}
