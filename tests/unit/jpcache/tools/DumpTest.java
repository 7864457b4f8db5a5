package jpcache.tools;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.OptionalLong;
import java.util.function.Function;
import jpcache.JsonCheck;
import jpcache.media.CacheMedia;
import jpcache.media.MediaBuilder;
import jpcache.media.MediaBuilder.LogKey;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DumpTest {
  @TempDir(factory = ShmDirectory.class)
  Path directory;

  private MediaBuilder media;

  /** Four segments of the device, in an order of their own; a log that goes on in another one. */
  @BeforeEach
  void make() {
    media = MediaBuilder.create(directory.resolve("media"), MediaBuilder.SMALL_BYTES);
    media.superblock(0x80000000, 0x65B05EFA96C596EFL, 31);
    media.cacheInfo(7, 4, 0x1183);
    media.segmentInfo(7, 3, 2);
    media.segmentInfo(2, 3, 30);
    media.segmentInfo(30, 3, 4);
    media.segmentInfo(4, 2, 0);
    media.generation(2, 5);
    media.generation(4, -1);
    media.kset(
        7,
        0,
        new LogKey(0, 512, 0, 1, 1024, 5, 0xCAFE),
        new LogKey(1L << 62, 4096, 0x80000002, 1, 8192, 6, 0),
        new LogKey(4096, 4096, 2, 1, 16384, 4, 0),
        new LogKey(8192, 512, 0, 3, 0, Long.MAX_VALUE, -1));
    media.lastKset(7, 184, 2);
    media.kset(30, 0, LogKey.of(0, 512, 0, 512));
    media.keyTail(0, 0);
    media.dirtyTail(2, 0);
  }

  @AfterEach
  void close() {
    media.close();
  }

  private String dump(Function<PrintWriter, Outline> outline, boolean keys) {
    StringWriter text = new StringWriter();
    PrintWriter out = new PrintWriter(text);
    new Dump(CacheMedia.read("cache", media.view()), outline.apply(out)).run(keys);
    out.flush();
    return text.toString();
  }

  @Test
  void theTextShowsEveryFieldOfTheMedia() {
    assertEquals(
        """
        cache
          superblock
            flags: 2147483648
            seg_num: 31
          cache_info
            seg_id: 7
            n_segs: 4
            flags: 0x1183
            data_crc: yes
            mode: write-back
            gc_percent: 70
          log
            key_tail: 0:0
            dirty_tail: 2:0
            key_head: 2:64
            ksets: 2
            keys: 3
            stale_keys: 2
          segments_used: 3
          status: 80000000 31 4 3 70 1183 2:64 2:0 0:0
          segments
            segment id 0 device_segment 7 generation 0 holds data
            segment id 1 device_segment 2 generation 5 holds data
            segment id 2 device_segment 30 generation 0 holds ksets
            segment id 3 device_segment 4 generation 18446744073709551615 holds nothing
          ksets
            kset at 0:0 keys 4
                key off 0 len 512 flags 0 seg 1:1024 gen 5 data_crc 0000cafe stale no
                key off 4611686018427387904 len 4096 flags 2147483650 seg 1:8192 gen 6 data_crc 00000000 stale no
                key off 4096 len 4096 flags 2 seg 1:16384 gen 4 data_crc 00000000 stale yes
                key off 8192 len 512 flags 0 seg 3:0 gen 9223372036854775807 data_crc ffffffff stale yes
            kset at 0:184 next_segment 2
            kset at 2:0 keys 1
                key off 0 len 512 flags 0 seg 0:512 gen 0 data_crc 00000000 stale no
        """,
        dump(TextOutline::new, true));
  }

  @Test
  void withoutKeysTheTextIsTheSameWithoutThem() {
    String keys = dump(TextOutline::new, true);
    assertEquals(keys.replaceAll("(?m)^ +key .*\\R", ""), dump(TextOutline::new, false));
  }

  @Test
  void theJsonIsJson() {
    JsonCheck.check(dump(JsonOutline::new, false));
    String keys = dump(JsonOutline::new, true);
    JsonCheck.check(keys);
    for (String pair :
        new String[] {
          "\"flags\": 2147483648",
          "\"flags\": 4483",
          "\"data_crc\": true",
          "\"status\": \"80000000 31 4 3 70 1183 2:64 2:0 0:0\"",
          "\"off\": 4611686018427387904",
          "\"flags\": 2147483650",
          "\"generation\": \"18446744073709551615\""
        }) {
      assertTrue(keys.contains(pair), pair);
    }
  }

  @Test
  void jsonTextIsEscaped() {
    StringWriter text = new StringWriter();
    PrintWriter out = new PrintWriter(text);
    JsonOutline outline = new JsonOutline(out);
    outline.begin("top");
    outline.value("na\"me", "a\\b\"c\nd\u001be\u00e9");
    outline.beginList("empty");
    outline.endList();
    outline.begin("empty");
    outline.end();
    outline.end();
    out.flush();
    JsonCheck.check(text.toString());
    assertTrue(
        text.toString().contains("\"na\\\"me\": \"a\\\\b\\\"c\\u000ad\\u001be\u00e9\""),
        text::toString);
  }

  @Test
  void dirtyBytesAreCountedOnceAndCleanOnesNot() {
    assertEquals(OptionalLong.of(512), DirtyData.bytes(CacheMedia.read("cache", media.view())));
    media.dirtyTail(0, 0);
    media.kset(
        7,
        0,
        new LogKey(0, 8192, 0, 1, 0, 5, 0),
        new LogKey(4096, 8192, 0, 1, 8192, 5, 0),
        new LogKey(0, 512, 2, 1, 0, 5, 0),
        new LogKey(1 << 20, 4096, 2, 1, 0, 5, 0));
    // 12 KiB of which a clean key covers a sector, which the log's last kset writes again.
    assertEquals(OptionalLong.of(12288), DirtyData.bytes(CacheMedia.read("cache", media.view())));
    media.dirtyTail(0, 184);
    assertEquals(OptionalLong.of(512), DirtyData.bytes(CacheMedia.read("cache", media.view())));
  }
}
