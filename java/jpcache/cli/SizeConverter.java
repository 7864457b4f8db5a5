package jpcache.cli;

import jpcache.base.Sizes;

/**
 * Options that take a size in bytes: {@code @Option(converter = SizeConverter.class) Long size}.
 */
final class SizeConverter extends CheckedValue<Long> {
  @Override
  Long parse(String text) {
    return Sizes.parse(text);
  }
}
