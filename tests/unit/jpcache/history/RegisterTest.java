package jpcache.history;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import jpcache.Seeds;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** The judge of histories is judged: by cases, and by trying every order of small histories. */
class RegisterTest {
  private static final int HISTORIES = 30_000;

  private record Operation(boolean write, long value, long invoked, long answered) {}

  private final List<Operation> history = new ArrayList<>();

  private RegisterTest write(long value, long invoked, long answered) {
    history.add(new Operation(true, value, invoked, answered));
    return this;
  }

  private RegisterTest read(long value, long invoked, long answered) {
    history.add(new Operation(false, value, invoked, answered));
    return this;
  }

  private void isLinearizable() {
    assertNull(judge(history));
  }

  private void isNot() {
    assertNotNull(judge(history));
  }

  private static @Nullable String judge(List<Operation> history) {
    Register register = new Register();
    for (Operation o : history) {
      if (o.write) {
        register.write(o.value, o.invoked, o.answered);
      } else {
        register.read(o.value, o.invoked, o.answered);
      }
    }
    return register.violation();
  }

  @Test
  void aReadMayNotFindWhatAnAcknowledgedWriteHasReplaced() {
    write(1, 1, 2).write(2, 3, 4).read(1, 5, 6).isNot();
  }

  @Test
  void aReadMayNotFindTheFirstContentAfterAWrite() {
    write(1, 1, 2).read(Register.INITIAL, 3, 4).isNot();
  }

  @Test
  void aReadDuringAWriteMayFindEither() {
    write(1, 1, 6).read(Register.INITIAL, 2, 3).read(1, 4, 5).isLinearizable();
  }

  @Test
  void noReadFindsTheOldAgainAfterAnotherFoundTheNew() {
    write(1, 1, 6).read(1, 2, 3).read(Register.INITIAL, 4, 5).isNot();
  }

  @Test
  void writesThatOverlapMayHaveEitherOrderButOnlyOne() {
    write(1, 1, 4).write(2, 2, 3).read(1, 5, 6).isLinearizable();
    read(2, 7, 8).isNot();
  }

  @Test
  void aValueThatNobodyWroteIsNotFound() {
    read(7, 1, 2).isNot();
  }

  @Test
  void nothingIsFoundBeforeItIsWritten() {
    read(1, 1, 2).write(1, 3, 4).isNot();
  }

  @Test
  void aWriteWithoutAnAnswerMayHappenLateOrNever() {
    write(1, 1, Register.NEVER).read(Register.INITIAL, 2, 3).read(1, 4, 5).isLinearizable();
    read(Register.INITIAL, 6, 7).isNot();
  }

  @Test
  void aWriteThatNobodySawAndNobodyAnsweredDoesNotMatter() {
    write(1, 1, Register.NEVER).read(Register.INITIAL, 2, 3).write(2, 4, 5).isLinearizable();
  }

  @Test
  void theVerdictIsThatOfTryingEveryOrder() {
    long seed = Seeds.next(getClass());
    SplittableRandom random = new SplittableRandom(seed);
    int good = 0;
    for (int i = 0; i < HISTORIES; i++) {
      List<Operation> some = randomHistory(random);
      boolean possible = canBe(some, 0, Register.INITIAL);
      good += possible ? 1 : 0;
      assertEquals(possible, judge(some) == null, () -> some + ", seed " + seed);
    }
    int share = good;
    assertTrue(good > HISTORIES / 20 && good < HISTORIES * 19 / 20, () -> share + " were good");
  }

  private static List<Operation> randomHistory(SplittableRandom random) {
    int operations = 2 + random.nextInt(5);
    List<Integer> times = new ArrayList<>();
    for (int i = 0; i < 2 * operations; i++) {
      times.add(random.nextInt(times.size() + 1), i);
    }
    List<Operation> history = new ArrayList<>();
    int writes = 0;
    for (int i = 0; i < operations; i++) {
      // Mostly short ones, so that their order matters.
      int a = random.nextInt(3) == 0 ? times.get(2 * i) : 2 * i;
      int b = random.nextInt(3) == 0 ? times.get(2 * i + 1) : 2 * i + 1;
      long from = 100L * Math.min(a, b) + 2L * i;
      long to = 100L * Math.max(a, b) + 2L * i + 1;
      boolean write = random.nextInt(5) < 2;
      long value = write ? ++writes : random.nextInt(writes + 2);
      boolean lost = write && random.nextInt(8) == 0;
      history.add(new Operation(write, value, from, lost ? Register.NEVER : to));
    }
    return history;
  }

  /** Whether the operations that are not in {@code done} can follow in some order. */
  private static boolean canBe(List<Operation> all, int done, long now) {
    boolean over = true;
    for (int i = 0; i < all.size(); i++) {
      over &= (done >> i & 1) != 0 || all.get(i).answered == Register.NEVER;
    }
    if (over) {
      return true;
    }
    for (int i = 0; i < all.size(); i++) {
      Operation next = all.get(i);
      if ((done >> i & 1) == 0
          && mayBeNext(all, done, next)
          && (next.write || next.value == now)
          && canBe(all, done | 1 << i, next.write ? next.value : now)) {
        return true;
      }
    }
    return false;
  }

  /** Nothing that is still to come was answered before this began. */
  private static boolean mayBeNext(List<Operation> all, int done, Operation next) {
    for (int i = 0; i < all.size(); i++) {
      if ((done >> i & 1) == 0 && all.get(i).answered < next.invoked) {
        return false;
      }
    }
    return true;
  }
}
