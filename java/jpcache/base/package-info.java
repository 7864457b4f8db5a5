/** What every package needs and none owns: checksums, errors, system calls, sizes. */
@NullMarked
package jpcache.base;

import org.jspecify.annotations.NullMarked;
