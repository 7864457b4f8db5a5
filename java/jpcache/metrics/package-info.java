/**
 * Counters and latencies, and how they are shown.
 *
 * <p>Who counts says what a number means; here is only how it is kept without getting in anybody's
 * way, and how it is read.
 */
@NullMarked
package jpcache.metrics;

import org.jspecify.annotations.NullMarked;
