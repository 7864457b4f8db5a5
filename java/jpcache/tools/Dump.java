package jpcache.tools;

import java.util.BitSet;
import java.util.HexFormat;
import jpcache.media.CacheInfo;
import jpcache.media.CacheMedia;
import jpcache.media.KernelStatus;
import jpcache.media.Kset;
import jpcache.media.Label;
import jpcache.media.LogReader;
import jpcache.media.LogReplay;
import jpcache.media.MediaException;
import jpcache.pmem.PoisonedMemoryException;

/**
 * Shows what is on a cache device: superblock, cache info, segments, tails, key sets and keys, and
 * the kernel's status line for it.
 */
public final class Dump {
  private final CacheMedia media;
  private final Outline out;

  public Dump(CacheMedia media, Outline out) {
    this.media = media;
    this.out = out;
  }

  /**
   * Writes the outline.
   *
   * @param keys whether every key is shown, not only the key sets
   * @throws jpcache.media.MediaException if the log cannot be believed; nothing has been shown then
   */
  public void run(boolean keys) {
    BitSet data = new BitSet();
    LogReplay.Summary log =
        LogReplay.run(media, Long.MAX_VALUE, (kset, key) -> data.set(kset.keySegment(key)));
    out.begin("cache");
    label();
    superblock();
    cacheInfo();
    tailsAndLog(log);
    segments(log, data);
    ksets(keys);
    out.end();
  }

  private void label() {
    try {
      Label label = Label.read(media.view());
      if (label != null) {
        out.begin("label");
        out.value("cache", label.cache().toString());
        out.value("backing_bytes", label.backingBytes());
        out.value("identity", label.identity());
        out.value("path", label.path());
        out.end();
      }
    } catch (MediaException | PoisonedMemoryException e) {
      out.value("label", "damaged: " + e.getMessage());
    }
  }

  private void superblock() {
    out.begin("superblock");
    out.value("flags", Integer.toUnsignedLong(media.superblock().flags()));
    out.value("seg_num", media.superblock().segments());
    out.end();
  }

  private void cacheInfo() {
    CacheInfo info = media.info();
    out.begin("cache_info");
    out.value("seg_id", info.firstSegment());
    out.value("n_segs", info.segments());
    out.bits("flags", info.flags());
    out.value("data_crc", info.dataCrc());
    out.value("mode", info.mode().toString());
    out.value("gc_percent", info.gcPercent());
    out.end();
  }

  private void tailsAndLog(LogReplay.Summary log) {
    out.begin("log");
    out.value("key_tail", media.keyTail().toString());
    out.value("dirty_tail", media.dirtyTail().toString());
    out.value("key_head", log.head().toString());
    out.value("ksets", log.ksets());
    out.value("keys", log.keys());
    out.value("stale_keys", log.staleKeys());
    out.end();
    out.value("segments_used", log.used().cardinality());
    out.value(
        "status",
        new KernelStatus(
                media.superblock(),
                media.info(),
                log.used().cardinality(),
                log.head(),
                media.dirtyTail(),
                media.keyTail())
            .line());
  }

  private void segments(LogReplay.Summary log, BitSet data) {
    out.beginList("segments");
    for (int i = 0; i < media.segments().count(); i++) {
      out.begin("segment");
      out.value("id", i);
      out.value("device_segment", media.segments().deviceSegment(i));
      out.value("generation", Long.toUnsignedString(media.segments().generation(i)));
      out.value("holds", data.get(i) ? "data" : log.used().get(i) ? "ksets" : "nothing");
      out.end();
    }
    out.endList();
  }

  private void ksets(boolean keys) {
    out.beginList("ksets");
    LogReader reader = new LogReader(media, media.keyTail(), Long.MAX_VALUE);
    while (reader.next()) {
      Kset kset = reader.kset();
      out.begin("kset");
      out.value("at", reader.ksetPosition().toString());
      if (kset.isLast()) {
        out.value("next_segment", reader.head().cacheSegment());
      } else {
        out.value("keys", kset.keyCount());
        if (keys) {
          keys(kset);
        }
      }
      out.end();
    }
    out.endList();
  }

  private void keys(Kset kset) {
    out.beginList("key_list");
    for (int key = 0; key < kset.keyCount(); key++) {
      long generation = media.segments().generation(kset.keySegment(key));
      out.begin("key");
      out.value("off", kset.keyOffset(key));
      out.value("len", kset.keyLength(key));
      out.value("flags", Integer.toUnsignedLong(kset.keyFlags(key)));
      out.value("seg", kset.keySegment(key) + ":" + kset.keySegmentOffset(key));
      out.value("gen", Long.toUnsignedString(kset.keyGeneration(key)));
      out.value("data_crc", HexFormat.of().toHexDigits(kset.keyDataCrc(key)));
      out.value("stale", kset.keyIsStale(key, generation));
      out.end();
    }
    out.endList();
  }
}
