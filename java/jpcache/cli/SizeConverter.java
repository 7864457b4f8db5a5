package jpcache.cli;

import jpcache.base.Sizes;
import jpcache.base.UserException;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Options that take a size in bytes: {@code @Option(converter = SizeConverter.class) Long size}.
 */
final class SizeConverter implements ITypeConverter<Long> {
  @Override
  public Long convert(String text) {
    try {
      return Sizes.parse(text);
    } catch (UserException e) {
      // What picocli shows beside the option's name, with exit code 2.
      TypeConversionException usage = new TypeConversionException(e.getMessage());
      usage.initCause(e);
      throw usage;
    }
  }
}
