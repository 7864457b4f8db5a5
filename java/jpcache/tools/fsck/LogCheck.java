package jpcache.tools.fsck;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.BitSet;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Consumer;
import jpcache.media.CacheMedia;
import jpcache.media.Kset;
import jpcache.media.Layout;
import jpcache.media.LogChain;
import jpcache.media.MediaException;
import jpcache.media.Position;
import jpcache.media.RestOfLog;
import jpcache.pmem.PmemReads;

/**
 * Phase 5: the key log. That its chain and its ksets are sound the reader says; this class says
 * whether the keys can all be true at once, and whether the log can go on at its head.
 */
final class LogCheck {
  private static final int KNOWN_FLAGS = Layout.KEY_FLAG_EMPTY | Layout.KEY_FLAG_CLEAN;
  private static final ValueLayout.OfLong U64 =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final String KEEPS_END =
      Finding.NO_REPAIR + " as long as it is not known what of the log is dirty, see phase 4";

  /** A key that says more than its segment does. */
  private record Ahead(long generation, long atBytes) {}

  private final CacheMedia media;
  private final LogChain chain;
  private final boolean cutLog;
  private final boolean endIsEvidence;
  private final BitSet segments;
  private final Map<Integer, Ahead> ahead = new TreeMap<>();
  private long keys;
  private long stale;

  /** Of the log that phase 4 has found; {@link TailsCheck#endIsEvidence} keeps its end as it is. */
  LogCheck(TailsCheck tails, boolean cutLog) {
    media = tails.media();
    chain = tails.chain();
    endIsEvidence = tails.endIsEvidence();
    segments = chain.segments();
    this.cutLog = cutLog;
  }

  String run(Consumer<Finding> findings) {
    DataOverlaps overlaps = new DataOverlaps(media);
    long ksets =
        LogWalk.run(
            media,
            (kset, key, at, live, dirty) -> {
              keys++;
              stale += live ? 0 : 1;
              flags(kset, key, at, findings);
              if (live) {
                generation(kset, key, at);
                logSegment(kset, key, at, findings);
                overlaps.count(kset, key);
              }
            });
    ahead.forEach((segment, key) -> findings.accept(behindItsKeys(segment, key)));
    overlaps.run(findings);
    MediaException broken = chain.broken();
    if (broken == null) {
      head(findings);
    } else {
      findings.accept(leadsOut(broken));
    }
    return String.format(
        "%d key sets, %d keys, %d of them stale, key_head %s", ksets, keys, stale, chain.end());
  }

  private Finding leadsOut(MediaException broken) {
    Finding finding = Finding.problem(broken);
    if (endIsEvidence) {
      return finding.advising(KEEPS_END);
    }
    return cutLog
        ? finding.repairedBy(
            "--cut-log ends the log at " + chain.end() + ": what stands behind it is lost",
            writer -> writer.endLog(chain.end()))
        : finding.advising(
            "--repair --cut-log would end the log at "
                + chain.end()
                + ": what stands behind it would be lost");
  }

  private static void flags(Kset kset, int key, long at, Consumer<Finding> findings) {
    int flags = kset.keyFlags(key);
    if ((flags & ~KNOWN_FLAGS) != 0) {
      findings.accept(
          Finding.problem(
              "key.flags", at, "0x" + Integer.toHexString(flags), "bits 0 and 1 are known"));
    }
  }

  private void generation(Kset kset, int key, long at) {
    int segment = kset.keySegment(key);
    long generation = kset.keyGeneration(key);
    if (Long.compareUnsigned(generation, media.segments().generation(segment)) > 0) {
      ahead.merge(
          segment,
          new Ahead(generation, at),
          (a, b) -> Long.compareUnsigned(a.generation(), b.generation()) >= 0 ? a : b);
    }
  }

  /** Generations only grow, so the segment's is at least that of its newest key. */
  private Finding behindItsKeys(int segment, Ahead key) {
    return Finding.problem(
            "key.seg_gen",
            key.atBytes(),
            Long.toUnsignedString(key.generation()),
            "above generation "
                + Long.toUnsignedString(media.segments().generation(segment))
                + " of its cache segment "
                + segment)
        .repairedBy(
            "writes the key's generation as the segment's",
            writer -> {
              // Twice, for both replicas: neither may have been valid.
              writer.generation(segment, key.generation());
              writer.generation(segment, key.generation());
            });
  }

  private void logSegment(Kset kset, int key, long at, Consumer<Finding> findings) {
    int segment = kset.keySegment(key);
    if (segments.get(segment)) {
      findings.accept(
          Finding.problem(
              "key.cache_seg_id", at, Integer.toString(segment), "that segment holds key sets"));
    }
  }

  /** There must be room for a last kset, and nothing that a later reader could take for a kset. */
  private void head(Consumer<Finding> findings) {
    Position head = chain.end();
    long at = media.segments().dataOffset(head.cacheSegment()) + head.offsetBytes();
    int room = Layout.SEGMENT_DATA_BYTES - head.offsetBytes();
    if (room < Layout.KSET_HEADER_BYTES) {
      findings.accept(
          Finding.problem(
                  "key_head",
                  at,
                  head.toString(),
                  "no room for a last kset behind the newest one: the log cannot go on")
              .advising(
                  room > 0
                      ? "bring the data to the backing device with `jpcache rescue`"
                      : "no writer makes such media, and `jpcache rescue` has no place for"
                          + " dirty_tail; look at the data with `jpcache view`"));
      return;
    }
    MemorySegment bytes = MemorySegment.ofArray(new byte[Layout.KSET_HEADER_BYTES]);
    PmemReads.copy(media.view(), at, bytes, 0, Layout.KSET_HEADER_BYTES);
    if (bytes.mismatch(MemorySegment.ofArray(new byte[Layout.KSET_HEADER_BYTES])) < 0) {
      return;
    }
    boolean isKset = bytes.get(U64, Layout.KSET_MAGIC_AT) == Layout.KSET_MAGIC;
    Optional<RestOfLog> rest = RestOfLog.behind(media, head);
    if (rest.isPresent()) {
      findings.accept(torn(rest.get(), at, isKset ? "kset.crc" : "kset.magic"));
    } else {
      Finding end =
          isKset
              ? Finding.problem("kset.crc", at, head.toString(), "the newest kset is torn")
              : Finding.problem(
                  "key_head", at, head.toString(), "no terminator there, but no kset either");
      findings.accept(
          endIsEvidence
              ? end.asNotice().advising(KEEPS_END)
              : end.asNotice()
                  .repairedBy("writes the terminator over it", writer -> writer.endLog(head)));
    }
  }

  /**
   * Where a valid kset follows a torn one the log was damaged, or it ends and an older one did not.
   * Nothing tells which: keys of an older log may well be of their segments' generations, as long
   * as newer keys keep those segments in use. The kernel's power cuts leave such a place in a sound
   * cache, so it is a notice; and as it may be damage it is not made the log's end.
   */
  private static Finding torn(RestOfLog rest, long at, String field) {
    String wrong =
        String.format(
            "a torn key set, and behind it stand from %s on %s that the log does not tell: the rest"
                + " of a log that is damaged here, or what an older log left, and nothing on the"
                + " media says which",
            rest.first(), rest.count());
    return Finding.problem(field, at, rest.torn().toString(), wrong)
        .asNotice()
        .advising(
            Finding.NO_REPAIR
                + "; copy the cache before it is served, for the log then goes on over them");
  }
}
