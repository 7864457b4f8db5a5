package jpcache.cache;

import java.util.stream.Stream;

/**
 * What histories have been through: a test that claims much should have seen much.
 *
 * <p>Of one history; only {@link #failed} may be called by any thread.
 */
final class HistoryCounts {
  long writtenBytes;
  long zeroedBytes;
  long reads;
  long flushes;
  long waited;
  long openings;
  long checks;
  long batches;
  long failedBatches;
  long collections;
  long logSegments;
  long modeChanges;
  long directWrites;
  private long failures;

  synchronized void failed() {
    failures++;
  }

  private synchronized long failures() {
    return failures;
  }

  synchronized void add(HistoryCounts other) {
    writtenBytes += other.writtenBytes;
    zeroedBytes += other.zeroedBytes;
    reads += other.reads;
    flushes += other.flushes;
    waited += other.waited;
    openings += other.openings;
    checks += other.checks;
    batches += other.batches;
    failedBatches += other.failedBatches;
    collections += other.collections;
    logSegments += other.logSegments;
    modeChanges += other.modeChanges;
    directWrites += other.directWrites;
    failures += other.failures();
  }

  /** Whether nothing that histories are for is missing. */
  synchronized boolean sawMuch() {
    return Stream.of(
            writtenBytes,
            zeroedBytes,
            reads,
            flushes,
            waited,
            checks,
            batches,
            failedBatches,
            collections,
            logSegments,
            modeChanges,
            directWrites,
            failures)
        .allMatch(count -> count > 0);
  }

  @Override
  public synchronized String toString() {
    return String.format(
        "%d MiB written, %d MiB zeroed, %d writes waited, %d direct, %d writes and flushes failed;"
            + " %d reads, %d flushes, %d changes of mode, %d openings, %d times checked by fsck;"
            + " %d batches written back, %d failed, %d collections, %d changes of the log's segment",
        writtenBytes >> 20,
        zeroedBytes >> 20,
        waited,
        directWrites,
        failures,
        reads,
        flushes,
        modeChanges,
        openings,
        checks,
        batches,
        failedBatches,
        collections,
        logSegments);
  }
}
