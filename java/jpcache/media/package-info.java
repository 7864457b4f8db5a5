/**
 * The on-media format of dm-pcache and nothing else: layout, checksums, two-replica slots, the one
 * reader of the key log.
 */
@NullMarked
package jpcache.media;

import org.jspecify.annotations.NullMarked;
