import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassFile.ClassHierarchyResolverOption;
import java.lang.classfile.ClassFile.StackMapsOption;
import java.lang.classfile.ClassFileVersion;
import java.lang.classfile.ClassHierarchyResolver;
import java.lang.classfile.ClassTransform;
import java.lang.classfile.CodeTransform;
import java.lang.constant.ClassDesc;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.jar.JarOutputStream;

/**
 * Copies a jar and raises the format of its classes to Java 8's: the JVM's AOT cache leaves out
 * older classes, and checks them by a slower way whenever it loads one.
 *
 * <pre>java ci/RaiseClassFiles.java FROM TO</pre>
 *
 * <p>The code stays as it is and gets the stack maps that the newer format asks for. Fails if a
 * class then does not pass verification. The copy's comment says what was done to it.
 */
final class RaiseClassFiles {
  private static final ClassTransform VERSION =
      (to, element) -> {
        if (element instanceof ClassFileVersion) {
          to.withVersion(ClassFile.JAVA_8_VERSION, 0);
        } else {
          to.with(element);
        }
      };

  /** Code that is not taken as it is gets new stack maps. */
  private static final ClassTransform RAISE =
      VERSION.andThen(ClassTransform.transformingMethodBodies(CodeTransform.ACCEPT_ALL));

  private final JarFile from;
  private final ClassFile format;

  private RaiseClassFiles(JarFile from) {
    this.from = from;
    format =
        ClassFile.of(
            StackMapsOption.GENERATE_STACK_MAPS,
            ClassHierarchyResolverOption.of(ClassHierarchyResolver.ofResourceParsing(this::find)));
  }

  public static void main(String[] args) throws IOException {
    try (JarFile from = new JarFile(args[0]);
        JarOutputStream to = new JarOutputStream(Files.newOutputStream(Path.of(args[1])))) {
      to.setComment("Changed by jpcache's build: class files raised to Java 8's format");
      RaiseClassFiles raise = new RaiseClassFiles(from);
      for (JarEntry entry : Collections.list(from.entries())) {
        JarEntry copy = new JarEntry(entry.getName());
        copy.setTime(entry.getTime());
        to.putNextEntry(copy);
        to.write(raise.raised(entry));
        to.closeEntry();
      }
    }
  }

  private byte[] raised(JarEntry entry) throws IOException {
    byte[] bytes = from.getInputStream(entry).readAllBytes();
    if (!entry.getName().endsWith(".class")) {
      return bytes;
    }
    var old = format.parse(bytes);
    if (old.majorVersion() >= ClassFile.JAVA_8_VERSION) {
      return bytes;
    }
    byte[] raised = format.transformClass(old, RAISE);
    for (VerifyError error : format.verify(raised)) {
      throw new IOException(entry.getName() + ": " + error.getMessage());
    }
    return raised;
  }

  /** A class that another one names: the jar's own or the JDK's; null if it is neither. */
  private InputStream find(ClassDesc name) {
    String descriptor = name.descriptorString();
    String path = descriptor.substring(1, descriptor.length() - 1) + ".class";
    JarEntry own = from.getJarEntry(path);
    try {
      return own == null ? ClassLoader.getSystemResourceAsStream(path) : from.getInputStream(own);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
