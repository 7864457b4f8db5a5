/** Offline work on media without the engine: dump and view. */
@NullMarked
package jpcache.tools;

import org.jspecify.annotations.NullMarked;
