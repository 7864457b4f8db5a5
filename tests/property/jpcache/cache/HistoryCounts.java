package jpcache.cache;

/** What histories have been through: a test that claims much should have seen much. */
final class HistoryCounts {
  long writtenBytes;
  long waited;
  long openings;
  long batches;
  long failedBatches;
  long collections;
  long logSegments;
  long modeChanges;
  long directWrites;
  long failedWrites;

  void add(HistoryCounts other) {
    writtenBytes += other.writtenBytes;
    waited += other.waited;
    openings += other.openings;
    batches += other.batches;
    failedBatches += other.failedBatches;
    collections += other.collections;
    logSegments += other.logSegments;
    modeChanges += other.modeChanges;
    directWrites += other.directWrites;
    failedWrites += other.failedWrites;
  }

  @Override
  public String toString() {
    return String.format(
        "%d MiB written, %d writes waited, %d openings, %d batches written back, %d failed,"
            + " %d collections, %d changes of the log's segment, %d changes of mode,"
            + " %d direct writes, %d failed",
        writtenBytes >> 20,
        waited,
        openings,
        batches,
        failedBatches,
        collections,
        logSegments,
        modeChanges,
        directWrites,
        failedWrites);
  }
}
