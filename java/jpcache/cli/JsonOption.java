package jpcache.cli;

import picocli.CommandLine.Option;

/** The option of every command that shows something: {@code @Mixin JsonOption output}. */
final class JsonOption {
  @Option(names = "--json", description = "Print JSON, for programs, in place of text.")
  boolean json;
}
