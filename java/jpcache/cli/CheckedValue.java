package jpcache.cli;

import jpcache.base.UserException;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * An option's value that is checked when it is read, so that a wrong one is told beside the
 * option's name, with exit code 2, or beside its line and key in a file.
 */
abstract class CheckedValue<T> implements ITypeConverter<T> {
  /**
   * The value that a text names.
   *
   * @throws UserException if it names none
   */
  abstract T parse(String text);

  @Override
  public final T convert(String text) {
    try {
      return parse(text);
    } catch (UserException e) {
      // What picocli shows beside the option's name.
      TypeConversionException usage = new TypeConversionException(e.getMessage());
      usage.initCause(e);
      throw usage;
    }
  }
}
