package jpcache.fuzz;

import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.List;
import jpcache.media.Layout;

/** A whole image, damaged or forged by a script ({@link Victim}), and one use of it. */
final class ImageFuzz implements FuzzTarget {
  private static final long[] VALUES = {0, 1, 31, 129, Layout.SEGMENT_DATA_BYTES, 1L << 40, -1};

  private final ImageUse use;

  ImageFuzz(ImageUse use) {
    this.use = use;
  }

  @Override
  public void accept(byte[] input) {
    try (Victim victim = new Victim(input)) {
      use.of(victim);
    }
  }

  @Override
  public List<byte[]> seeds() {
    List<byte[]> seeds = new ArrayList<>();
    for (int image = 0; image < Image.small().size(); image++) {
      seeds.add(script(image));
      int structures = Image.of(image).structures().size();
      for (int i = 0; i < structures; i++) {
        long value = VALUES[i % VALUES.length];
        seeds.add(script(image, Victim.deed(i, 2, 8, value), Victim.deed(i, 3, 16, value)));
      }
      int end = structures - 1;
      for (int next : new int[] {0, 5, 31}) {
        seeds.add(script(image, Victim.deed(end, 7, 0, 1L << 32 | next)));
      }
      // The newest kset once more, behind itself.
      seeds.add(script(image, Victim.deed(end, 5, 0, structures - 2)));
    }
    for (int i = 0; i < Image.large().size(); i++) {
      seeds.add(script(Image.FIRST_OF_GOLDEN + i));
      seeds.add(
          script(
              Image.FIRST_OF_GOLDEN + i, Victim.deed(-1, 3, 28, VALUES[(3 + i) % VALUES.length])));
    }
    return seeds;
  }

  private static byte[] script(int image, byte[]... deeds) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(image);
    for (byte[] deed : deeds) {
      out.writeBytes(deed);
    }
    return out.toByteArray();
  }
}
