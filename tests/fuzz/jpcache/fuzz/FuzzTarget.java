package jpcache.fuzz;

import java.util.List;

/**
 * Something that reads bytes which somebody else controls.
 *
 * <p>A target is fed many inputs, one after the other, by one thread. What an input leaves behind
 * must not show in the next one: a failure is repeated with its input alone.
 */
public interface FuzzTarget extends AutoCloseable {
  /**
   * Reads an input. That is refused by a {@link jpcache.base.UserException} that the target catches
   * and judges, or used; every other end is a bug, and so is whatever the target itself finds wrong
   * with the result.
   */
  void accept(byte[] input);

  /** Inputs from which mutation starts: each gets past another of the reader's first checks. */
  List<byte[]> seeds();

  @Override
  default void close() {}
}
