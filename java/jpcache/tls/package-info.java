/** TLS 1.3 as a machine over bytes: who may connect, and the server's side of one session. */
@NullMarked
package jpcache.tls;

import org.jspecify.annotations.NullMarked;
