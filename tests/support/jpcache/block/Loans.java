package jpcache.block;

import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import jpcache.base.Posix;

/** What a {@link MemoryBlockDevice} has lent: memory that is unmapped when its loan ends. */
final class Loans implements Loan.Lender, AutoCloseable {
  private static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);
  private static final int READABLE = Posix.PROT_READ | Posix.PROT_WRITE;
  private static final int UNREADABLE = 0;

  private record Piece(long address, long bytes, boolean readable) {}

  private final Map<Integer, Piece> open = new HashMap<>();
  private int begun;

  /** Lends memory; its address, for what is to be in it. */
  synchronized long begin(int bytes, Loan loan) {
    return begin(bytes, READABLE, loan);
  }

  /** Lends memory that no longer can be read. */
  synchronized void beginUnreadable(int bytes, Loan loan) {
    begin(bytes, UNREADABLE, loan);
  }

  private long begin(int bytes, int protection, Loan loan) {
    int flags = Posix.MAP_PRIVATE | Posix.MAP_ANONYMOUS;
    long address = Posix.mmap(bytes, protection, flags, -1, 0);
    if (address < 0) {
      throw new OutOfMemoryError("mmap: " + address);
    }
    begun++;
    open.put(begun, new Piece(address, bytes, protection == READABLE));
    loan.begin(this, address, bytes, begun);
    return address;
  }

  synchronized int begun() {
    return begun;
  }

  synchronized int open() {
    return open.size();
  }

  @Override
  public synchronized boolean copy(long fromAddress, long toAddress, int lengthBytes) {
    for (Piece piece : open.values()) {
      if (piece.address == fromAddress && piece.readable) {
        MemorySegment.copy(ALL, fromAddress, ALL, toAddress, lengthBytes);
        return true;
      }
    }
    return false;
  }

  @Override
  public synchronized void takeBack(int token) {
    Piece piece = open.remove(token);
    if (piece == null) {
      throw new IllegalStateException("loan " + token + " ends twice");
    }
    Posix.munmap(piece.address, piece.bytes);
  }

  @Override
  public synchronized void close() {
    open.values().forEach(piece -> Posix.munmap(piece.address, piece.bytes));
    open.clear();
  }
}
