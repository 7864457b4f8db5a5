/** jpcache as its user meets it: a command, a child process, a device behind a socket. */
@NullMarked
package jpcache.process;

import org.jspecify.annotations.NullMarked;
