package jpcache.nbd;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import jpcache.base.UserException;
import org.jspecify.annotations.Nullable;

/** What a server offers: exports by name, the first of which also answers to the empty name. */
final class Exports {
  private final Map<String, Export> byName = new LinkedHashMap<>();
  private final Export first;

  /**
   * Exports in the order in which they are listed.
   *
   * @throws UserException if there is none, or two have one name
   */
  Exports(List<Export> exports) {
    if (exports.isEmpty()) {
      throw new UserException("an NBD server needs at least one export");
    }
    for (Export export : exports) {
      if (byName.putIfAbsent(export.name(), export) != null) {
        throw new UserException("export " + export.name() + ": the name is given twice");
      }
    }
    first = exports.getFirst();
  }

  /** The export of that name; the empty name is the first's unless one is called so. */
  @Nullable Export find(String name) {
    Export export = byName.get(name);
    return export == null && name.isEmpty() ? first : export;
  }

  Iterable<Export> all() {
    return byName.values();
  }
}
