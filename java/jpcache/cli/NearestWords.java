package jpcache.cli;

import java.util.Collection;
import java.util.Comparator;
import java.util.List;

/** What somebody may have meant who mistyped a word. */
final class NearestWords {
  private static final int SHOWN = 2;
  private static final int LONG_ENOUGH = 4;

  private NearestWords() {}

  /** The words that a typed one is the beginning of, or one or two slips away from. */
  static List<String> of(String typed, Collection<String> words) {
    return words.stream()
        .filter(word -> isNear(typed, word))
        .sorted(Comparator.comparingInt(word -> slips(typed, word)))
        .limit(SHOWN)
        .toList();
  }

  private static boolean isNear(String typed, String word) {
    int length = typed.replace("-", "").length();
    return slips(typed, word) <= Math.clamp(length / 3, 1, 2)
        || (length >= LONG_ENOUGH && word.startsWith(typed));
  }

  /** How many letters are wrong, missing, too many, or changed places with the next one. */
  private static int slips(String a, String b) {
    int[][] slips = new int[a.length() + 1][b.length() + 1];
    for (int i = 0; i <= a.length(); i++) {
      for (int j = 0; j <= b.length(); j++) {
        if (i == 0 || j == 0) {
          slips[i][j] = i + j;
          continue;
        }
        int wrong = a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1;
        slips[i][j] =
            Math.min(slips[i - 1][j - 1] + wrong, 1 + Math.min(slips[i - 1][j], slips[i][j - 1]));
        if (i > 1
            && j > 1
            && a.charAt(i - 1) == b.charAt(j - 2)
            && a.charAt(i - 2) == b.charAt(j - 1)) {
          slips[i][j] = Math.min(slips[i][j], slips[i - 2][j - 2] + 1);
        }
      }
    }
    return slips[a.length()][b.length()];
  }
}
