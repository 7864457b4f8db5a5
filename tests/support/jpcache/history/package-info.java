/** What several clients did to the sectors of a device at once, and whether that can be. */
@NullMarked
package jpcache.history;

import org.jspecify.annotations.NullMarked;
