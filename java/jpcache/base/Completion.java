package jpcache.base;

/**
 * Told once when an asynchronous request has ended.
 *
 * <p>It runs on the thread that finished the request (which may be the caller's, before the call
 * returns) and must neither block nor throw.
 */
@FunctionalInterface
public interface Completion {
  /**
   * The request has ended.
   *
   * @param errno 0, or the Linux error number ({@link Errno}) that says why it failed
   */
  void complete(int errno);
}
