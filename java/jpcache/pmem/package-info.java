/**
 * Persistent memory: a mapped region that survives power cuts, and the three bindings to libpmem
 * that can write it.
 */
@NullMarked
package jpcache.pmem;

import org.jspecify.annotations.NullMarked;
