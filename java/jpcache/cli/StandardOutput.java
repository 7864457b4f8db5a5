package jpcache.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * The process's standard output, which knows why it could not be written. {@link System#out} keeps
 * its failures to itself, and a writer around that never learns of them.
 */
final class StandardOutput extends PrintWriter {
  private static final int TYPE_MASK = 0170000;
  private static final int PIPE = 0010000;
  private static final int SOCKET = 0140000;

  private final Descriptor descriptor;

  StandardOutput() {
    this(new Descriptor());
  }

  private StandardOutput(Descriptor descriptor) {
    super(new OutputStreamWriter(descriptor, System.out.charset()), true);
    this.descriptor = descriptor;
  }

  /** What is the matter with an output that could not be written; null if that is no failure. */
  static @Nullable String failure(PrintWriter out) {
    if (!out.checkError()) {
      return null;
    }
    IOException failure = out instanceof StandardOutput own ? own.descriptor.failure : null;
    if (failure == null) {
      return "stdout: could not be written";
    }
    return readerIsGone() ? null : "stdout: could not be written: " + failure.getMessage();
  }

  /** Whoever reads from a pipe, such as head, may have enough. A pipe cannot fail otherwise. */
  private static boolean readerIsGone() {
    try {
      Object mode = Files.getAttribute(Path.of("/proc/self/fd/1"), "unix:mode");
      int type = mode instanceof Integer bits ? bits & TYPE_MASK : 0;
      return type == PIPE || type == SOCKET;
    } catch (IOException e) {
      return false;
    }
  }

  private static final class Descriptor extends OutputStream {
    private final FileOutputStream out = new FileOutputStream(FileDescriptor.out);
    private @Nullable IOException failure;

    @Override
    public void write(int oneByte) throws IOException {
      write(new byte[] {(byte) oneByte}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
      if (failure != null) {
        throw failure; // what followed would have a gap before it
      }
      try {
        out.write(bytes, offset, length);
      } catch (IOException e) {
        failure = e;
        throw e;
      }
    }
  }
}
