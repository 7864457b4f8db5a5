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
import jpcache.process.LoadConnection.Region;

/** Several {@link LoadConnection}s at once, each on its thread, over a device cut into regions. */
final class Load {
  static final int CONNECTIONS = 4;

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
    // A region for each connection, and as large a one for all.
    int sectors = model.sectors() / (CONNECTIONS + 1);
    Region shared = new Region(CONNECTIONS * sectors, sectors);
    // Closed after the last task: its threads end with the connections, which end with the server.
    ExecutorService threads = Executors.newFixedThreadPool(CONNECTIONS);
    try {
      for (int i = 0; i < CONNECTIONS; i++) {
        NbdClient client = NbdClient.unix(socket);
        ExportInfo info = client.go("");
        if ((info.flags() & CAN_MULTI_CONN) == 0) {
          throw new AssertionError("the export lacks NBD_FLAG_CAN_MULTI_CONN");
        }
        load.counts.add(
            threads.submit(
                new LoadConnection(
                    i,
                    client,
                    model,
                    stamp,
                    random.split(),
                    new Region(i * sectors, sectors),
                    shared,
                    Math.max(1, info.minimumBlock() / Stamp.SECTOR_BYTES),
                    progress)));
      }
      return load;
    } finally {
      threads.shutdown();
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
