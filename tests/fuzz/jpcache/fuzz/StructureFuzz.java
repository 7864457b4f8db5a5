package jpcache.fuzz;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import jpcache.base.Crc32c;
import jpcache.media.CacheInfo;
import jpcache.media.Label;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.Structure;
import jpcache.media.Position;
import jpcache.media.SegmentList;
import jpcache.media.Superblock;
import jpcache.pmem.MemoryRegion;

/**
 * One structure of the metadata, all of it the attacker's: the input's first byte says which of its
 * replicas get a checksum that fits, the rest are their bytes.
 */
final class StructureFuzz implements FuzzTarget {
  private static final int SEGMENTS = MediaBuilder.SMALL_SEGMENTS;

  /** The structures that have a reader of their own. */
  enum Structures {
    SUPERBLOCK {
      @Override
      List<Structure> replicas() {
        return List.of(MediaBuilder.superblockAt());
      }

      @Override
      void read(MemorySegment view) {
        Superblock read = Superblock.read(view, new Crc32c());
        require(read.segments() > 0 && read.segments() <= SEGMENTS, "seg_num", read);
      }
    },
    CACHE_INFO {
      @Override
      List<Structure> replicas() {
        return List.of(MediaBuilder.cacheInfoAt(0), MediaBuilder.cacheInfoAt(1));
      }

      @Override
      void read(MemorySegment view) {
        CacheInfo info = CacheInfo.read(view, new Superblock(0, SEGMENTS), new Crc32c());
        require(info.segments() > 0 && info.segments() <= SEGMENTS, "n_segs", info);
        require(info.firstSegment() >= 0 && info.firstSegment() < SEGMENTS, "seg_id", info);
        require(info.gcPercent() >= 0 && info.gcPercent() <= 90, "gc_percent", info);
        require(info.mode() != null, "mode", info);
      }
    },
    TAILS {
      @Override
      List<Structure> replicas() {
        return List.of(
            MediaBuilder.keyTailAt(0),
            MediaBuilder.keyTailAt(1),
            MediaBuilder.dirtyTailAt(0),
            MediaBuilder.dirtyTailAt(1));
      }

      @Override
      void read(MemorySegment view) {
        judge(Position.readKeyTail(view, SEGMENTS, new Crc32c()));
        judge(Position.readDirtyTail(view, SEGMENTS, new Crc32c()));
      }

      private void judge(Position tail) {
        require(tail.cacheSegment() >= 0 && tail.cacheSegment() < SEGMENTS, "segment", tail);
        require(
            tail.offsetBytes() >= 0 && tail.offsetBytes() < Layout.SEGMENT_DATA_BYTES,
            "offset",
            tail);
      }
    },
    SEGMENT_LIST {
      @Override
      List<Structure> replicas() {
        return segments();
      }

      @Override
      void read(MemorySegment view) {
        Crc32c crc = new Crc32c();
        Superblock superblock = new Superblock(0, SEGMENTS);
        CacheInfo info = CacheInfo.read(view, superblock, crc);
        SegmentList list = SegmentList.read(view, superblock, info, crc);
        boolean[] seen = new boolean[SEGMENTS];
        for (int i = 0; i < list.count(); i++) {
          int segment = list.deviceSegment(i);
          require(!seen[segment], "a segment twice", segment);
          seen[segment] = true;
        }
      }
    },
    LABEL {
      @Override
      List<Structure> replicas() {
        return List.of(new Structure(0, 4096));
      }

      @Override
      void read(MemorySegment view) {
        Label label = Label.read(view);
        if (label != null) {
          String shown = label.backing() + label.identity();
          require(shown.codePoints().noneMatch(Character::isISOControl), "control", shown);
        }
      }
    };

    /** Where its copies are. */
    abstract List<Structure> replicas();

    /** Reads it, and looks at what was believed. */
    abstract void read(MemorySegment view);

    String title() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    private static List<Structure> segments() {
      List<Structure> all = new ArrayList<>();
      for (int segment = 0; segment < 4; segment++) {
        all.add(MediaBuilder.segmentInfoAt(segment, 1));
        all.add(MediaBuilder.generationAt(segment, 1));
      }
      return all;
    }

    private static void require(boolean holds, String what, Object read) {
      if (!holds) {
        throw new AssertionError(what + " of " + read);
      }
    }
  }

  private final Structures structure;
  private final MediaBuilder media = MediaBuilder.copyOf(Image.of(0).cache());

  StructureFuzz(Structures structure) {
    this.structure = structure;
  }

  @Override
  public void accept(byte[] input) {
    int sealed = input.length == 0 ? 0 : input[0];
    int from = Math.min(1, input.length);
    for (int i = 0; i < structure.replicas().size(); i++) {
      Structure at = structure.replicas().get(i);
      byte[] bytes =
          Arrays.copyOfRange(
              input, from, Math.max(from, Math.min(input.length, from + at.sizeBytes())));
      from += bytes.length;
      MemorySegment place = media.media().asSlice(at.offsetBytes(), at.sizeBytes());
      place.fill((byte) 0);
      MemorySegment.copy(bytes, 0, place, ValueLayout.JAVA_BYTE, 0, bytes.length);
      if ((sealed >> i & 1) != 0) {
        media.seal(at);
      }
    }
    boolean _ = Judge.refuses(() -> structure.read(media.view()));
  }

  /** What is sound, sealed and not. */
  @Override
  public List<byte[]> seeds() {
    List<byte[]> seeds = new ArrayList<>();
    try (MediaBuilder sound = MediaBuilder.copyOf(Image.of(0).cache())) {
      if (structure == Structures.LABEL) {
        Label.of(1 << 20, "wwid:naa.5000", "/dev/sdx").write(new MemoryRegion(sound.media()));
      }
      int bytes = structure.replicas().stream().mapToInt(Structure::sizeBytes).sum();
      for (int sealed : new int[] {0, 1, 2, -1}) {
        byte[] seed = new byte[1 + bytes];
        seed[0] = (byte) sealed;
        int to = 1;
        for (Structure at : structure.replicas()) {
          MemorySegment.copy(
              sound.media(), ValueLayout.JAVA_BYTE, at.offsetBytes(), seed, to, at.sizeBytes());
          to += at.sizeBytes();
        }
        seeds.add(seed);
      }
    }
    return seeds;
  }

  @Override
  public void close() {
    media.close();
  }
}
