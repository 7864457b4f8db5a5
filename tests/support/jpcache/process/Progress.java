package jpcache.process;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;

/** How far a load has come, shared by its connections and by the one who kills the server. */
final class Progress {
  private static final long PATIENCE_SECONDS = 60;

  private final AtomicLong untilKill;
  private final CompletableFuture<Void> timeToKill = new CompletableFuture<>();
  private final List<String> mistakes = new CopyOnWriteArrayList<>();
  private volatile boolean full;
  private volatile boolean killed;

  /** It is time for the kill when so many writes have been acknowledged. */
  Progress(long acknowledgements) {
    untilKill = new AtomicLong(acknowledgements);
  }

  void acknowledged() {
    if (untilKill.decrementAndGet() == 0) {
      timeToKill.complete(null);
    }
  }

  /** The cache has no room: no more load, and a kill without more ado. */
  void full() {
    full = true;
    timeToKill.complete(null);
  }

  boolean isFull() {
    return full;
  }

  /** Something no server may do, kill or not. */
  void mistake(String what) {
    mistakes.add(what);
    timeToKill.complete(null);
  }

  List<String> mistakes() {
    return List.copyOf(mistakes);
  }

  /** A connection ended: that is as it should be only if the server is being killed. */
  void connectionLost(IOException e) {
    if (!killed) {
      mistake("a connection was lost before the kill: " + e);
    }
  }

  /** Gives the load a while; whether the moment of the kill comes meanwhile does not matter. */
  void awaitTimeToKillAtMost(long millis) {
    try {
      timeToKill.get(millis, TimeUnit.MILLISECONDS);
    } catch (InterruptedException | ExecutionException | TimeoutException e) {
      // It went on for this long, or stood still.
    }
  }

  /** Waits for the moment of the kill; from its return on connections may be lost. */
  void awaitTimeToKill() {
    try {
      timeToKill.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException | ExecutionException | TimeoutException e) {
      mistake("no " + untilKill.get() + " more acknowledgements in " + PATIENCE_SECONDS + " s");
    }
    killed = true;
  }
}
