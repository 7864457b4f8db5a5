package jpcache.metrics;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import jpcache.base.UserException;

/**
 * Gives a registry to whoever asks over HTTP: {@code GET /metrics}.
 *
 * <p>Two daemon threads of its own answer; a client that is slow to ask or to read is cut off after
 * some seconds, so that it can keep others waiting but not for good.
 */
public final class MetricsServer implements AutoCloseable {
  private static final Pattern ADDRESS =
      Pattern.compile("(?:(\\[[^\\]]+\\]|[^:\\[\\]]*):)?(\\d{1,5})");
  private static final int MAX_PORT = 65535;
  private static final int BACKLOG = 16;
  private static final int THREADS = 2;
  private static final String PATIENCE_SECONDS = "10";

  private final HttpServer http;
  private final ExecutorService threads;

  private MetricsServer(HttpServer http, ExecutorService threads) {
    this.http = http;
    this.threads = threads;
  }

  /**
   * Begins to answer.
   *
   * @param address HOST:PORT, or PORT alone on the loopback interface; port 0 is any that is free
   * @param insecure whether other machines may reach it
   * @throws UserException if it cannot listen there, or must not
   */
  public static MetricsServer start(String address, boolean insecure, Registry registry) {
    InetSocketAddress where = parse(address);
    if (where.isUnresolved()) {
      throw cannot(address, "the host is not known");
    }
    if (!where.getAddress().isLoopbackAddress() && !insecure) {
      throw cannot(
          address,
          "other machines reach this address and nothing is encrypted; allow it with --insecure");
    }
    // The JDK's server has no other way to be told, and by itself waits for ever.
    System.setProperty("sun.net.httpserver.maxReqTime", PATIENCE_SECONDS);
    System.setProperty("sun.net.httpserver.maxRspTime", PATIENCE_SECONDS);
    try {
      HttpServer http = HttpServer.create(where, BACKLOG);
      ExecutorService threads =
          Executors.newFixedThreadPool(
              THREADS, Thread.ofPlatform().daemon().name("metrics-", 1).factory());
      http.setExecutor(threads);
      http.createContext("/", exchange -> answer(exchange, registry));
      http.start();
      return new MetricsServer(http, threads);
    } catch (IOException e) {
      throw cannot(address, String.valueOf(e.getMessage()));
    }
  }

  /**
   * The same address, if it is written as one.
   *
   * @throws UserException if it is neither HOST:PORT nor PORT
   */
  public static String requireAddress(String address) {
    var _ = parts(address);
    return address;
  }

  private static Matcher parts(String address) {
    Matcher m = ADDRESS.matcher(address);
    if (!m.matches()) {
      throw new UserException("metrics address " + address + ": write HOST:PORT, or PORT alone");
    }
    if (Integer.parseInt(m.group(2)) > MAX_PORT) {
      throw new UserException(
          "metrics address " + address + ": port " + m.group(2) + " is not in 0.." + MAX_PORT);
    }
    return m;
  }

  private static InetSocketAddress parse(String address) {
    Matcher m = parts(address);
    int port = Integer.parseInt(m.group(2));
    String host = m.group(1);
    return new InetSocketAddress(host == null || host.isEmpty() ? "127.0.0.1" : host, port);
  }

  private static UserException cannot(String address, String why) {
    return new UserException("cannot serve metrics on " + address + ": " + why);
  }

  private static void answer(HttpExchange exchange, Registry registry) throws IOException {
    try (exchange) {
      boolean get = exchange.getRequestMethod().equals("GET");
      boolean head = exchange.getRequestMethod().equals("HEAD");
      if (!exchange.getRequestURI().getPath().equals("/metrics")) {
        exchange.sendResponseHeaders(404, -1);
      } else if (!get && !head) {
        exchange.getResponseHeaders().set("Allow", "GET, HEAD");
        exchange.sendResponseHeaders(405, -1);
      } else {
        byte[] text = PrometheusText.of(registry).getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", PrometheusText.CONTENT_TYPE);
        exchange.sendResponseHeaders(200, head ? -1 : text.length);
        if (get) {
          exchange.getResponseBody().write(text);
        }
      }
    }
  }

  /** Where it listens, with the port that the system chose. */
  public InetSocketAddress address() {
    return http.getAddress();
  }

  @Override
  public void close() {
    http.stop(0);
    threads.shutdownNow();
  }
}
