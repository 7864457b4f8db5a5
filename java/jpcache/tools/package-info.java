/** Offline work on media without the engine: dump and view; below it fsck and rescue. */
@NullMarked
package jpcache.tools;

import org.jspecify.annotations.NullMarked;
