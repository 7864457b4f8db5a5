package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.function.Function;
import jpcache.tools.JsonOutline;
import jpcache.tools.Outline;
import jpcache.tools.TextOutline;
import org.junit.jupiter.api.Test;

class StatusReportTest {
  private final StatusReport report =
      StatusReport.ofLines(
          List.of(
              "export 7",
              "listen nbd://h:1/ nbd+unix:///?socket=/s",
              "read_only off",
              "sb_flags 0x80000000",
              "gc_percent 70",
              "data_crc on"));

  private String shown(Function<PrintWriter, Outline> outline) {
    StringWriter text = new StringWriter();
    PrintWriter out = new PrintWriter(text);
    report.show(outline.apply(out));
    out.flush();
    return text.toString();
  }

  @Test
  void programsSeeTypes() {
    assertEquals(
        """
        {"export": "7",
        "listen": ["nbd://h:1/", "nbd+unix:///?socket=/s"],
        "read_only": false,
        "sb_flags": 2147483648,
        "gc_percent": 70,
        "data_crc": true}
        """,
        shown(JsonOutline::new));
  }

  @Test
  void aServerWithNoAddressOfItsOwnHasNone() {
    StringWriter text = new StringWriter();
    StatusReport.ofLines(List.of("listen ")).show(JsonOutline.line(new PrintWriter(text)));
    assertEquals("{\"listen\": []}\n", text.toString());
  }

  @Test
  void peopleSeeWhatTheServerSaid() {
    assertEquals(
        """
        status
          export: 7
          listen: nbd://h:1/ nbd+unix:///?socket=/s
          read_only: off
          sb_flags: 0x80000000
          gc_percent: 70
          data_crc: on
        """,
        shown(TextOutline::new));
  }
}
