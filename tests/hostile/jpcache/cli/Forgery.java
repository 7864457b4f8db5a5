package jpcache.cli;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import jpcache.media.Layout;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.media.MediaBuilder.Structure;

/**
 * Media with one thing wrong, and what must be said about it.
 *
 * @param field as the message calls it
 * @param value as the message shows it
 * @param at the place that the message names
 * @param needsBacking only who knows the logical device's size can tell
 * @param deed forges the sound and empty media that it is given
 */
record Forgery(
    String field, String value, long at, boolean needsBacking, Consumer<MediaBuilder> deed) {
  static final long BACKING_BYTES = 64 << 20;
  private static final int DATA_BYTES = Layout.SEGMENT_DATA_BYTES;

  /** A sound key to forge fields of: 4 KiB at 1 MiB, in the middle of segment 5. */
  private static final LogKey KEY = LogKey.of(1 << 20, 4096, 5, 1 << 20);

  private static final List<Forgery> FORGERIES = new ArrayList<>();

  private static void forgery(
      String field, String value, Structure at, Consumer<MediaBuilder> deed) {
    FORGERIES.add(new Forgery(field, value, at.offsetBytes(), false, deed));
  }

  /** Forges a u32 in every way of a list; told as an unsigned number. */
  private static void u32(
      String field, Structure told, Structure structure, long fieldAt, int... values) {
    for (int value : values) {
      forgery(
          field,
          Integer.toUnsignedString(value),
          told,
          media -> media.forgeU32(structure, fieldAt, value));
    }
  }

  static {
    superblock();
    cacheInfo();
    tails();
    segments();
    log();
    keys();
  }

  private static void superblock() {
    Structure sb = MediaBuilder.superblockAt();
    for (long magic : new long[] {0, 1, Layout.SUPERBLOCK_MAGIC + 1, -1, Long.MIN_VALUE}) {
      forgery(
          "superblock.magic",
          magic == 0 ? "0" : String.format("0x%016x", magic),
          sb,
          media -> media.forgeU64(sb, Layout.SB_MAGIC_AT, magic));
    }
    for (int flags : new int[] {1, 3, -1}) {
      forgery(
          "superblock.flags",
          String.format("0x%08x", flags),
          sb,
          media -> media.forgeU32(sb, Layout.SB_FLAGS_AT, flags));
    }
    forgery("superblock.crc", "0x", sb, media -> media.breakSeal(sb));
    u32(
        "superblock.seg_num",
        sb,
        sb,
        Layout.SB_SEG_NUM_AT,
        0,
        MediaBuilder.SMALL_SEGMENTS + 1,
        Layout.MAX_SEGMENTS,
        Layout.MAX_SEGMENTS + 1,
        Integer.MAX_VALUE,
        Integer.MIN_VALUE,
        -1);
  }

  private static void cacheInfo() {
    Structure slot = MediaBuilder.cacheInfoAt(0);
    Structure info = MediaBuilder.cacheInfoAt(1);
    forgery("cache_info.crc", "both replicas", slot, media -> media.breakSeal(info));
    int segments = MediaBuilder.SMALL_SEGMENTS;
    u32(
        "cache_info.n_segs",
        slot,
        info,
        Layout.CACHE_INFO_N_SEGS_AT,
        0,
        segments + 1,
        Integer.MAX_VALUE,
        Integer.MIN_VALUE,
        -1);
    u32(
        "cache_info.seg_id",
        slot,
        info,
        Layout.CACHE_INFO_SEG_ID_AT,
        segments,
        Integer.MAX_VALUE,
        Integer.MIN_VALUE,
        -1);
    for (int flags : new int[] {0, MediaBuilder.FLAGS & ~2}) {
      forgery(
          "cache_info.flags",
          String.format("0x%08x", flags),
          slot,
          media -> media.forgeU32(info, Layout.CACHE_INFO_FLAGS_AT, flags));
    }
    for (int mode = 4; mode < 16; mode++) {
      int flags = 2 | mode << 2;
      forgery(
          "cache_info.flags.mode",
          Integer.toString(mode),
          slot,
          media -> media.forgeU32(info, Layout.CACHE_INFO_FLAGS_AT, flags));
    }
    for (int percent : new int[] {91, 100, 127}) {
      int flags = 2 | percent << 6;
      forgery(
          "cache_info.flags.gc_percent",
          Integer.toString(percent),
          slot,
          media -> media.forgeU32(info, Layout.CACHE_INFO_FLAGS_AT, flags));
    }
    // The newer of two replicas counts, even if the older one is sound.
    forgery(
        "cache_info.n_segs",
        "99",
        slot,
        media -> {
          MemorySegment.copy(
              media.media(), info.offsetBytes(), media.media(), slot.offsetBytes(), 24);
          media.media().set(ValueLayout.JAVA_BYTE, slot.offsetBytes() + 4, (byte) 2);
          media.forgeU32(slot, Layout.CACHE_INFO_N_SEGS_AT, 99);
        });
  }

  private static void tails() {
    for (boolean key : new boolean[] {true, false}) {
      Structure tail = key ? MediaBuilder.keyTailAt(0) : MediaBuilder.dirtyTailAt(0);
      String name = key ? "key_tail" : "dirty_tail";
      forgery(name + ".crc", "both replicas", tail, media -> media.breakSeal(tail));
      u32(
          name + ".cache_seg_id",
          tail,
          tail,
          Layout.POSITION_SEG_ID_AT,
          MediaBuilder.SMALL_SEGMENTS,
          Integer.MAX_VALUE,
          Integer.MIN_VALUE,
          -1);
      u32(
          name + ".seg_off",
          tail,
          tail,
          Layout.POSITION_SEG_OFF_AT,
          DATA_BYTES,
          DATA_BYTES + 1,
          16 << 20,
          Integer.MAX_VALUE,
          Integer.MIN_VALUE,
          -1);
    }
  }

  private static void segments() {
    int last = MediaBuilder.SMALL_SEGMENTS - 1;
    for (int segment : new int[] {0, 7, last}) {
      Structure slot = MediaBuilder.segmentInfoAt(segment, 0);
      Structure info = MediaBuilder.segmentInfoAt(segment, 1);
      forgery("segment_info.crc", "both replicas", slot, media -> media.breakSeal(info));
      for (int type : new int[] {0, 2, 15}) {
        forgery(
            "segment_info.flags.type",
            Integer.toString(type),
            slot,
            media -> media.forgeU32(info, Layout.SEGMENT_INFO_FLAGS_AT, 1 | type << 1));
      }
    }
    Structure slot = MediaBuilder.segmentInfoAt(7, 0);
    Structure info = MediaBuilder.segmentInfoAt(7, 1);
    u32("segment_info.flags", slot, info, Layout.SEGMENT_INFO_FLAGS_AT, 2, 0x80000002);
    // The last four are cycles: the list's head, a segment before, itself, the one just before.
    u32(
        "segment_info.next_seg",
        slot,
        info,
        Layout.SEGMENT_INFO_NEXT_AT,
        last + 1,
        Integer.MAX_VALUE,
        Integer.MIN_VALUE,
        -1,
        0,
        3,
        7,
        6);
  }

  private static void log() {
    for (boolean key : new boolean[] {true, false}) {
      // From key_tail, and from dirty_tail alone.
      int at = 4096;
      Structure kset = MediaBuilder.ksetAt(9, at, 0);
      Consumer<MediaBuilder> start =
          media -> {
            if (key) {
              media.keyTail(9, at);
            }
            media.dirtyTail(9, at);
          };
      for (int next : new int[] {MediaBuilder.SMALL_SEGMENTS, Integer.MIN_VALUE, -1, 9}) {
        forgery(
            "kset.next_seg",
            Integer.toUnsignedString(next),
            kset,
            start.andThen(media -> media.lastKset(9, at, next)));
      }
      forgery(
          "kset.next_seg",
          "9",
          MediaBuilder.ksetAt(11, 64, 0),
          start.andThen(media -> {
            media.lastKset(9, at, 10);
            media.lastKset(10, 0, 11);
            media.kset(11, 0, KEY);
            media.lastKset(11, 64, 9);
          }));
    }
  }

  private static void keys() {
    key("key.len", Layout.KEY_LEN_AT, 0, 1, 511, 513, 4095);
    key("key.len", Layout.KEY_LEN_AT, (4 << 20) + 512, Integer.MAX_VALUE, Integer.MIN_VALUE, -1);
    key("key.len", Layout.KEY_LEN_AT, -512);
    key("key.flags", Layout.KEY_FLAGS_AT, 1, 3, 0x80000001, -1);
    key("key.cache_seg_id", Layout.KEY_SEG_ID_AT, MediaBuilder.SMALL_SEGMENTS);
    key("key.cache_seg_id", Layout.KEY_SEG_ID_AT, Integer.MAX_VALUE, Integer.MIN_VALUE, -1);
    key("key.cache_seg_off", Layout.KEY_SEG_OFF_AT, 1, 511, DATA_BYTES, DATA_BYTES - 4096 + 512);
    key("key.cache_seg_off", Layout.KEY_SEG_OFF_AT, Integer.MAX_VALUE, Integer.MIN_VALUE, -1);
    key("key.cache_seg_off", Layout.KEY_SEG_OFF_AT, -512, -4096);
    long[] anywhere = {
      1, 511, -1, -512, -4096, Long.MIN_VALUE, Long.MAX_VALUE, (4 << 20) - 512, (8 << 20) - 3584
    };
    for (long off : anywhere) {
      offset(off, false);
    }
    // A sound offset of a larger device than this one.
    for (long off :
        new long[] {
          BACKING_BYTES, BACKING_BYTES - 4096 + 512, 1L << 50, 1L << 62, Long.MAX_VALUE - 4095 - 512
        }) {
      offset(off & -512, true);
    }
  }

  static Structure storeKeys(MediaBuilder media) {
    return media.kset(0, 0, LogKey.of(0, 512, 3, 0), KEY, LogKey.of(512, 512, 3, 512));
  }

  /** The middle one of three keys. */
  private static void key(String field, int fieldAt, int... values) {
    Structure kset = MediaBuilder.ksetAt(0, 0, 3);
    Structure told = new Structure(MediaBuilder.keyOffset(kset, 1), Layout.KEY_BYTES);
    long at = told.offsetBytes() - kset.offsetBytes() + fieldAt;
    for (int value : values) {
      forgery(
          field,
          Integer.toUnsignedString(value),
          told,
          media -> media.forgeU32(storeKeys(media), at, value));
    }
  }

  private static void offset(long off, boolean needsBacking) {
    Structure kset = MediaBuilder.ksetAt(0, 0, 3);
    long told = MediaBuilder.keyOffset(kset, 1);
    long at = told - kset.offsetBytes() + Layout.KEY_OFF_AT;
    FORGERIES.add(
        new Forgery(
            "key.off",
            Long.toUnsignedString(off),
            told,
            needsBacking,
            media -> media.forgeU64(storeKeys(media), at, off)));
  }

  /** Every field of every structure, in every way of being out of range. */
  static List<Forgery> all() {
    return List.copyOf(FORGERIES);
  }

  @Override
  public String toString() {
    return field + " " + value + " at " + at;
  }
}
