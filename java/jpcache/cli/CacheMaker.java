package jpcache.cli;

import java.util.OptionalLong;
import jpcache.base.Sizes;
import jpcache.base.UserException;
import jpcache.media.CacheMedia;
import jpcache.media.Label;
import jpcache.media.MediaException;
import jpcache.media.MediaFormatter;
import jpcache.pmem.PmemBinding;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemRegion;
import jpcache.pmem.PoisonedMemoryException;
import jpcache.tools.DirtyData;
import org.jspecify.annotations.Nullable;

/** Makes caches, for the commands that do. A label of null means that no device was named. */
final class CacheMaker {
  private final CacheSettings settings;
  private final int gcPercent;

  CacheMaker(CacheSettings settings, int gcPercent) {
    this.settings = settings;
    this.gcPercent = gcPercent;
  }

  /** Creates a file of a size and makes an empty cache on it. */
  PmemRegion create(
      String path, long sizeBytes, @Nullable PmemBinding binding, @Nullable Label label) {
    MediaFormatter.checkSize(path, sizeBytes);
    PmemRegion region = PmemFiles.create(path, sizeBytes, binding);
    format(region, label);
    return region;
  }

  /** Makes an empty cache on a device that exists, if that loses nothing or the user says so. */
  PmemRegion format(
      String path,
      @Nullable Long sizeBytes,
      boolean force,
      @Nullable PmemBinding binding,
      @Nullable Label label) {
    PmemRegion region =
        PmemFiles.openToFormat(path, binding, device -> requireSuitable(device, sizeBytes, force));
    try {
      format(region, label);
      return region;
    } catch (Throwable e) {
      region.close();
      throw e;
    }
  }

  private static void requireSuitable(PmemRegion region, @Nullable Long sizeBytes, boolean force) {
    String path = region.name();
    if (sizeBytes != null && sizeBytes != region.sizeBytes()) {
      throw new UserException(
          String.format(
              "--size %s: %s exists with %s",
              Sizes.format(sizeBytes), path, Sizes.format(region.sizeBytes())));
    }
    MediaFormatter.checkSize(path, region.sizeBytes());
    if (!force) {
      requireNothing(region);
    }
  }

  private static void requireNothing(PmemRegion region) {
    String found;
    try {
      OptionalLong at = MediaFormatter.contents(region.view());
      if (at.isEmpty()) {
        return;
      }
      found = contents(region, at.getAsLong());
    } catch (PoisonedMemoryException e) {
      found = region.name() + ": cannot be read at byte " + e.offsetBytes();
    }
    throw new UserException(found + "; use --force to throw away what is there");
  }

  private void format(PmemRegion region, @Nullable Label label) {
    MediaFormatter.format(region, settings.dataCrc, settings.modeToMake(), gcPercent, label);
  }

  private static String contents(PmemRegion region, long at) {
    try {
      OptionalLong dirtyBytes = DirtyData.bytes(CacheMedia.read(region.name(), region.view()));
      return region.name()
          + ": holds a cache "
          + (dirtyBytes.isEmpty()
              ? "of which it is not known how much data is dirty, see `jpcache fsck`"
              : dirtyBytes.getAsLong() == 0
                  ? "with no dirty data"
                  : "with " + Sizes.format(dirtyBytes.getAsLong()) + " of dirty data");
    } catch (MediaException e) {
      return switch (e.kind()) {
        case BAD_MAGIC -> region.name() + ": holds something that is not a cache, at byte " + at;
        case NOT_FORMATTED ->
            region.name()
                + ": holds something at byte "
                + at
                + " that is not a cache, or what a format that was cut off has left";
        default -> "holds a cache that cannot be read: " + e.getMessage();
      };
    }
  }
}
