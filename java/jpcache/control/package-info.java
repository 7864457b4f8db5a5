/**
 * How other processes of the same user ask a running server for something: a unix socket, the
 * protocol on it, and where it is found. What can be asked for is not known here.
 */
@NullMarked
package jpcache.control;

import org.jspecify.annotations.NullMarked;
