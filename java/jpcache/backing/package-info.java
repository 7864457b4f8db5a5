/**
 * The slow block device below the cache: files and block devices, read and written past the page
 * cache.
 */
@NullMarked
package jpcache.backing;

import org.jspecify.annotations.NullMarked;
