/** The commands: they read options, build the objects and connect them. */
@NullMarked
package jpcache.cli;

import org.jspecify.annotations.NullMarked;
