package jpcache.media;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import jpcache.base.Crc32c;
import org.junit.jupiter.api.Test;

/** Java's layout is the C compiler's: native/layout_print.c prints what that makes of it. */
class LayoutTest {
  /** What the C side calls what Layout calls so. */
  private static final String NAMES =
      """
      PCACHE_SB_OFF SUPERBLOCK_OFFSET
      PCACHE_CACHE_INFO_OFF CACHE_INFO_OFFSET
      PCACHE_CACHE_CTRL_OFF CACHE_CONTROL_OFFSET
      PCACHE_SEGMENTS_OFF SEGMENTS_OFFSET
      PCACHE_SEG_SIZE SEGMENT_BYTES
      PCACHE_META_SLOT_SIZE REPLICA_STRIDE_BYTES
      PCACHE_SEG_CTRL_OFF SEGMENT_CONTROL_AT
      PCACHE_SEG_DATA_OFF SEGMENT_DATA_AT
      PCACHE_SEG_DATA_SIZE SEGMENT_DATA_BYTES
      PCACHE_CACHE_DEV_SIZE_MIN MIN_DEVICE_BYTES
      PCACHE_CACHE_SEGS_MAX MAX_SEGMENTS
      PCACHE_SUBTREE_SIZE SUBTREE_BYTES
      PCACHE_MAGIC SUPERBLOCK_MAGIC
      PCACHE_KSET_MAGIC KSET_MAGIC
      PCACHE_KSET_KEYS_MAX KSET_MAX_KEYS
      pcache_meta_header META_HEADER_BYTES
      pcache_meta_header.crc META_CRC_AT
      pcache_meta_header.seq META_SEQ_AT
      pcache_meta_header.version META_VERSION_AT
      pcache_meta_header.res META_RESERVED_AT
      pcache_sb SUPERBLOCK_BYTES
      pcache_sb.crc SB_CRC_AT
      pcache_sb.flags SB_FLAGS_AT
      pcache_sb.magic SB_MAGIC_AT
      pcache_sb.seg_num SB_SEG_NUM_AT
      pcache_cache_info CACHE_INFO_BYTES
      pcache_cache_info.seg_id CACHE_INFO_SEG_ID_AT
      pcache_cache_info.n_segs CACHE_INFO_N_SEGS_AT
      pcache_cache_info.flags CACHE_INFO_FLAGS_AT
      pcache_cache_info.reserved CACHE_INFO_RESERVED_AT
      pcache_cache_pos_onmedia POSITION_BYTES
      pcache_cache_pos_onmedia.cache_seg_id POSITION_SEG_ID_AT
      pcache_cache_pos_onmedia.seg_off POSITION_SEG_OFF_AT
      pcache_segment_info SEGMENT_INFO_BYTES
      pcache_segment_info.flags SEGMENT_INFO_FLAGS_AT
      pcache_segment_info.next_seg SEGMENT_INFO_NEXT_AT
      pcache_cache_seg_gen GENERATION_BYTES
      pcache_cache_seg_gen.gen GENERATION_GEN_AT
      pcache_cache_kset_onmedia KSET_HEADER_BYTES
      pcache_cache_kset_onmedia.crc KSET_CRC_AT
      pcache_cache_kset_onmedia.key_num KSET_KEY_NUM_AT
      pcache_cache_kset_onmedia.next_cache_seg_id KSET_KEY_NUM_AT
      pcache_cache_kset_onmedia.magic KSET_MAGIC_AT
      pcache_cache_kset_onmedia.flags KSET_FLAGS_AT
      pcache_cache_kset_onmedia.data KSET_HEADER_BYTES
      pcache_cache_key_onmedia KEY_BYTES
      pcache_cache_key_onmedia.off KEY_OFF_AT
      pcache_cache_key_onmedia.len KEY_LEN_AT
      pcache_cache_key_onmedia.flags KEY_FLAGS_AT
      pcache_cache_key_onmedia.cache_seg_id KEY_SEG_ID_AT
      pcache_cache_key_onmedia.cache_seg_off KEY_SEG_OFF_AT
      pcache_cache_key_onmedia.seg_gen KEY_SEG_GEN_AT
      pcache_cache_key_onmedia.data_crc KEY_DATA_CRC_AT
      pcache_cache_key_onmedia.reserved KEY_RESERVED_AT
      """;

  /** What C prints that Layout does not have under one name: what it must be. */
  private static final Map<String, Long> DERIVED =
      Map.of(
          "PCACHE_META_INDEX_MAX",
          2L,
          "PCACHE_CRC_SEED",
          (long) Crc32c.SEED,
          "pcache_cache_info.header",
          0L,
          "pcache_cache_pos_onmedia.header",
          0L,
          "pcache_segment_info.header",
          0L,
          "pcache_cache_seg_gen.header",
          0L,
          "pcache_cache_ctrl",
          4L * Layout.POSITION_BYTES,
          "pcache_cache_ctrl.key_tail_pos",
          Layout.KEY_TAIL_OFFSET - Layout.CACHE_CONTROL_OFFSET,
          "pcache_cache_ctrl.dirty_tail_pos",
          Layout.DIRTY_TAIL_OFFSET - Layout.CACHE_CONTROL_OFFSET,
          "pcache_cache_seg_ctrl",
          2L * Layout.GENERATION_BYTES);

  private static final String SECOND_DERIVED = "pcache_cache_seg_ctrl.gen";

  /** Bits and derived numbers, of which C has no structure: the reference images pin the bits. */
  private static final Set<String> NOT_IN_C =
      Set.of(
          "SECTOR_BYTES",
          "SB_FLAG_BIG_ENDIAN",
          "SEGMENT_INFO_FLAG_HAS_NEXT",
          "SEGMENT_INFO_TYPE_CACHE_DATA",
          "KSET_FLAG_LAST",
          "KEY_FLAG_EMPTY",
          "KEY_FLAG_CLEAN",
          "KSET_MAX_BYTES",
          "KEY_TAIL_OFFSET",
          "DIRTY_TAIL_OFFSET");

  @Test
  void everySizeOffsetAndMagicIsWhatTheCCompilerMakesOfIt() throws Exception {
    Map<String, Long> expected = new TreeMap<>(DERIVED);
    expected.put(SECOND_DERIVED, 0L);
    Map<String, Long> java = constants();
    NAMES
        .lines()
        .map(line -> line.split(" ", -1))
        .forEach(names -> expected.put(names[0], java.get(names[1])));
    assertEquals(expected, printed());
  }

  @Test
  void everyConstantIsComparedOrKnownToHaveNoCounterpart() throws Exception {
    Set<String> compared = new TreeSet<>(NOT_IN_C);
    NAMES.lines().forEach(line -> compared.add(line.split(" ", -1)[1]));
    assertEquals(new TreeSet<>(constants().keySet()), compared);
  }

  private static Map<String, Long> constants() throws IllegalAccessException {
    Map<String, Long> constants = new LinkedHashMap<>();
    for (Field field : Layout.class.getDeclaredFields()) {
      if (field.getType() == int.class) {
        constants.put(field.getName(), (long) field.getInt(null));
      } else if (field.getType() == long.class) {
        constants.put(field.getName(), field.getLong(null));
      }
    }
    return constants;
  }

  private static Map<String, Long> printed() throws Exception {
    Process process = new ProcessBuilder("target/native/layout_print").start();
    String text =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.US_ASCII).strip();
    assertEquals(0, process.waitFor());
    Map<String, Long> printed = new TreeMap<>();
    for (String line : text.split("\n", -1)) {
      String[] fields = line.split(" ", -1);
      boolean twice = printed.put(fields[0], Long.parseUnsignedLong(fields[1])) != null;
      assertTrue(!twice, line);
    }
    return printed;
  }
}
