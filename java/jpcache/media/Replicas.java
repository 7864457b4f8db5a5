package jpcache.media;

import java.util.List;

/**
 * The state of a structure's two replicas, for those who check media.
 *
 * @param states of replica 0 and replica 1
 * @param current the replica in force, or -1 if none is valid
 * @param ambiguous both are valid and say different things, and neither is later than the other
 */
public record Replicas(ReplicatedSlot slot, List<State> states, int current, boolean ambiguous) {
  /** What stands in the place of a replica. */
  public enum State {
    VALID,
    /** Zeros: never written. */
    BLANK,
    /** Neither: a power cut during an update leaves this, and damage does. */
    TORN
  }
}
