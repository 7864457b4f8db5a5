package jpcache.base;

/**
 * Told once when an asynchronous request has ended.
 *
 * <p>It runs on the thread that finished the request (which may be the caller's, before the call
 * returns), and others are told behind it. So it must not wait for another request, for room or for
 * a client; what takes memory's time it may do: copy what was read, up to a request's length, or
 * make keys durable. It must not throw either: whoever tells several tells the others all the same,
 * but nobody repeats what a completion has not done.
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
