package jpcache.media;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.MemorySegment;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MetadataWriterTest {
  private final MemoryRegion region = new MemoryRegion(Layout.MIN_DEVICE_BYTES);
  private MetadataWriter writer;

  @BeforeEach
  void format() {
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, CacheInfo.GC_PERCENT_DEFAULT);
    writer = new MetadataWriter(region, media().segments());
  }

  @AfterEach
  void close() {
    region.close();
  }

  @Test
  void eachFieldReadsBackAsWrittenAndLeavesTheOthersAlone() {
    CacheInfo info =
        new CacheInfo(0, media().info().segments(), CacheInfo.flags(true, CacheMode.WRITE_BACK, 5));
    for (int round = 1; round <= 300; round++) { // more often than a seq has values
      writer.keyTail(new Position(1, round));
      writer.dirtyTail(new Position(2, 2 * round));
      writer.generation(3, round);
      writer.cacheInfo(info);
      assertEquals(new Position(1, round), media().keyTail());
      assertEquals(new Position(2, 2 * round), media().dirtyTail());
      assertEquals(round, media().segments().generation(3));
      assertEquals(info, media().info());
    }
    assertEquals(0, media().segments().generation(2));
    assertEquals(0, media().segments().generation(4));
  }

  @Test
  void aTornUpdateLeavesTheVersionBeforeIt() {
    writer.dirtyTail(new Position(1, 24));
    byte[] before = tails();
    writer.dirtyTail(new Position(2, 48));
    byte[] after = tails();
    for (int i = 0; i < before.length; i++) {
      if (before[i] != after[i]) {
        region.writable().set(Layout.U8, Layout.CACHE_CONTROL_OFFSET + i, (byte) ~after[i]);
        break;
      }
    }
    assertEquals(new Position(1, 24), media().dirtyTail());
  }

  @ParameterizedTest
  @CsvSource({"-1,0", "31,0", "0,-1", "0,16764928"})
  void aTailThatNoReaderWouldBelieveIsRefusedBeforeItIsWritten(int segment, int offset) {
    Position position = new Position(segment, offset);
    assertThrows(IllegalArgumentException.class, () -> writer.keyTail(position));
    assertThrows(IllegalArgumentException.class, () -> writer.dirtyTail(position));
    assertEquals(new Position(0, 0), media().keyTail());
    assertEquals(new Position(0, 0), media().dirtyTail());
  }

  private CacheMedia media() {
    return CacheMedia.read("cache", region.view());
  }

  private byte[] tails() {
    byte[] bytes = new byte[4 * Layout.POSITION_BYTES];
    MemorySegment.ofArray(bytes)
        .copyFrom(region.view().asSlice(Layout.CACHE_CONTROL_OFFSET, bytes.length));
    return bytes;
  }
}
