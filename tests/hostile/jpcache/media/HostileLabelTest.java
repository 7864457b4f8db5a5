package jpcache.media;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import jpcache.Seeds;
import jpcache.base.Crc32c;
import jpcache.media.MediaException.Kind;
import jpcache.pmem.MemoryRegion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Labels by somebody who can write the device, and compute every checksum. */
class HostileLabelTest {
  private final MemoryRegion region = new MemoryRegion(Label.BYTES);
  private final MemorySegment bytes = region.writable();

  @BeforeEach
  void label() {
    Label.of(1 << 20, "wwid:1", "/dev/sda").write(region);
  }

  @AfterEach
  void unmap() {
    region.close();
  }

  private void seal() {
    byte[] all = bytes.toArray(ValueLayout.JAVA_BYTE);
    bytes.set(Layout.U32, Label.CRC_AT, new Crc32c().of(all, 4, all.length - 4));
  }

  private void refused(Kind kind, String field) {
    MediaException e = assertThrows(MediaException.class, () -> Label.read(region.view()));
    assertEquals(kind, e.kind());
    assertEquals(field, e.field());
    assertTrue(
        String.valueOf(e.getMessage()).chars().noneMatch(Character::isISOControl), e.getMessage());
  }

  private void refusedWhenSealed(String field) {
    seal();
    refused(Kind.OUT_OF_RANGE, field);
  }

  @Test
  void anyChangedByteOutsideTheMagicIsABadChecksum() {
    Random random = new Random(Seeds.next(HostileLabelTest.class));
    for (int i = 0; i < 2000; i++) {
      int at = random.nextInt(Label.BYTES);
      if (at >= Label.MAGIC_AT && at < Label.UUID_AT) {
        continue;
      }
      byte old = bytes.get(ValueLayout.JAVA_BYTE, at);
      bytes.set(ValueLayout.JAVA_BYTE, at, (byte) (old ^ (1 << random.nextInt(8))));
      refused(Kind.BAD_CHECKSUM, "label.crc");
      bytes.set(ValueLayout.JAVA_BYTE, at, old);
    }
  }

  @Test
  void aLaterVersion() {
    bytes.set(Layout.U32, Label.VERSION_AT, 2);
    refusedWhenSealed("label.version");
  }

  @Test
  void aSizeThatNoDeviceHas() {
    for (long size : new long[] {0, -512, Long.MIN_VALUE, 513}) {
      bytes.set(Layout.U64, Label.BACKING_BYTES_AT, size);
      refusedWhenSealed("label.backing_size");
    }
  }

  @Test
  void aLengthBeyondItsField() {
    bytes.set(Layout.U16, Label.IDENTITY_LENGTH_AT, (short) 193);
    refusedWhenSealed("label.identity_length");
    bytes.set(Layout.U16, Label.IDENTITY_LENGTH_AT, (short) 6);
    bytes.set(Layout.U16, Label.PATH_LENGTH_AT, (short) -1);
    refusedWhenSealed("label.path_length");
  }

  @Test
  void aTextThatIsNotPrintableUtf8() {
    for (String bad : new String[] {"/dev/\u001b[2J", "a\nb", "\0", "\u0085"}) {
      byte[] text = bad.getBytes(StandardCharsets.UTF_8);
      setPath(text);
      refusedWhenSealed("label.path");
    }
    setPath(new byte[] {'/', (byte) 0xC3});
    refusedWhenSealed("label.path");
  }

  private void setPath(byte[] text) {
    bytes.asSlice(Label.PATH_AT).fill((byte) 0);
    bytes.set(Layout.U16, Label.PATH_LENGTH_AT, (short) text.length);
    MemorySegment.copy(text, 0, bytes, ValueLayout.JAVA_BYTE, Label.PATH_AT, text.length);
  }

  @Test
  void bytesThatMustBeZero() {
    for (int at : new int[] {Label.UNUSED_AT, Label.IDENTITY_AT + 6, Label.BYTES - 1}) {
      bytes.set(ValueLayout.JAVA_BYTE, at, (byte) 1);
      refusedWhenSealed("label.unused");
      bytes.set(ValueLayout.JAVA_BYTE, at, (byte) 0);
    }
  }
}
