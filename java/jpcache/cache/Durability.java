package jpcache.cache;

/** When a write may be acknowledged. */
public enum Durability {
  /** When it is durable: its keys are in a closed, drained kset. */
  ACK,

  /**
   * When it is visible; durable after the next flush, with FUA, or when its kset is closed for
   * being full or for its age: what the kernel does.
   */
  FLUSH
}
