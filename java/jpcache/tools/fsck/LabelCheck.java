package jpcache.tools.fsck;

import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;
import jpcache.backing.BackingDevice;
import jpcache.backing.DeviceIdentity;
import jpcache.media.Label;
import jpcache.media.MediaException;
import jpcache.pmem.PoisonedMemoryException;
import org.jspecify.annotations.Nullable;

/** The label, on which no data depends: what is wrong with it is a notice, and has no repair. */
final class LabelCheck {
  private LabelCheck() {}

  /** That it is valid, if there is one. */
  static void run(MemorySegment view, Consumer<Finding> findings) {
    try {
      var _ = Label.read(view);
    } catch (MediaException e) {
      findings.accept(
          Finding.problem(e)
              .asNotice()
              .advising(Finding.NO_REPAIR + "; `jpcache serve --force` renews it"));
    } catch (PoisonedMemoryException e) {
      findings.accept(Fsck.poisoned(e).asNotice());
    }
  }

  /** That it names this backing device, if there is one that is valid. */
  static void compare(MemorySegment view, BackingDevice backing, Consumer<Finding> findings) {
    Label label = readable(view);
    if (label == null) {
      return;
    }
    String path = DeviceIdentity.path(backing.name());
    String identity = DeviceIdentity.of(backing.name());
    if (label.compare(backing.sizeBytes(), identity, path) == Label.Match.OTHER) {
      findings.accept(
          Finding.problem(
                  "label",
                  0,
                  label.backing(),
                  "the cache belongs to that device and is compared with "
                      + new Label(label.cache(), backing.sizeBytes(), identity, path).backing())
              .asNotice()
              .advising("name that one, unless this one is its copy"));
    }
  }

  private static @Nullable Label readable(MemorySegment view) {
    try {
      return Label.read(view);
    } catch (MediaException | PoisonedMemoryException e) {
      return null; // phase 1 tells it
    }
  }
}
