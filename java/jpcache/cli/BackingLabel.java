package jpcache.cli;

import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;
import jpcache.backing.BackingDevice;
import jpcache.backing.DeviceIdentity;
import jpcache.base.UserException;
import jpcache.media.Label;
import jpcache.media.MediaException;
import jpcache.pmem.PmemRegion;
import jpcache.pmem.PoisonedMemoryException;
import org.jspecify.annotations.Nullable;

/**
 * Sees to it that a cache is served in front of the backing device that it belongs to.
 *
 * <p>A cache without a label, as the kernel makes them, goes with any device. Nobody is labelled
 * unasked: format writes a label when it is told the device, and {@code serve --force} when what is
 * there does not name the device that is served.
 */
final class BackingLabel {
  private final String path;
  private final String identity;
  private final long sizeBytes;

  private BackingLabel(String path, String identity, long sizeBytes) {
    this.path = path;
    this.identity = identity;
    this.sizeBytes = sizeBytes;
  }

  /** What a label says of this device. */
  static BackingLabel of(BackingDevice device) {
    return new BackingLabel(
        DeviceIdentity.path(device.name()), DeviceIdentity.of(device.name()), device.sizeBytes());
  }

  /** The label of a cache that is made for this device. */
  Label ofNewCache() {
    return Label.of(sizeBytes, identity, path);
  }

  /**
   * Checks that a cache belongs to this device, or with {@code force} may be made to. Writes
   * nothing: a start that fails later must not leave the cache bound to a device that it was never
   * served with, where the next start would write its dirty data.
   *
   * @param notice takes what the user should know
   * @return what makes the cache this device's: to be run when nothing else can fail any more
   * @throws UserException if it belongs to another one
   */
  Runnable check(PmemRegion region, boolean force, Consumer<String> notice) {
    @Nullable Label label = null;
    try {
      label = Label.read(region.view());
      if (label == null && !force) {
        notice.accept(
            region.name()
                + ": has no label, so nobody knows whether it belongs to "
                + path
                + "; --force labels it");
      }
    } catch (MediaException | PoisonedMemoryException e) {
      if (!force) {
        notice.accept(
            region.name() + ": its label is not used: " + e.getMessage() + "; --force renews it");
      }
    }
    boolean fits = label != null && matches(region, label, force, notice);
    if (fits || !force) {
      return () -> {};
    }
    Label renewed = label == null ? ofNewCache() : label.rebound(sizeBytes, identity, path);
    return () -> {
      renewed.write(region);
      notice.accept(region.name() + ": labelled for " + ofNewCache().backing());
    };
  }

  private boolean matches(PmemRegion region, Label label, boolean force, Consumer<String> notice) {
    return switch (label.compare(sizeBytes, identity, path)) {
      case SAME -> true;
      case REPLACED -> {
        if (!force) {
          notice.accept(
              region.name()
                  + ": was made for "
                  + label.backing()
                  + "; what stands there now has another identity (a copy?); --force labels the"
                  + " cache for it");
        }
        yield false;
      }
      case OTHER -> {
        if (!force) {
          throw other(region.name(), label, "--force");
        }
        yield false;
      }
    };
  }

  /**
   * For whoever writes the backing device without serving it: refuses one that the cache does not
   * belong to. A cache whose label is absent or damaged goes with any.
   *
   * @param option what lets the user have it all the same
   * @param notice is told of a damaged one
   */
  void refuseOther(String cache, MemorySegment media, String option, Consumer<String> notice) {
    Label label;
    try {
      label = Label.read(media);
    } catch (MediaException | PoisonedMemoryException e) {
      notice.accept(
          cache
              + ": its label is not used: "
              + e.getMessage()
              + "; nobody knows whether it belongs to "
              + path
              + "; `jpcache serve --force` renews it");
      return;
    }
    if (label != null && label.compare(sizeBytes, identity, path) == Label.Match.OTHER) {
      throw other(cache, label, option);
    }
  }

  private UserException other(String cache, Label label, String option) {
    boolean sameName = label.path().equals(path);
    boolean sameIdentity = !label.identity().isEmpty() && label.identity().equals(identity);
    if (label.backingBytes() != sizeBytes && (sameName || sameIdentity)) {
      return new UserException(
          cache
              + ": backing "
              + path
              + " has "
              + (sizeBytes > label.backingBytes() ? "grown" : "shrunk")
              + " from "
              + label.backingBytes()
              + " to "
              + sizeBytes
              + " bytes since the cache was made for it; if that is meant, use "
              + option);
    }
    return new UserException(
        cache
            + ": belongs to "
            + label.backing()
            + ", not to "
            + ofNewCache().backing()
            + "; name that one, or if this one is its copy use "
            + option);
  }
}
