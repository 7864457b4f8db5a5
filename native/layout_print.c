/*
 * Prints the on-media layout as this compiler sees it, for the test that compares it with Java's.
 *
 * One item per line, fields separated by one space, in no promised order:
 *
 *	STRUCT SIZE                     pcache_sb 24
 *	STRUCT.FIELD OFFSET SIZE        pcache_sb.magic 8 8
 *	CONSTANT VALUE                  PCACHE_SEG_SIZE 16777216
 *
 * Names are the kernel's; numbers are unsigned and decimal. A name with lower-case letters and no
 * dot is a structure, one with a dot a field, one in upper case a constant. The keys behind a kset
 * are pcache_cache_kset_onmedia.data with size 0.
 */
#include "media_layout.h"

#include <inttypes.h>
#include <stdio.h>

#define STRUCT(structure) printf(#structure " %zu\n", sizeof(struct structure))
#define FIELD(structure, field)                                                     \
	printf(#structure "." #field " %zu %zu\n", offsetof(struct structure, field), \
	       sizeof(((struct structure *)0)->field))
#define CONSTANT(name) printf(#name " %" PRIu64 "\n", (uint64_t)name)

static void constants(void)
{
	CONSTANT(PCACHE_SB_OFF);
	CONSTANT(PCACHE_CACHE_INFO_OFF);
	CONSTANT(PCACHE_CACHE_CTRL_OFF);
	CONSTANT(PCACHE_SEGMENTS_OFF);
	CONSTANT(PCACHE_SEG_SIZE);
	CONSTANT(PCACHE_META_SLOT_SIZE);
	CONSTANT(PCACHE_META_INDEX_MAX);
	CONSTANT(PCACHE_SEG_CTRL_OFF);
	CONSTANT(PCACHE_SEG_DATA_OFF);
	CONSTANT(PCACHE_SEG_DATA_SIZE);
	CONSTANT(PCACHE_CACHE_DEV_SIZE_MIN);
	CONSTANT(PCACHE_CACHE_SEGS_MAX);
	CONSTANT(PCACHE_SUBTREE_SIZE);
	CONSTANT(PCACHE_MAGIC);
	CONSTANT(PCACHE_KSET_MAGIC);
	CONSTANT(PCACHE_CRC_SEED);
	CONSTANT(PCACHE_KSET_KEYS_MAX);
}

static void device_structures(void)
{
	STRUCT(pcache_meta_header);
	FIELD(pcache_meta_header, crc);
	FIELD(pcache_meta_header, seq);
	FIELD(pcache_meta_header, version);
	FIELD(pcache_meta_header, res);

	STRUCT(pcache_sb);
	FIELD(pcache_sb, crc);
	FIELD(pcache_sb, flags);
	FIELD(pcache_sb, magic);
	FIELD(pcache_sb, seg_num);

	STRUCT(pcache_cache_info);
	FIELD(pcache_cache_info, header);
	FIELD(pcache_cache_info, seg_id);
	FIELD(pcache_cache_info, n_segs);
	FIELD(pcache_cache_info, flags);
	FIELD(pcache_cache_info, reserved);

	STRUCT(pcache_cache_pos_onmedia);
	FIELD(pcache_cache_pos_onmedia, header);
	FIELD(pcache_cache_pos_onmedia, cache_seg_id);
	FIELD(pcache_cache_pos_onmedia, seg_off);

	STRUCT(pcache_cache_ctrl);
	FIELD(pcache_cache_ctrl, key_tail_pos);
	FIELD(pcache_cache_ctrl, dirty_tail_pos);
}

static void segment_structures(void)
{
	STRUCT(pcache_segment_info);
	FIELD(pcache_segment_info, header);
	FIELD(pcache_segment_info, flags);
	FIELD(pcache_segment_info, next_seg);

	STRUCT(pcache_cache_seg_gen);
	FIELD(pcache_cache_seg_gen, header);
	FIELD(pcache_cache_seg_gen, gen);

	STRUCT(pcache_cache_seg_ctrl);
	FIELD(pcache_cache_seg_ctrl, gen);
}

static void log_structures(void)
{
	STRUCT(pcache_cache_kset_onmedia);
	FIELD(pcache_cache_kset_onmedia, crc);
	FIELD(pcache_cache_kset_onmedia, key_num);
	FIELD(pcache_cache_kset_onmedia, next_cache_seg_id);
	FIELD(pcache_cache_kset_onmedia, magic);
	FIELD(pcache_cache_kset_onmedia, flags);
	printf("pcache_cache_kset_onmedia.data %zu 0\n",
	       offsetof(struct pcache_cache_kset_onmedia, data));

	STRUCT(pcache_cache_key_onmedia);
	FIELD(pcache_cache_key_onmedia, off);
	FIELD(pcache_cache_key_onmedia, len);
	FIELD(pcache_cache_key_onmedia, flags);
	FIELD(pcache_cache_key_onmedia, cache_seg_id);
	FIELD(pcache_cache_key_onmedia, cache_seg_off);
	FIELD(pcache_cache_key_onmedia, seg_gen);
	FIELD(pcache_cache_key_onmedia, data_crc);
	FIELD(pcache_cache_key_onmedia, reserved);
}

int main(void)
{
	constants();
	device_structures();
	segment_structures();
	log_structures();
	return fflush(stdout) == 0 ? 0 : 1;
}
