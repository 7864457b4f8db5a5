package jpcache.support;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.StringReader;
import java.util.ArrayList;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import jpcache.support.Plot.Axis;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;

class PlotTest {
  private static final Axis COUNT = new Axis("extents", true);
  private static final Axis NANOS = new Axis("ns & more", false);

  private static Document parse(Plot plot) throws Exception {
    return DocumentBuilderFactory.newInstance()
        .newDocumentBuilder()
        .parse(new InputSource(new StringReader(plot.svg())));
  }

  private static List<Element> all(Document svg, String name) {
    NodeList nodes = svg.getElementsByTagName(name);
    List<Element> elements = new ArrayList<>();
    for (int i = 0; i < nodes.getLength(); i++) {
      elements.add((Element) nodes.item(i));
    }
    return elements;
  }

  private static List<String> texts(Document svg) {
    return all(svg, "text").stream().map(Element::getTextContent).toList();
  }

  private static double number(Element element, String attribute) {
    return Double.parseDouble(element.getAttribute(attribute));
  }

  @Test
  void equalRatiosAreEqualDistancesOnALogarithmicAxisAndEqualDifferencesOnALinearOne()
      throws Exception {
    Plot plot = new Plot("cost", COUNT, NANOS);
    plot.add("write", List.of(new double[] {1e5, 100}, new double[] {1e6, 200}))
        .add("read", List.of(new double[] {1e7, 300}, new double[] {1e8, 400}));
    List<Element> points = all(parse(plot), "circle");
    for (int i = 1; i < 4; i++) {
      double right = number(points.get(i), "cx") - number(points.get(i - 1), "cx");
      double up = number(points.get(i - 1), "cy") - number(points.get(i), "cy");
      assertEquals((616 - 72) / 3.0, right, 0.2);
      assertEquals((344 - 72) / 4.0, up, 0.2);
    }
  }

  @Test
  void isXmlWhoseAxesAndLinesAreNamed() throws Exception {
    Plot plot = new Plot("a < b", COUNT, NANOS).add("one & two", List.of(new double[] {1, 3}));
    List<String> texts = texts(parse(plot));
    assertTrue(
        texts.containsAll(List.of("a < b", "extents", "ns & more", "one & two")), "" + texts);
  }

  @Test
  void ticksAreRoundNumbersThatEncloseThePoints() throws Exception {
    Plot plot = new Plot("", COUNT, NANOS);
    plot.add("", List.of(new double[] {3e5, 730}, new double[] {1e8, 10}));
    List<String> texts = texts(parse(plot));
    assertTrue(texts.containsAll(List.of("100 k", "1 M", "10 M", "100 M")), "" + texts);
    assertTrue(texts.containsAll(List.of("0", "100", "800")), "" + texts);
  }

  @Test
  void whatALogarithmCannotShowIsRefused() {
    Plot plot = new Plot("", COUNT, NANOS).add("", List.of(new double[] {0, 1}));
    assertThrows(IllegalArgumentException.class, plot::svg);
  }
}
