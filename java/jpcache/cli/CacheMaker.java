package jpcache.cli;

import jpcache.base.Sizes;
import jpcache.base.UserException;
import jpcache.media.CacheMedia;
import jpcache.media.Label;
import jpcache.media.MediaException;
import jpcache.media.MediaFormatter;
import jpcache.pmem.PmemBinding;
import jpcache.pmem.PmemFiles;
import jpcache.pmem.PmemRegion;
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

  /** Makes an empty cache on an open device, if that loses nothing or the user has said so. */
  void format(PmemRegion region, boolean force, @Nullable Label label) {
    if (!force && CacheMedia.present(region.view())) {
      throw new UserException(contents(region) + "; use --force to throw it away");
    }
    format(region, label);
  }

  private void format(PmemRegion region, @Nullable Label label) {
    MediaFormatter.format(region, settings.dataCrc, settings.modeToMake(), gcPercent, label);
  }

  private static String contents(PmemRegion region) {
    try {
      long dirtyBytes = DirtyData.bytes(CacheMedia.read(region.name(), region.view()));
      return region.name()
          + ": holds a cache with "
          + (dirtyBytes == 0 ? "no dirty data" : Sizes.format(dirtyBytes) + " of dirty data");
    } catch (MediaException e) {
      return e.kind() == MediaException.Kind.BAD_MAGIC
          ? region.name() + ": holds something that is not a cache"
          : "holds a cache that cannot be read: " + e.getMessage();
    }
  }
}
