package jpcache.fuzz;

import java.io.PrintWriter;
import java.io.Writer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import jpcache.backing.SyncBacking;
import jpcache.block.BlockQueue;
import jpcache.cache.Cache;
import jpcache.cache.CacheOptions;
import jpcache.media.CacheMedia;
import jpcache.tools.DirtyData;
import jpcache.tools.Dump;
import jpcache.tools.JsonOutline;
import jpcache.tools.LogicalView;
import jpcache.tools.TextOutline;
import jpcache.tools.fsck.Fsck;
import jpcache.tools.fsck.FsckReport;
import jpcache.tools.fsck.FsckText;
import jpcache.tools.fsck.Problems;
import jpcache.tools.rescue.Rescue;

/**
 * What the commands do with a whole image. Each may refuse the image in one line; where it does
 * not, what it leaves is checked by another one.
 */
enum ImageUse {
  DUMP {
    @Override
    void of(Victim v) {
      refuses(() -> {
        CacheMedia media = media(v);
        PrintWriter nowhere = new PrintWriter(Writer.nullWriter());
        new Dump(media, new TextOutline(nowhere)).run(true);
        new Dump(media, new JsonOutline(nowhere)).run(true);
        DirtyData.bytes(media);
      });
    }
  },
  VIEW {
    @Override
    void of(Victim v) {
      refuses(() -> read(v));
    }
  },
  FSCK {
    @Override
    void of(Victim v) {
      FsckReport report = check(v, false);
      PrintWriter nowhere = new PrintWriter(Writer.nullWriter());
      report.phases().forEach(new FsckText(nowhere)::phase);
      report.outline(new JsonOutline(nowhere));
      if (report.problems() == 0 && Judge.refuses(() -> read(v))) {
        throw new AssertionError("fsck finds nothing, and view is refused");
      }
    }
  },
  REPAIR {
    @Override
    void of(Victim v) {
      boolean cutLog = v.media.media().get(ValueLayout.JAVA_BYTE, 8192) % 2 == 0;
      FsckReport first = check(v, cutLog);
      if (first.repair(v.region) == 0) {
        return;
      }
      FsckReport second = check(v, cutLog);
      second.phases().stream()
          .flatMap(phase -> phase.findings().stream())
          .filter(finding -> finding.repair() != null)
          .forEach(finding -> {
            throw new AssertionError("after a repair there is still " + finding);
          });
      if (second.problems() == 0 && Judge.refuses(() -> read(v))) {
        throw new AssertionError("repaired, and view is refused");
      }
    }
  },
  RESCUE_DRY_RUN {
    @Override
    void of(Victim v) {
      refuses(() -> rescue(v).dryRun());
    }
  },
  RESCUE {
    @Override
    void of(Victim v) {
      refuses(() -> {
        boolean sound = sound(v);
        byte[] logical = read(v);
        rescue(v).run(v.region);
        if (sound) {
          requireSame(logical, read(v, v.backing.sizeBytes(), true), "the backing device");
          requireSame(logical, read(v), "the view after a rescue");
          requireSound(v, "a rescue");
        }
      });
    }
  },
  OPEN {
    @Override
    void of(Victim v) {
      refuses(() -> serve(v));
    }
  };

  private static final int SPARSE_BYTES = 1 << 20;
  private static final int WHOLE_BYTES = 16 << 20;
  private static final int MOST_STEPS = 2000;

  /** Uses the image; ends normally whether it is refused or not. */
  abstract void of(Victim v);

  String title() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  private static void refuses(Runnable use) {
    boolean _ = Judge.refuses(use);
  }

  private static CacheMedia media(Victim v) {
    return CacheMedia.read("cache", v.media.view());
  }

  private static FsckReport check(Victim v, boolean cutLog) {
    return new Fsck("cache", v.media.view(), v.backing, cutLog, phase -> {}).run();
  }

  private static boolean sound(Victim v) {
    return check(v, false).problems() == 0;
  }

  private static void requireSound(Victim v, String what) {
    List<String> problems = Problems.in(check(v, false));
    if (!problems.isEmpty()) {
      throw new AssertionError("after " + what + ": " + problems);
    }
  }

  private static Rescue rescue(Victim v) {
    return new Rescue(
        media(v), v.backing, new Rescue.Options(false, false, 3), notice -> {}, (done, of) -> {});
  }

  /** What the cache and the backing device are together, as the tools see it. */
  private static byte[] read(Victim v) {
    return read(v, v.backing.sizeBytes(), false);
  }

  /** A whole small device, or some of a large one. */
  private static byte[] read(Victim v, long sizeBytes, boolean backingAlone) {
    LogicalView view = backingAlone ? null : new LogicalView(media(v), v.backing);
    long stride = sizeBytes <= WHOLE_BYTES ? SPARSE_BYTES : 16L * SPARSE_BYTES;
    byte[] all = new byte[(int) (sizeBytes / stride) * SPARSE_BYTES];
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment chunk = arena.allocate(SPARSE_BYTES, 4096);
      int to = 0;
      for (long at = 0; to < all.length; at += stride, to += SPARSE_BYTES) {
        if (view == null) {
          SyncBacking.read(v.backing, at, SPARSE_BYTES, chunk.address());
        } else {
          view.read(at, chunk);
        }
        MemorySegment.copy(chunk, ValueLayout.JAVA_BYTE, 0, all, to, SPARSE_BYTES);
      }
    }
    return all;
  }

  private static void requireSame(byte[] expected, byte[] actual, String what) {
    int at = Arrays.mismatch(expected, actual);
    if (at >= 0) {
      throw new AssertionError(what + " differs at byte " + at + " of what is read of it");
    }
  }

  /** Opens the cache, reads and writes, lets it write back and collect, and closes it. */
  private static void serve(Victim v) {
    boolean sound = sound(v);
    Cache cache =
        Cache.open(v.region, v.backing, CacheOptions.defaults().withLanes(1).withWriteBack(0, 0));
    byte[] before = read(v);
    byte[] expected = before.clone();
    List<Integer> answers = new ArrayList<>();
    try (Arena arena = Arena.ofConfined();
        BlockQueue queue = cache.openQueue()) {
      byte[] served = served(v, queue, arena);
      if (sound) {
        requireSame(before, served, "what is served");
      }
      MemorySegment data = arena.allocate(64 << 10).fill((byte) 0x5A);
      for (int at : new int[] {0, 512, SPARSE_BYTES - 512}) {
        int bytes = Math.min((int) data.byteSize(), SPARSE_BYTES - at);
        queue.write(at, bytes, data.address(), false, answers::add);
        Arrays.fill(expected, at, at + bytes, (byte) 0x5A);
      }
      queue.commit();
      for (int step = 0; step < MOST_STEPS && cache.maintenance().step(System.nanoTime()) == 0; ) {
        step++;
      }
    }
    cache.close();
    if (sound && answers.equals(List.of(0, 0, 0))) {
      requireSame(expected, read(v), "what was written");
      requireSound(v, "serving");
    }
  }

  private static byte[] served(Victim v, BlockQueue queue, Arena arena) {
    long sizeBytes = v.backing.sizeBytes();
    long stride = sizeBytes <= WHOLE_BYTES ? SPARSE_BYTES : 16L * SPARSE_BYTES;
    byte[] all = new byte[(int) (sizeBytes / stride) * SPARSE_BYTES];
    MemorySegment chunk = arena.allocate(SPARSE_BYTES, 4096);
    int to = 0;
    for (long at = 0; to < all.length; at += stride, to += SPARSE_BYTES) {
      int[] errno = {-1};
      queue.read(at, SPARSE_BYTES, chunk.address(), e -> errno[0] = e);
      if (errno[0] != 0) {
        throw new AssertionError("a read of the cache ends with " + errno[0]);
      }
      MemorySegment.copy(chunk, ValueLayout.JAVA_BYTE, 0, all, to, SPARSE_BYTES);
    }
    return all;
  }
}
