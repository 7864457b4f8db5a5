package jpcache.nbd;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import jpcache.base.UserException;
import org.jspecify.annotations.Nullable;

/**
 * What a server offers: exports by name, one of which may also answer to the empty name, the
 * protocol's default export.
 */
public final class Exports {
  private final Map<String, Export> byName = new LinkedHashMap<>();
  private final @Nullable Export byDefault;

  private Exports(List<Export> exports, @Nullable String defaultName) {
    if (exports.isEmpty()) {
      throw new UserException("an NBD server needs at least one export");
    }
    for (Export export : exports) {
      if (byName.putIfAbsent(export.name(), export) != null) {
        throw new UserException("export " + export.name() + ": the name is given twice");
      }
    }
    byDefault = defaultName == null ? null : byName.get(defaultName);
    if (defaultName != null && byDefault == null) {
      throw new UserException("default export " + defaultName + ": there is no such export");
    }
  }

  /**
   * Exports in the order in which they are listed; the first is the default.
   *
   * @throws UserException if there is none, or two have one name
   */
  public static Exports of(List<Export> exports) {
    return new Exports(exports, exports.isEmpty() ? null : exports.getFirst().name());
  }

  /**
   * Exports in the order in which they are listed.
   *
   * @param defaultName whose the empty name is, unless an export has that; null: nobody's
   * @throws UserException if there is none, two have one name, or the default is not among them
   */
  public static Exports of(List<Export> exports, @Nullable String defaultName) {
    return new Exports(exports, defaultName);
  }

  /** The export of that name; the empty name is the default's unless one is called so. */
  @Nullable Export find(String name) {
    Export export = byName.get(name);
    return export == null && name.isEmpty() ? byDefault : export;
  }

  Iterable<Export> all() {
    return byName.values();
  }
}
