package jpcache.process;

import java.io.IOException;
import java.nio.file.Path;
import java.security.MessageDigest;
import jpcache.Sha256;
import jpcache.nbd.NbdClient;

/** Reads what a server exports on a unix socket. */
final class Export {
  private static final int CHUNK_BYTES = 1 << 20;

  private Export() {}

  /** Sees an export chunk by chunk, in order. */
  interface ChunkVisitor {
    void visit(long offsetBytes, byte[] chunk);
  }

  /** Reads the export once over a connection of its own; returns its SHA-256. */
  static String read(Path socket, ChunkVisitor visitor) throws IOException {
    MessageDigest digest = Sha256.digest();
    try (NbdClient client = NbdClient.unix(socket)) {
      long sizeBytes = client.go("").sizeBytes();
      for (long offset = 0; offset < sizeBytes; offset += CHUNK_BYTES) {
        byte[] chunk = client.read(offset, (int) Math.min(CHUNK_BYTES, sizeBytes - offset));
        visitor.visit(offset, chunk);
        digest.update(chunk);
      }
      client.disconnect();
    }
    return Sha256.hex(digest);
  }

  static String sha256(Path socket) throws IOException {
    return read(socket, (_, _) -> {});
  }
}
