/** Ordered, disjoint extents of the logical device: which bytes are cached, and where. */
@NullMarked
package jpcache.extent;

import org.jspecify.annotations.NullMarked;
