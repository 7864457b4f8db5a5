package jpcache.nbd;

import jpcache.Seeds;
import org.junit.jupiter.api.Test;

/** A short form of what {@code ci/fuzz-nbd} does for a minute beside the other tests. */
class LiveFuzzTest {
  @Test
  void bentSessionsDoNotDisturbAnHonestClient() throws Exception {
    LiveFuzz.run(Seeds.next(LiveFuzzTest.class), 3);
  }
}
