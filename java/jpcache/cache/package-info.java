/**
 * The engine: turns block requests into persistent-memory stores, key log entries and backing
 * reads.
 */
@NullMarked
package jpcache.cache;

import org.jspecify.annotations.NullMarked;
