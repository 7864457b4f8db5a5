/**
 * The block device that jpcache offers above: what the NBD server sees of the cache.
 *
 * <p>Nothing here knows of persistent memory or of NBD.
 */
@NullMarked
package jpcache.block;

import org.jspecify.annotations.NullMarked;
