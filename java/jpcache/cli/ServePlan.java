package jpcache.cli;

import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import jpcache.nbd.NbdUri;
import org.jspecify.annotations.Nullable;

/**
 * What {@code serve} is to do, from its options or its file.
 *
 * @param addresses where to listen
 * @param defaultExport whose the empty name is; null: nobody's
 * @param open opens the caches, by the names that clients ask for
 */
record ServePlan(
    ListenOptions listen,
    Oversight.Options oversight,
    List<NbdUri> addresses,
    @Nullable String defaultExport,
    Supplier<Map<String, ServedCache>> open) {}
