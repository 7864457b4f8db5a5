package jpcache.media;

import jpcache.base.Crc32c;
import jpcache.base.UserException;
import jpcache.pmem.PoisonedMemoryException;

/**
 * Which part of a log the backing device may lack: the one place where that is decided, for all who
 * read a log that another one has left.
 *
 * <p>It is what stands from dirty_tail on, and dirty_tail is on the chain of ksets that starts at
 * key_tail. Where it is not, one of them is damaged, and what follows from that depends on which:
 *
 * <pre>
 *   dirty_tail is an old one          all of the log may be lacking: dirty_tail is to be key_tail
 *   the log ends before dirty_tail    all before it is on the device: key_tail is to be dirty_tail
 * </pre>
 *
 * Who takes the second for the first writes old data over new, and forgets the only pointer to what
 * is dirty. Whoever wrote dirty_tail had flushed all before it to the backing device, so the newest
 * one that was ever written is right about that; and it is the newest one unless a replica is
 * damaged. Readers fall back to an older one then.
 *
 * @param media as they were read
 * @param log the chain that starts at key_tail
 * @param dirtyLog the chain that starts at dirty_tail
 * @param newest whether no later dirty_tail than the one in force can have been there
 */
public record DirtyPart(
    CacheMedia media, Where where, LogChain log, LogChain dirtyLog, boolean newest) {
  /** Where the dirty part of the log is. */
  public enum Where {
    /** From dirty_tail on, as it should be. */
    FROM_DIRTY_TAIL,
    /** Everywhere: dirty_tail is an old one. */
    ALL,
    /** From dirty_tail on, which key_tail's chain does not reach because it is damaged before. */
    BEHIND_DAMAGE,
    /** Not known: dirty_tail may be right, or it may not. */
    IN_DOUBT
  }

  /** Judges the tails of a cache. */
  public static DirtyPart of(CacheMedia media) {
    LogChain log = LogChain.ofKeyTail(media);
    boolean newest = isNewest(media);
    if (log.meets()) {
      return new DirtyPart(media, Where.FROM_DIRTY_TAIL, log, log, newest);
    }
    LogChain dirtyLog = LogChain.walk(media, media.dirtyTail(), media.keyTail());
    return new DirtyPart(media, judge(media, log, dirtyLog, newest), log, dirtyLog, newest);
  }

  private static Where judge(CacheMedia media, LogChain log, LogChain dirtyLog, boolean newest) {
    if (dirtyLog.meets() || log.passes()) {
      return Where.ALL; // the log has begun, or gone on, behind it
    }
    if (!newest) {
      return log.endsWell() ? Where.ALL : Where.IN_DOUBT;
    }
    if (!log.endsWell() || goesOn(media, log.end())) {
      return Where.BEHIND_DAMAGE;
    }
    // A kset apart from a log that ends as it should may be another log's. Without one, the log is
    // whole for all that the media tell.
    return dirtyLog.hasKset() ? Where.IN_DOUBT : Where.ALL;
  }

  /** Whether ksets stand behind the end of a log in its segment that lead to dirty_tail. */
  private static boolean goesOn(CacheMedia media, Position end) {
    try {
      Position at = RestOfLog.next(media, end);
      while (at != null) {
        LogChain rest = LogChain.walk(media, at, media.dirtyTail());
        if (rest.meets()) {
          return !at.equals(media.dirtyTail()); // that alone leads nowhere
        }
        boolean stays = rest.end().cacheSegment() == end.cacheSegment();
        at = stays ? RestOfLog.next(media, rest.end()) : null;
      }
    } catch (PoisonedMemoryException e) {
      // Then nothing can be told by it.
    }
    return false;
  }

  /** Readers fall back to an older one where a replica is damaged; zeros were never written. */
  private static boolean isNewest(CacheMedia media) {
    Replicas replicas = ReplicatedSlot.dirtyTail().inspect(media.view(), new Crc32c());
    return !replicas.ambiguous() && !replicas.states().contains(Replicas.State.TORN);
  }

  /** The media with the tails that a repair would give them; as they are where none is known. */
  public CacheMedia mended() {
    return switch (where) {
      case FROM_DIRTY_TAIL, IN_DOUBT -> media;
      case ALL -> media.withTails(media.keyTail(), media.keyTail());
      case BEHIND_DAMAGE -> media.withTails(media.dirtyTail(), media.dirtyTail());
    };
  }

  /** What is wrong with dirty_tail, where something is. */
  public String wrong() {
    String keyTail = "key_tail " + media.keyTail();
    String ends = "the key log from " + keyTail + " on ends " + log.endTold();
    return switch (where) {
      case FROM_DIRTY_TAIL -> throw new IllegalStateException("dirty_tail is on the log");
      case ALL ->
          dirtyLog.meets()
              ? "behind " + keyTail
              : "no key set of the chain that starts at " + keyTail + " begins there";
      case BEHIND_DAMAGE ->
          "the key log from " + keyTail + " on is damaged before it " + log.endTold() + brokenToo();
      case IN_DOUBT ->
          newest
              ? ends
                  + ", and apart from it a key set stands at dirty_tail"
                  + brokenToo()
                  + ": the log was damaged before that and the damage cleared, or an older log left"
                  + " it, and nothing on the media says which"
              : ends
                  + ", and a replica of dirty_tail is damaged"
                  + brokenToo()
                  + ": the log is damaged before dirty_tail, or that is an old one, and nothing on"
                  + " the media says which";
    };
  }

  private String brokenToo() {
    MediaException broken = dirtyLog.broken();
    return broken == null
        ? ""
        : ", and the log from there on cannot be believed: " + broken.plain();
  }

  /** What to tell a user whose command cannot go on with this. */
  public UserException refusal() {
    return new UserException(
        media.device() + ": dirty_tail " + media.dirtyTail() + ": " + wrong() + "; " + advice());
  }

  private String advice() {
    if (where == Where.IN_DOUBT) {
      return "copy the cache before anything is done to it, and look at it with `jpcache fsck`";
    }
    return dirtyLog.broken() == null && !dirtyLog.poisoned()
        ? "run `jpcache fsck --repair` first"
        : "`jpcache fsck` says what can be done";
  }

  /**
   * What to tell of a log that could not be read to its end: that dirty_tail stands behind the
   * damage if it does, for that can be repaired.
   *
   * @param failure what the reader has told
   */
  public static UserException refusal(CacheMedia media, UserException failure) {
    DirtyPart part = of(media);
    boolean known = part.where == Where.FROM_DIRTY_TAIL || part.where == Where.ALL;
    return known ? failure : part.refusal();
  }
}
