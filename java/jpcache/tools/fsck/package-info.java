/** The check of a cache's media, and the repair of what can be repaired without doubt. */
@NullMarked
package jpcache.tools.fsck;

import org.jspecify.annotations.NullMarked;
