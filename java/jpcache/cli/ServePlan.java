package jpcache.cli;

import java.util.Map;
import java.util.function.Supplier;
import jpcache.nbd.Listening;
import jpcache.nbd.NbdServerOptions;
import org.jspecify.annotations.Nullable;

/**
 * What is to be served and how, from the options of the command or from its file.
 *
 * @param server where and how
 * @param defaultExport whose the empty name is; null: nobody's
 * @param open opens the caches, by the names that clients ask for
 */
record ServePlan(
    NbdServerOptions server,
    Oversight.Options oversight,
    @Nullable String defaultExport,
    Supplier<Map<String, ServedCache>> open) {
  Listening listening() {
    return server.listening();
  }
}
