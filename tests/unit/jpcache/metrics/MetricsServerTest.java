package jpcache.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import jpcache.base.UserException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MetricsServerTest {
  private final Registry registry = new Registry().gauge("x", "", "X.", () -> 7);
  private final MetricsServer server = MetricsServer.start("0", false, registry);

  @AfterEach
  void stop() {
    server.close();
  }

  private HttpResponse<String> ask(String method, String path) throws Exception {
    URI uri = URI.create("http://127.0.0.1:" + server.address().getPort() + path);
    try (HttpClient client = HttpClient.newHttpClient()) {
      return client.send(
          HttpRequest.newBuilder(uri).method(method, HttpRequest.BodyPublishers.noBody()).build(),
          HttpResponse.BodyHandlers.ofString());
    }
  }

  @Test
  void metricsAreThereToBeScraped() throws Exception {
    HttpResponse<String> answer = ask("GET", "/metrics");
    assertEquals(200, answer.statusCode());
    assertEquals(
        PrometheusText.CONTENT_TYPE, answer.headers().firstValue("Content-Type").orElse(""));
    assertTrue(answer.body().endsWith("x 7\n"), answer.body());
  }

  @Test
  void nothingElseIsThereOrCanBeDone() throws Exception {
    assertEquals(404, ask("GET", "/").statusCode());
    assertEquals(404, ask("GET", "/metrics/../etc/passwd").statusCode());
    assertEquals(405, ask("POST", "/metrics").statusCode());
    HttpResponse<String> head = ask("HEAD", "/metrics");
    assertEquals(200, head.statusCode());
    assertEquals("", head.body());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "x", "127.0.0.1", "127.0.0.1:70000", "::1:99", "127.0.0.1:1:2"})
  void anAddressThatIsNoneIsRefusedByName(String address) {
    UserException e =
        assertThrows(
            UserException.class, () -> MetricsServer.start(address, true, registry).close());
    assertTrue(String.valueOf(e.getMessage()).contains(address), e.getMessage());
  }

  @Test
  void otherMachinesReachItOnlyWhenThatIsAllowed() {
    UserException e =
        assertThrows(
            UserException.class, () -> MetricsServer.start("0.0.0.0:0", false, registry).close());
    assertTrue(String.valueOf(e.getMessage()).contains("--insecure"), e.getMessage());
    MetricsServer.start("0.0.0.0:0", true, registry).close();
  }

  @Test
  void anAddressInUseIsRefused() {
    String address = "127.0.0.1:" + server.address().getPort();
    UserException e =
        assertThrows(
            UserException.class, () -> MetricsServer.start(address, false, registry).close());
    assertTrue(String.valueOf(e.getMessage()).contains(address), e.getMessage());
  }
}
