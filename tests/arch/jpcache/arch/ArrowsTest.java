package jpcache.arch;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.lang.ArchRule;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** The arrows of docs/architecture.md: which package may use which. */
class ArrowsTest {
  private static final String ROOT = "jpcache.";

  /** What each package of ours may use of ours; every package may use itself and the JDK. */
  private static final Map<String, Set<String>> MAY_USE =
      Map.ofEntries(
          Map.entry("base", Set.of()),
          Map.entry("pmem", Set.of("base")),
          Map.entry("media", Set.of("base", "pmem")),
          Map.entry("extent", Set.of("base")),
          Map.entry("backing", Set.of("base")),
          Map.entry("block", Set.of("base")),
          Map.entry("metrics", Set.of("base")),
          Map.entry("control", Set.of("base")),
          Map.entry("tls", Set.of("base")),
          Map.entry(
              "cache", Set.of("base", "pmem", "media", "extent", "backing", "block", "metrics")),
          Map.entry("nbd", Set.of("base", "block", "metrics", "tls")),
          Map.entry("tools", Set.of("base", "media", "extent", "pmem", "backing")),
          Map.entry(
              "cli",
              Set.of(
                  "base", "pmem", "media", "extent", "backing", "block", "metrics", "cache", "nbd",
                  "tools", "control", "tls")));

  /** Libraries, and the one package that may use each; jspecify's annotations are everybody's. */
  private static final Map<String, String> LIBRARIES =
      Map.of(
          "picocli..", "cli",
          "org.tomlj..", "cli",
          "org.bouncycastle..", "tls",
          "com.sun.jna..", "pmem",
          "org.HdrHistogram..", "metrics",
          "com.sun.net.httpserver..", "metrics");

  private static final JavaClasses OURS =
      new ClassFileImporter().importPath(Path.of("target/classes"));

  private static String all(String name) {
    return ROOT + name + "..";
  }

  @TestFactory
  Stream<DynamicTest> aPackageUsesOnlyWhatItMay() {
    return MAY_USE.entrySet().stream()
        .map(
            arrows -> DynamicTest.dynamicTest(arrows.getKey(), () -> usesOnly(arrows).check(OURS)));
  }

  private static ArchRule usesOnly(Map.Entry<String, Set<String>> arrows) {
    String user = arrows.getKey();
    String[] forbidden =
        MAY_USE.keySet().stream()
            .filter(other -> !other.equals(user) && !arrows.getValue().contains(other))
            .map(ArrowsTest::all)
            .toArray(String[]::new);
    return noClasses()
        .that(resideInAPackage(all(user)))
        .should()
        .dependOnClassesThat(resideInAnyPackage(forbidden))
        .allowEmptyShould(true);
  }

  @TestFactory
  Stream<DynamicTest> aLibraryHasOnePackageThatUsesIt() {
    return LIBRARIES.entrySet().stream()
        .map(library ->
            DynamicTest.dynamicTest(
                library.getKey(),
                () ->
                    noClasses()
                        .that()
                        .resideOutsideOfPackage(all(library.getValue()))
                        .should()
                        .dependOnClassesThat(resideInAPackage(library.getKey()))
                        .check(OURS)));
  }

  @Test
  void nothingElseIsUsedThanTheJdkAndTheKnownLibraries() {
    classes()
        .should()
        .onlyDependOnClassesThat(
            resideInAnyPackage(
                Stream.concat(
                        Stream.of(
                            "java..",
                            "javax..",
                            "jdk..",
                            "jpcache..",
                            "org.jspecify.annotations.."),
                        LIBRARIES.keySet().stream())
                    .toArray(String[]::new)))
        .check(OURS);
  }

  @Test
  void packagesHaveNoCycles() {
    slices().matching(ROOT + "(**)").should().beFreeOfCycles().check(OURS);
  }

  @Test
  void everyPackageStandsInTheTable() {
    Set<String> known = new TreeSet<>(MAY_USE.keySet());
    Set<String> found =
        OURS.stream()
            .map(JavaClass::getPackageName)
            .map(name -> name.substring(ROOT.length()).replaceFirst("\\..*", ""))
            .collect(Collectors.toCollection(TreeSet::new));
    assertFalse(found.isEmpty());
    found.removeAll(known);
    assertEquals(Set.of(), found, "packages without arrows");
  }

  /** A rule that matched no class would always hold; these arrows are known to be there. */
  @Test
  void theImportSeesTheArrowsThatAreAllowed() {
    assertTrue(
        OURS.get("jpcache.cli.SizeConverter").getDirectDependenciesFromSelf().stream()
            .anyMatch(used -> used.getTargetClass().getName().equals("jpcache.base.Sizes")));
  }
}
