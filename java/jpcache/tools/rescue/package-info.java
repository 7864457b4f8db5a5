/** Brings dirty data to the backing device, without the engine. */
@NullMarked
package jpcache.tools.rescue;

import org.jspecify.annotations.NullMarked;
