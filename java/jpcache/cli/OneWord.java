package jpcache.cli;

import java.util.List;
import java.util.Locale;
import jpcache.base.UserException;

/** The value of an option that is one of a few words, in capitals or not. */
abstract class OneWord<E extends Enum<E>> extends CheckedValue<E> {
  private final List<E> values;

  OneWord(Class<E> type) {
    values = List.of(type.getEnumConstants());
  }

  @Override
  final E parse(String text) {
    for (E value : values) {
      if (value.name().equalsIgnoreCase(text)) {
        return value;
      }
    }
    List<String> words =
        values.stream().map(value -> value.name().toLowerCase(Locale.ROOT)).toList();
    String allButLast = String.join(", ", words.subList(0, words.size() - 1));
    throw new UserException(text + ": not " + allButLast + " or " + words.getLast());
  }
}
