package jpcache.tools.fsck;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.List;
import jpcache.Golden;
import jpcache.backing.BackingDevice;
import jpcache.backing.BackingDevices;
import jpcache.backing.BackingOptions;
import jpcache.pmem.ReadOnlyMapping;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class FsckGoldenTest {
  @TempDir(factory = ShmDirectory.class)
  Path shm;

  static List<Golden> images() {
    return Golden.all();
  }

  @ParameterizedTest
  @MethodSource("images")
  void theKernelsMediaHaveNoFindingsInAnyPhase(Golden image) {
    Golden.Copy copy = image.unpack(shm);
    try (ReadOnlyMapping cache = ReadOnlyMapping.open(copy.cache().toString());
        BackingDevice backing =
            BackingDevices.open(copy.backing().toString(), BackingOptions.forReading())) {
      FsckReport report = new Fsck("cache", cache.view(), backing, false, phase -> {}).run();
      assertEquals(
          List.of(), report.phases().stream().flatMap(phase -> phase.findings().stream()).toList());
      assertEquals(7, report.phases().size());
    }
  }
}
