package jpcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.Writer;
import java.nio.file.Path;
import jpcache.media.MediaBuilder;
import jpcache.support.ShmDirectory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class DumpCommandTest {
  @TempDir(factory = ShmDirectory.class)
  Path directory;

  @Test
  void anOutputThatCannotBeWrittenIsAFailure() {
    Path cache = directory.resolve("cache");
    MediaBuilder.create(cache, MediaBuilder.SMALL_BYTES).close();
    StringWriter err = new StringWriter();
    CommandLine line = Main.commandLine();
    line.setOut(new PrintWriter(new FullDisk(), true)).setErr(new PrintWriter(err, true));
    assertEquals(1, Main.run(line, "dump", "--cache", cache.toString()));
    assertEquals("jpcache: stdout: could not be written\n", err.toString());
  }

  private static final class FullDisk extends Writer {
    @Override
    public void write(char[] chars, int offset, int length) throws IOException {
      throw new IOException("No space left on device");
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
  }
}
