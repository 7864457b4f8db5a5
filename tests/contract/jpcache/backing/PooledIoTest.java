package jpcache.backing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import jpcache.base.Affinity;
import jpcache.support.ThisThread;
import org.junit.jupiter.api.Test;

class PooledIoTest {
  @Test
  void itsThreadsRunAnywhereWhoeverHandsACallOver() throws Exception {
    Affinity home = Affinity.ofThisThread();
    String everywhere = ThisThread.processors();
    CompletableFuture<String> where = new CompletableFuture<>();
    try (PooledIo io = new PooledIo(1)) {
      assertTrue(home.applyOnly(ThisThread.firstProcessor()));
      io.sync(-1, _ -> where.complete(processors()));
    } finally {
      home.apply();
    }
    assertEquals(everywhere, where.get(20, TimeUnit.SECONDS));
  }

  private static String processors() {
    try {
      return ThisThread.processors();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
