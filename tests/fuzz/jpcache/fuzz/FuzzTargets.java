package jpcache.fuzz;

import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;
import jpcache.control.ControlFuzz;
import jpcache.nbd.HandshakeFuzz;
import jpcache.nbd.RequestFuzz;
import jpcache.nbd.UriFuzz;

/** All targets by name. {@code ci/fuzz} and the tests take them from here. */
public final class FuzzTargets {
  private static final Map<String, Supplier<FuzzTarget>> ALL = new TreeMap<>();

  static {
    for (StructureFuzz.Structures structure : StructureFuzz.Structures.values()) {
      ALL.put("media-" + structure.title(), () -> new StructureFuzz(structure));
    }
    ALL.put("media-log", LogFuzz::new);
    for (ImageUse use : ImageUse.values()) {
      ALL.put("image-" + use.title(), () -> new ImageFuzz(use));
    }
    ALL.put("nbd-handshake", () -> new HandshakeFuzz(false));
    ALL.put("nbd-options", () -> new HandshakeFuzz(true));
    ALL.put("nbd-request", RequestFuzz::new);
    ALL.put("nbd-uri", UriFuzz::new);
    ALL.put("sizes", SizesFuzz::new);
    ALL.put("control", ControlFuzz::new);
  }

  private FuzzTargets() {}

  /** Their names, in order. */
  public static Iterable<String> names() {
    return ALL.keySet();
  }

  /** A new target of this name. */
  public static FuzzTarget named(String name) {
    Supplier<FuzzTarget> target = ALL.get(name);
    if (target == null) {
      throw new IllegalArgumentException("no fuzz target " + name + "; there are " + ALL.keySet());
    }
    return target.get();
  }
}
