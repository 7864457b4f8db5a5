/*
 * The structures of a dm-pcache cache device as they lie on the media, by the kernel's names.
 *
 * This is the C side's statement of the format; jpcache.media.Layout is Java's. The assertions
 * below hold it to the sizes and offsets of the format's description, and a test holds Java to
 * what layout_print prints of it. Integers are little-endian, u32 and so on are unsigned.
 */
#ifndef JPCACHE_MEDIA_LAYOUT_H
#define JPCACHE_MEDIA_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#define PCACHE_SB_OFF            4096ULL
#define PCACHE_CACHE_INFO_OFF    8192ULL
#define PCACHE_CACHE_CTRL_OFF    16384ULL
#define PCACHE_SEGMENTS_OFF      20480ULL
#define PCACHE_SEG_SIZE          (16ULL << 20)
#define PCACHE_META_SLOT_SIZE    4096ULL /* between the replicas of cache info, segment info */
#define PCACHE_META_INDEX_MAX    2ULL    /* replicas */
#define PCACHE_SEG_CTRL_OFF      8192ULL /* in the segment */
#define PCACHE_SEG_DATA_OFF      12288ULL
#define PCACHE_SEG_DATA_SIZE     (PCACHE_SEG_SIZE - PCACHE_SEG_DATA_OFF)
#define PCACHE_CACHE_DEV_SIZE_MIN (512ULL << 20)
#define PCACHE_CACHE_SEGS_MAX    (1ULL << 20)
#define PCACHE_SUBTREE_SIZE      (4ULL << 20)

#define PCACHE_MAGIC             0x65B05EFA96C596EFULL
#define PCACHE_KSET_MAGIC        0x676894A64E164F1AULL
#define PCACHE_CRC_SEED          0x3B15AULL
#define PCACHE_KSET_KEYS_MAX     128ULL

/* First in every replicated structure. crc covers the structure behind it. */
struct pcache_meta_header {
	uint32_t crc;
	uint8_t  seq;
	uint8_t  version;
	uint16_t res;
};

struct pcache_sb {
	uint32_t crc;
	uint32_t flags; /* bit 0: big-endian media */
	uint64_t magic;
	uint32_t seg_num;
};

struct pcache_cache_info {
	struct pcache_meta_header header;
	uint32_t seg_id;
	uint32_t n_segs;
	uint32_t flags; /* bit 0 data crc, 1 initialised, 2..5 mode, 6..12 GC percent */
	uint32_t reserved;
};

struct pcache_segment_info {
	struct pcache_meta_header header;
	uint32_t flags; /* bit 0 has next, 1..4 type */
	uint32_t next_seg;
};

struct pcache_cache_pos_onmedia {
	struct pcache_meta_header header;
	uint32_t cache_seg_id;
	uint32_t seg_off;
};

struct pcache_cache_seg_gen {
	struct pcache_meta_header header;
	uint64_t gen;
};

struct pcache_cache_key_onmedia {
	uint64_t off;
	uint32_t len;
	uint32_t flags; /* bit 0 empty, 1 clean */
	uint32_t cache_seg_id;
	uint32_t cache_seg_off;
	uint64_t seg_gen;
	uint32_t data_crc;
	uint32_t reserved;
};

struct pcache_cache_kset_onmedia {
	uint32_t crc;
	union {
		uint32_t key_num;
		uint32_t next_cache_seg_id; /* of a last kset */
	};
	uint64_t magic;
	uint64_t flags; /* bit 0: last kset of its segment */
	struct pcache_cache_key_onmedia data[];
};

/* The two blocks of replicas that lie side by side. */
struct pcache_cache_ctrl {
	struct pcache_cache_pos_onmedia key_tail_pos[2];
	struct pcache_cache_pos_onmedia dirty_tail_pos[2];
};

struct pcache_cache_seg_ctrl {
	struct pcache_cache_seg_gen gen[2];
};

#define JPCACHE_SIZE(structure, bytes) \
	_Static_assert(sizeof(struct structure) == (bytes), "size of " #structure)
#define JPCACHE_AT(structure, field, bytes)                        \
	_Static_assert(offsetof(struct structure, field) == (bytes), \
		       "offset of " #structure "." #field)

JPCACHE_SIZE(pcache_meta_header, 8);
JPCACHE_AT(pcache_meta_header, crc, 0);
JPCACHE_AT(pcache_meta_header, seq, 4);
JPCACHE_AT(pcache_meta_header, version, 5);
JPCACHE_AT(pcache_meta_header, res, 6);

JPCACHE_SIZE(pcache_sb, 24);
JPCACHE_AT(pcache_sb, crc, 0);
JPCACHE_AT(pcache_sb, flags, 4);
JPCACHE_AT(pcache_sb, magic, 8);
JPCACHE_AT(pcache_sb, seg_num, 16);

JPCACHE_SIZE(pcache_cache_info, 24);
JPCACHE_AT(pcache_cache_info, seg_id, 8);
JPCACHE_AT(pcache_cache_info, n_segs, 12);
JPCACHE_AT(pcache_cache_info, flags, 16);
JPCACHE_AT(pcache_cache_info, reserved, 20);

JPCACHE_SIZE(pcache_segment_info, 16);
JPCACHE_AT(pcache_segment_info, flags, 8);
JPCACHE_AT(pcache_segment_info, next_seg, 12);

JPCACHE_SIZE(pcache_cache_pos_onmedia, 16);
JPCACHE_AT(pcache_cache_pos_onmedia, cache_seg_id, 8);
JPCACHE_AT(pcache_cache_pos_onmedia, seg_off, 12);

JPCACHE_SIZE(pcache_cache_seg_gen, 16);
JPCACHE_AT(pcache_cache_seg_gen, gen, 8);

JPCACHE_SIZE(pcache_cache_ctrl, 64);
JPCACHE_AT(pcache_cache_ctrl, dirty_tail_pos, 32);
JPCACHE_SIZE(pcache_cache_seg_ctrl, 32);

JPCACHE_SIZE(pcache_cache_key_onmedia, 40);
JPCACHE_AT(pcache_cache_key_onmedia, off, 0);
JPCACHE_AT(pcache_cache_key_onmedia, len, 8);
JPCACHE_AT(pcache_cache_key_onmedia, flags, 12);
JPCACHE_AT(pcache_cache_key_onmedia, cache_seg_id, 16);
JPCACHE_AT(pcache_cache_key_onmedia, cache_seg_off, 20);
JPCACHE_AT(pcache_cache_key_onmedia, seg_gen, 24);
JPCACHE_AT(pcache_cache_key_onmedia, data_crc, 32);
JPCACHE_AT(pcache_cache_key_onmedia, reserved, 36);

JPCACHE_SIZE(pcache_cache_kset_onmedia, 24);
JPCACHE_AT(pcache_cache_kset_onmedia, crc, 0);
JPCACHE_AT(pcache_cache_kset_onmedia, key_num, 4);
JPCACHE_AT(pcache_cache_kset_onmedia, next_cache_seg_id, 4);
JPCACHE_AT(pcache_cache_kset_onmedia, magic, 8);
JPCACHE_AT(pcache_cache_kset_onmedia, flags, 16);
JPCACHE_AT(pcache_cache_kset_onmedia, data, 24);

_Static_assert(PCACHE_CACHE_INFO_OFF + PCACHE_META_INDEX_MAX * PCACHE_META_SLOT_SIZE ==
		       PCACHE_CACHE_CTRL_OFF,
	       "cache control lies behind the replicas of the cache info");
_Static_assert(PCACHE_META_INDEX_MAX * PCACHE_META_SLOT_SIZE == PCACHE_SEG_CTRL_OFF,
	       "segment control lies behind the replicas of the segment info");
_Static_assert(PCACHE_SEG_DATA_SIZE == 16764928ULL, "data area of a segment");

#endif
