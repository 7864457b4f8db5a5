package jpcache.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.backing.BackingOptions;
import jpcache.base.UserException;
import jpcache.media.CacheMedia;
import jpcache.media.DirtyPart;
import jpcache.pmem.ReadOnlyMapping;
import jpcache.tools.LogicalView;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code jpcache view}. */
@Command(
    name = "view",
    description =
        "Write the logical device's bytes, cache over backing device, to stdout. Changes neither."
            + " Data that does not fit its checksum is written too, and told.")
final class ViewCommand implements Callable<Integer> {
  private static final int CHUNK_BYTES = 1 << 20;
  private static final int ALIGNMENT_BYTES = 4096;
  private static final int TOLD_RANGES = 5;

  @Spec private CommandSpec spec;

  @Option(
      names = "--cache",
      required = true,
      paramLabel = "PATH",
      converter = DevicePath.class,
      description = "The cache device.")
  private String cache;

  @Option(
      names = "--backing",
      required = true,
      paramLabel = "DEV",
      converter = DevicePath.class,
      description = "The backing device.")
  private String backing;

  @Option(
      names = "--offset",
      paramLabel = "N",
      converter = SizeConverter.class,
      defaultValue = "0",
      description = "Begin at this byte.")
  private long offset;

  @Option(
      names = "--length",
      paramLabel = "N",
      converter = SizeConverter.class,
      description = "Write this many bytes; by default all to the end.")
  private @Nullable Long length;

  @Option(
      names = "--other-device",
      description = "View it over this backing device whatever the cache's label says.")
  private boolean otherDevice;

  @Override
  public Integer call() {
    DevicePath.requireTwo(cache, backing);
    try (ReadOnlyMapping mapping = ReadOnlyMapping.open(cache);
        BackingDevice device = BackingDevices.open(backing, BackingOptions.forReading())) {
      if (!otherDevice) {
        BackingLabel.of(device).refuseOther(cache, mapping.view(), "--other-device", this::notice);
      }
      DirtyPart part = DirtyPart.of(CacheMedia.read(cache, mapping.view()));
      LogicalView view = new LogicalView(part.mended(), device);
      tell(part);
      long end = end(view.sizeBytes());
      // Never closed: stdout is the process's.
      FileOutputStream stdout = new FileOutputStream(FileDescriptor.out);
      copy(view, end, stdout.getChannel());
      refuseDamage(view, end);
    }
    return ExitCode.OK;
  }

  /** Which data is shown, where that is not what the log says at first sight. */
  private void tell(DirtyPart part) {
    CacheMedia media = part.media();
    String what = cache + ": dirty_tail " + media.dirtyTail() + ": ";
    switch (part.where()) {
      case FROM_DIRTY_TAIL, ALL -> {}
      case BEHIND_DAMAGE ->
          notice(
              what
                  + part.wrong()
                  + "; shown is the log from dirty_tail on, over the backing device, which has all"
                  + " before it");
      case IN_DOUBT ->
          notice(
              what
                  + part.wrong()
                  + "; shown is the log from key_tail on, of which some may be older than what the"
                  + " backing device has");
    }
  }

  /** What was asked for has been written; this is for what of it is damaged. */
  private void refuseDamage(LogicalView view, long end) {
    List<String> ranges = new ArrayList<>();
    long[] counts = new long[2];
    view.damage(
        offset,
        end,
        (from, to) -> {
          counts[0]++;
          counts[1] += to - from;
          if (ranges.size() < TOLD_RANGES) {
            ranges.add(from + " to " + to);
          }
        });
    if (!ranges.isEmpty()) {
      throw new UserException(
          String.format(
              "%s: logical bytes %s%s: the data does not fit its data_crc, and was written"
                  + " nevertheless (ranges: %d, bytes: %d); `jpcache fsck` finds all such places",
              cache,
              String.join(", ", ranges),
              counts[0] > ranges.size() ? " and others" : "",
              counts[0],
              counts[1]));
    }
  }

  private void notice(String line) {
    PrintWriter err = spec.commandLine().getErr();
    err.println("jpcache: " + line);
    err.flush();
  }

  private long end(long sizeBytes) {
    if (offset > sizeBytes) {
      throw new UserException(
          "--offset " + offset + ": beyond the logical device of " + sizeBytes + " bytes");
    }
    if (length != null && length > sizeBytes - offset) {
      throw new UserException(
          "--length " + length + ": the logical device ends after " + (sizeBytes - offset));
    }
    return length == null ? sizeBytes : offset + length;
  }

  /** Reads whole sectors and writes what was asked for of them. */
  private void copy(LogicalView view, long end, FileChannel out) {
    long sector = BackingDevice.SECTOR_BYTES;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(CHUNK_BYTES, ALIGNMENT_BYTES);
      long at = offset;
      while (at < end) {
        long from = at & -sector;
        long to = Math.min(from + CHUNK_BYTES, (end + sector - 1) & -sector);
        MemorySegment sectors = buffer.asSlice(0, to - from);
        view.read(from, sectors);
        long until = Math.min(to, end);
        writeFully(out, sectors.asSlice(at - from, until - at).asByteBuffer());
        at = until;
      }
    }
  }

  private static void writeFully(FileChannel out, ByteBuffer bytes) {
    try {
      while (bytes.hasRemaining()) {
        out.write(bytes);
      }
    } catch (IOException e) {
      throw new UserException("stdout: could not be written: " + e.getMessage(), e);
    }
  }
}
