/** The NBD server: sockets, handshake, transmission. */
@NullMarked
package jpcache.nbd;

import org.jspecify.annotations.NullMarked;
