package jpcache.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import jpcache.base.UserException;
import jpcache.nbd.NbdServerOptions;
import jpcache.nbd.NbdUri;
import org.jspecify.annotations.Nullable;
import org.tomlj.Toml;
import org.tomlj.TomlArray;
import org.tomlj.TomlParseResult;
import org.tomlj.TomlTable;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/**
 * The file of {@code serve --config}: TOML, whose keys are the options of {@code serve} without
 * their dashes, those of the server at its head and those of each export in a table.
 *
 * <pre>
 *   listen = ["nbd://127.0.0.1:10809/"]
 *   default-export = "one"
 *
 *   [export.one]
 *   cache = "/mnt/pmem/one"
 *   backing = "/dev/vg/one"
 * </pre>
 *
 * Keys and values go through the same definitions as the options, so that each is described,
 * converted and checked in one place.
 */
final class ConfigFile {
  private static final String EXPORT = "export";

  /** What only a file can say, at its head. */
  private static final class Head {
    @Option(names = "--default-export")
    private @Nullable String defaultExport;
  }

  private final Path file;
  private final ListenOptions listen = new ListenOptions();
  private final Oversight.Options oversight = new Oversight.Options();
  private final Head head = new Head();
  private final Map<String, ExportOptions> exports = new LinkedHashMap<>();

  private ConfigFile(Path file) {
    this.file = file;
  }

  /**
   * What the file says is to be served. Nothing is opened yet.
   *
   * @throws UserException naming file, table, key, value and what is wrong
   */
  static ServePlan read(Path file, Consumer<String> notice) {
    TomlParseResult toml;
    try {
      toml = Toml.parse(file);
    } catch (IOException e) {
      throw new UserException(
          file + ": " + (Files.exists(file) ? "cannot be read" : "no such file"), e);
    }
    if (toml.hasErrors()) {
      var first = toml.errors().getFirst();
      throw new UserException(
          file + ": line " + first.position().line() + ": " + first.getMessage());
    }
    ConfigFile config = new ConfigFile(file);
    config.take(toml);
    return config.plan(notice);
  }

  private void take(TomlTable toml) {
    apply("", toml, List.of(listen, oversight, head));
    if (!(toml.get(List.of(EXPORT)) instanceof TomlTable tables) || tables.isEmpty()) {
      throw new UserException(file + ": there is no table [export.NAME]: nothing is to be served");
    }
    for (String name : tables.keySet()) {
      if (!(tables.get(List.of(name)) instanceof TomlTable table)) {
        throw wrong(tables, "[export] ", name, "must be a table: write [export." + name + "]");
      }
      ExportOptions options = new ExportOptions();
      apply(name, table, List.of(options));
      exports.put(name, options);
    }
  }

  /** Hands the keys of a table to the options of the same names. */
  private void apply(String export, TomlTable table, List<Object> targets) {
    String where = export.isEmpty() ? "" : "[export." + export + "] ";
    CommandSpec spec = CommandSpec.create();
    for (Object target : targets) {
      spec.addMixin(target.getClass().getName(), CommandSpec.forAnnotatedObject(target));
    }
    List<String> arguments = new ArrayList<>();
    for (String key : table.keySet()) {
      OptionSpec option = spec.findOption("--" + key);
      if (option != null) {
        arguments.addAll(arguments(where, table, key, option));
      } else if (!export.isEmpty() || !key.equals(EXPORT)) {
        throw wrong(table, where, key, "there is no such key; there are " + keys(spec));
      }
    }
    try {
      new CommandLine(spec).setExpandAtFiles(false).parseArgs(arguments.toArray(new String[0]));
    } catch (ParameterException e) {
      if (e.getArgSpec() instanceof OptionSpec option) {
        throw wrong(table, where, option.longestName().substring(2), reason(e));
      }
      throw new UserException(file + ": " + where + e.getMessage(), e);
    }
  }

  private static String keys(CommandSpec spec) {
    return spec.options().stream()
        .map(option -> option.longestName().substring(2))
        .sorted()
        .collect(Collectors.joining(", "));
  }

  /** What stands on a command line for a key and its value. */
  private List<String> arguments(String where, TomlTable table, String key, OptionSpec option) {
    Object value = table.get(List.of(key));
    if (option.arity().max() == 0) {
      if (!(value instanceof Boolean yes)) {
        throw wrong(table, where, key, "must be true or false");
      }
      return yes ? List.of("--" + key) : List.of();
    }
    List<?> values = value instanceof TomlArray array ? array.toList() : List.of(value);
    if (!option.isMultiValue() && value instanceof TomlArray) {
      throw wrong(table, where, key, "must be one value");
    }
    List<String> arguments = new ArrayList<>();
    for (Object one : values) {
      if (!(one instanceof String) && !(one instanceof Long)) {
        throw wrong(table, where, key, "must be a string or a whole number");
      }
      if (one instanceof Long && isText(option)) {
        throw wrong(table, where, key, "must be a string: write " + key + " = \"" + one + "\"");
      }
      arguments.add("--" + key + "=" + one);
    }
    return arguments;
  }

  /** Whether it takes any text, so that nothing else would notice a number. */
  private static boolean isText(OptionSpec option) {
    Class<?> type = option.type();
    boolean checked =
        Arrays.stream(option.converters()).anyMatch(check -> !(check instanceof DevicePath));
    return !checked && (type == String.class || type == Path.class);
  }

  /** What is wrong, without the option's name, which stands before it. */
  private static String reason(ParameterException e) {
    return String.valueOf(e.getMessage())
        .replaceFirst("^Invalid value for option '[^']*'[^:]*: ", "");
  }

  private UserException wrong(TomlTable table, String where, String key, String what) {
    Object value = table.get(List.of(key));
    String shown =
        switch (value) {
          case String text -> "\"" + text + "\"";
          case TomlTable _ -> "{...}";
          case TomlArray _ -> "[...]";
          case null, default -> String.valueOf(value);
        };
    var position = table.inputPositionOf(List.of(key));
    String line = position == null ? "" : ":" + position.line();
    return new UserException(file + line + ": " + where + key + " = " + shown + ": " + what);
  }

  private ServePlan plan(Consumer<String> notice) {
    NbdServerOptions server;
    try {
      server = listen.server(listen.addresses());
    } catch (UserException e) {
      String message = String.valueOf(e.getMessage()).replaceFirst("^--", "");
      throw new UserException(file + ": " + message, e);
    }
    for (NbdUri address : server.listening().addresses()) {
      if (!address.exportName().isEmpty()) {
        throw new UserException(
            file + ": listen: " + address + ": the exports' names are those of the tables");
      }
    }
    String only = exports.size() == 1 ? exports.keySet().iterator().next() : null;
    String byDefault = head.defaultExport != null ? head.defaultExport : only;
    if (byDefault != null && !exports.containsKey(byDefault)) {
      throw new UserException(
          file + ": default-export = \"" + byDefault + "\": there is no such table");
    }
    return new ServePlan(server, oversight, byDefault, () -> openAll(notice));
  }

  private Map<String, ServedCache> openAll(Consumer<String> notice) {
    Map<String, ServedCache> caches = new LinkedHashMap<>();
    for (Map.Entry<String, ExportOptions> export : exports.entrySet()) {
      try {
        caches.put(export.getKey(), export.getValue().open(notice));
      } catch (Throwable e) {
        caches.values().forEach(ServedCache::abandon);
        if (e instanceof UserException) {
          throw new UserException(file + ": [export." + export.getKey() + "] " + e.getMessage(), e);
        }
        throw e;
      }
    }
    return caches;
  }
}
