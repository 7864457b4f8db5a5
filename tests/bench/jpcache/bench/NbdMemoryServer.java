package jpcache.bench;

import java.util.List;
import jpcache.base.Sizes;
import jpcache.block.MemoryBlockDevice;
import jpcache.nbd.Export;
import jpcache.nbd.NbdServer;
import jpcache.nbd.NbdServerOptions;
import jpcache.nbd.NbdUri;

/**
 * Serves memory over NBD, to measure the NBD loop alone: {@code NbdMemoryServer SIZE POLL_MICROS
 * URI...}. It runs until it is killed.
 */
public final class NbdMemoryServer {
  private NbdMemoryServer() {}

  @SuppressWarnings("SystemOut") // a program
  public static void main(String[] args) throws InterruptedException {
    long size = Sizes.parse(args[0]);
    int pollMicros = Integer.parseInt(args[1]);
    List<NbdUri> addresses =
        List.of(args).subList(2, args.length).stream().map(NbdUri::parse).toList();
    MemoryBlockDevice device = new MemoryBlockDevice(size).withoutLock();
    NbdServer server =
        NbdServer.start(
            NbdServerOptions.defaults().withListen(addresses).withPollMicros(pollMicros),
            List.of(Export.of("memory", device)));
    Runtime.getRuntime().addShutdownHook(new Thread(server::stop));
    System.out.println("READY " + server.addresses());
    Thread.currentThread().join();
  }
}
