package jpcache.tools.fsck;

import java.lang.foreign.Arena;
import java.util.HexFormat;
import java.util.function.Consumer;
import jpcache.media.CacheMedia;
import jpcache.media.KeyData;
import jpcache.media.Kset;
import jpcache.pmem.PoisonedMemoryException;

/** Phase 6: the checksums of the data that live keys point to. */
final class DataCrcCheck {
  private final CacheMedia media;
  private long keys;
  private long bytes;

  DataCrcCheck(CacheMedia media) {
    this.media = media;
  }

  String run(Consumer<Finding> findings) {
    if (!media.info().dataCrc()) {
      return "the cache keeps none";
    }
    try (Arena arena = Arena.ofConfined()) {
      KeyData data = new KeyData(media.view(), media.segments(), arena);
      LogWalk.run(
          media,
          (kset, key, at, live, dirty) -> {
            if (live) {
              check(data, kset, key, at, findings);
            }
          });
    }
    return keys + " keys, " + bytes + " bytes";
  }

  private void check(KeyData data, Kset kset, int key, long at, Consumer<Finding> findings) {
    keys++;
    bytes += kset.keyLength(key);
    try {
      int actual = data.crc(kset, key);
      if (actual != kset.keyDataCrc(key)) {
        findings.accept(
            Finding.problem(
                "key.data_crc",
                at,
                "0x" + HexFormat.of().toHexDigits(kset.keyDataCrc(key)),
                "the data at "
                    + kset.keySegment(key)
                    + ":"
                    + kset.keySegmentOffset(key)
                    + " gives 0x"
                    + HexFormat.of().toHexDigits(actual)));
      }
    } catch (PoisonedMemoryException e) {
      findings.accept(Fsck.poisoned(e));
    }
  }
}
