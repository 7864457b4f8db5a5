package jpcache.process;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import jpcache.nbd.NbdClient;
import jpcache.nbd.NbdClient.ExportInfo;
import jpcache.process.LoadConnection.Count;
import jpcache.process.LoadConnection.Part;
import jpcache.process.LoadConnection.Region;
import jpcache.process.LoadConnection.Role;

/**
 * Several {@link LoadConnection}s at once, each on its thread: writers, each with a region of its
 * own and one for all, and a reader of the whole device.
 */
final class Load {
  private static final int WRITERS = 4;

  private static final int CAN_MULTI_CONN = 1 << 8;
  private static final long PATIENCE_SECONDS = 60;

  private final List<Future<Count>> counts = new ArrayList<>();

  private Load() {}

  /**
   * Connects to a unix socket and begins.
   *
   * @throws AssertionError if the server does not promise that a flush covers all connections
   */
  static Load start(
      Path socket,
      AcknowledgementModel model,
      Stamp stamp,
      SplittableRandom random,
      Progress progress)
      throws IOException {
    Load load = new Load();
    // A region for each writer and as large a one for all, aligned to any minimum block.
    int largest = LoadConnection.MAX_SECTORS;
    int sectors = model.sectors() / (WRITERS + 1) / largest * largest;
    Region shared = new Region(WRITERS * sectors, sectors);
    Region all = new Region(0, model.sectors());
    ExecutorService threads = Executors.newFixedThreadPool(WRITERS + 1);
    try {
      for (int i = 0; i <= WRITERS; i++) {
        NbdClient client = NbdClient.unix(socket);
        ExportInfo info = client.go("");
        if ((info.flags() & CAN_MULTI_CONN) == 0) {
          throw new AssertionError("the export lacks NBD_FLAG_CAN_MULTI_CONN");
        }
        int unit = Math.max(1, info.minimumBlock() / Stamp.SECTOR_BYTES);
        Part part =
            i < WRITERS
                ? new Part(i, Role.WRITES, new Region(i * sectors, sectors), shared, unit)
                : new Part(i, Role.READS, all, all, unit);
        load.counts.add(
            threads.submit(
                new LoadConnection(part, client, model, stamp, random.split(), progress)));
      }
      return load;
    } finally {
      threads.shutdown(); // each thread ends with its connection, which ends with the server
    }
  }

  /** Waits until every connection has ended. */
  Count finish() {
    Count sum = new Count(0, 0, 0, 0);
    try {
      for (Future<Count> count : counts) {
        sum = sum.plus(count.get(PATIENCE_SECONDS, TimeUnit.SECONDS));
      }
      return sum;
    } catch (InterruptedException | ExecutionException | TimeoutException e) {
      throw new AssertionError("a connection does not end", e);
    }
  }
}
