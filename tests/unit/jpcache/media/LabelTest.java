package jpcache.media;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jpcache.media.Label.Match;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LabelTest {
  private static final long SIZE = 1L << 30;

  private final MemoryRegion region = new MemoryRegion(512L << 20);

  @AfterEach
  void unmap() {
    region.close();
  }

  @Test
  void whatIsWrittenIsRead() {
    Label label = Label.of(SIZE, "wwid:naa.5000c500a1b2c3d4", "/dev/disk/by-id/größe 1");
    label.write(region);
    assertEquals(label, Label.read(region.view()));
  }

  @Test
  void theKernelsMetadataIsNotTouched() {
    MediaFormatter.format(region, true, CacheMode.WRITE_BACK, 42, null);
    byte[] before = behindTheLabel();
    Label.of(SIZE, "", "x".repeat(Label.BYTES - Label.PATH_AT)).write(region);
    assertArrayEquals(before, behindTheLabel());
  }

  private byte[] behindTheLabel() {
    return region.view().asSlice(Label.BYTES, 1 << 20).toArray(ValueLayout.JAVA_BYTE);
  }

  @Test
  void zerosAndForeignBytesAreNoLabel() {
    assertNull(Label.read(region.view()));
    region.writable().asSlice(0, Label.BYTES).fill((byte) 0xEB);
    assertNull(Label.read(region.view()));
    assertNull(Label.read(MemorySegment.ofArray(new byte[Label.BYTES - 1])));
  }

  @Test
  void aFormatWithoutADeviceRemovesTheLabelOfTheCacheBefore() {
    Label label = Label.of(SIZE, "", "/a");
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70, label);
    assertEquals(label, Label.read(region.view()));
    MediaFormatter.format(region, false, CacheMode.WRITE_BACK, 70);
    assertNull(Label.read(region.view()));
  }

  @Test
  void textThatDoesNotFitOrCouldHarmATerminalIsLeftOut() {
    assertEquals("", Label.of(SIZE, "", "/a\u001b[2J").path());
    assertEquals("", Label.of(SIZE, "", "/" + "ä".repeat(Label.BYTES)).path());
    assertEquals("", Label.of(SIZE, "dm:" + "x".repeat(200), "/a").identity());
  }

  @ParameterizedTest
  @CsvSource({
    "wwid:1, /dev/a, wwid:1, /dev/b, SAME",
    "'',     /dev/a, wwid:1, /dev/b, SAME",
    "wwid:1, /dev/a, wwid:2, /dev/a, OTHER",
    "wwid:1, /dev/a, dm:2,   /dev/b, OTHER",
    "wwid:1, /dev/a, '',     /dev/a, REPLACED",
    "file:1, /a,     file:1, /b,     SAME",
    "file:1, /a,     file:2, /a,     REPLACED",
    "file:1, /a,     file:2, /b,     OTHER",
    "file:1, '',     file:2, '',     OTHER",
    "nonsense, /a,   nonsense, /b,   SAME",
  })
  void aDeviceIsKnownByItsIdentityAndWhereThatIsGoneByItsPath(
      String identity, String path, String otherIdentity, String otherPath, Match expected) {
    Label label = Label.of(SIZE, identity, path);
    assertEquals(expected, label.compare(SIZE, otherIdentity, otherPath));
    assertEquals(Match.OTHER, label.compare(SIZE + 512, otherIdentity, otherPath), "resized");
  }

  @Test
  void aLabelForAnotherDeviceIsStillThatOfTheSameCache() {
    Label label = Label.of(SIZE, "", "/a");
    assertEquals(label.cache(), label.rebound(512, "file:1", "/b").cache());
  }
}
