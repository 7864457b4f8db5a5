package jpcache.support;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Memory of a simulated device that can be put back to what it was, in a time that depends on what
 * has changed since and not on the size of the device: a laboratory does so for each of a hundred
 * thousand states.
 *
 * <p>Whoever stores into {@link #bytes} says so by {@link #changes}. One thread at a time.
 */
public final class PagedMemory {
  private static final int PAGE_BYTES = 4096;

  /** What a memory held. Pages that are not in it were zero; images share pages. */
  public static final class Image {
    private final Map<Integer, MemorySegment> pages;

    private Image(Map<Integer, MemorySegment> pages) {
      this.pages = pages;
    }
  }

  private final MemorySegment bytes;

  /** What the memory holds, but for the pages that have changed since. */
  private Image loaded = new Image(Map.of());

  private final BitSet changed = new BitSet();

  /** A memory of zeros. */
  public PagedMemory(MemorySegment bytes) {
    this.bytes = bytes;
  }

  public MemorySegment bytes() {
    return bytes;
  }

  /** To be called for each range that is stored into. */
  public void changes(long offsetBytes, long lengthBytes) {
    int from = (int) (offsetBytes / PAGE_BYTES);
    int to = (int) ((offsetBytes + lengthBytes + PAGE_BYTES - 1) / PAGE_BYTES);
    changed.set(from, to);
  }

  /** Keeps what the memory holds now. */
  public Image save() {
    if (!changed.isEmpty()) {
      Map<Integer, MemorySegment> pages = new HashMap<>(loaded.pages);
      changed.stream().forEach(page -> pages.put(page, copy(page)));
      changed.clear();
      loaded = new Image(pages);
    }
    return loaded;
  }

  /** Puts back what was kept, of this memory or of another of the same size. */
  @SuppressWarnings("ReferenceEquality") // images share the arrays of pages that did not change
  public void load(Image image) {
    if (image != loaded) {
      addDifferences(loaded, image);
      addDifferences(image, loaded);
    }
    changed.stream().forEach(page -> restore(page, image.pages.get(page)));
    changed.clear();
    loaded = image;
  }

  private void addDifferences(Image from, Image to) {
    from.pages.forEach((page, copy) -> {
      if (!copy.equals(to.pages.get(page))) { // images share what has not changed
        changed.set(page);
      }
    });
  }

  private MemorySegment copy(int page) {
    return MemorySegment.ofArray(page(page).toArray(ValueLayout.JAVA_BYTE));
  }

  private void restore(int page, @Nullable MemorySegment copy) {
    if (copy == null) {
      page(page).fill((byte) 0);
    } else {
      page(page).copyFrom(copy);
    }
  }

  private MemorySegment page(int page) {
    long at = (long) page * PAGE_BYTES;
    return bytes.asSlice(at, Math.min(PAGE_BYTES, bytes.byteSize() - at));
  }
}
