package jpcache.extent;

import java.util.concurrent.atomic.AtomicReferenceArray;
import jpcache.base.Sizes;
import jpcache.base.UserException;
import org.jspecify.annotations.Nullable;

/**
 * The subtrees of a whole logical device, made when they are first needed.
 *
 * <p>May be used from any thread; each {@link Subtree} says how it is.
 */
public final class ExtentMap {
  public static final int SUBTREE_SHIFT = 22;

  /** Bytes of the logical device that a subtree stands for. */
  public static final int SUBTREE_BYTES = 1 << SUBTREE_SHIFT;

  /** 1 PiB: the directory of a larger device alone would fill the heap. */
  public static final long MAX_LOGICAL_BYTES = 1L << 50;

  /**
   * Small pages: forged keys, each in a page of its own, must not cost hundreds of times what they
   * take on media. The directory of 1 PiB has 4 Mi pages then, 16 MiB.
   */
  private static final int PAGE_SHIFT = 6;

  private static final int PAGE_MASK = (1 << PAGE_SHIFT) - 1;

  private final AtomicReferenceArray<@Nullable AtomicReferenceArray<@Nullable Subtree>> pages;
  private final boolean keepsCrcs;

  /** An empty map without checksums. */
  public ExtentMap(long logicalBytes) {
    this(logicalBytes, false);
  }

  /**
   * An empty map.
   *
   * @param keepsCrcs whether its subtrees keep the data_crc of each key
   * @throws UserException if the logical device is larger than {@link #MAX_LOGICAL_BYTES}
   */
  public ExtentMap(long logicalBytes, boolean keepsCrcs) {
    this.keepsCrcs = keepsCrcs;
    if (logicalBytes > MAX_LOGICAL_BYTES) {
      throw new UserException(
          "backing device of "
              + Sizes.format(logicalBytes)
              + ": larger than the "
              + Sizes.format(MAX_LOGICAL_BYTES)
              + " that a cache can be in front of");
    }
    long subtrees = (logicalBytes + SUBTREE_BYTES - 1) >>> SUBTREE_SHIFT;
    pages = new AtomicReferenceArray<>((int) ((subtrees + PAGE_MASK) >>> PAGE_SHIFT));
  }

  /** The subtree of a logical byte offset, or null if nothing was ever put there. */
  public @Nullable Subtree find(long offsetBytes) {
    long index = offsetBytes >>> SUBTREE_SHIFT;
    AtomicReferenceArray<@Nullable Subtree> page = pages.get((int) (index >>> PAGE_SHIFT));
    return page == null ? null : page.get((int) index & PAGE_MASK);
  }

  /** The subtree of a logical byte offset, made if there is none. */
  public Subtree subtree(long offsetBytes) {
    Subtree found = find(offsetBytes);
    return found != null ? found : make(offsetBytes >>> SUBTREE_SHIFT);
  }

  private Subtree make(long index) {
    int pageIndex = (int) (index >>> PAGE_SHIFT);
    AtomicReferenceArray<@Nullable Subtree> page = pages.get(pageIndex);
    if (page == null) {
      pages.compareAndSet(pageIndex, null, new AtomicReferenceArray<>(PAGE_MASK + 1));
      page = pages.get(pageIndex);
      assert page != null;
    }
    int slot = (int) index & PAGE_MASK;
    page.compareAndSet(slot, null, new Subtree(keepsCrcs));
    Subtree subtree = page.get(slot);
    assert subtree != null;
    return subtree;
  }
}
