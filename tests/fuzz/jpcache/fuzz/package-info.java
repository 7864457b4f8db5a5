/** What an attacker may send or store, fed to whoever reads it. */
@NullMarked
package jpcache.fuzz;

import org.jspecify.annotations.NullMarked;
