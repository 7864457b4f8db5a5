package jpcache.bench;

import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import jpcache.extent.Extent;
import jpcache.extent.ExtentMap;
import jpcache.extent.Subtree;

/**
 * What the extents of a cache cost in the heap: {@code HeapBench EXTENTS SECONDS}. Fills a map with
 * extents of 4 KiB in random order, then overwrites at random for so many seconds, as a client
 * would, and prints bytes of heap for an extent after both, overwrites a second, and how often the
 * collector ran.
 */
public final class HeapBench {
  private static final int BLOCK = 4096;

  private HeapBench() {}

  @SuppressWarnings("SystemOut") // a program
  public static void main(String[] args) {
    int extents = Integer.parseInt(args[0]);
    long seconds = Long.parseLong(args[1]);
    long before = usedHeapBytes();
    ExtentMap map = new ExtentMap((long) extents * BLOCK);
    SplittableRandom random = new SplittableRandom(5);
    // A walk over all blocks in an order that looks random: a step without a common divisor.
    long step = 0x9E3779B1L;
    while (gcd(step, extents) != 1) {
      step += 2;
    }
    long block = 0;
    for (int i = 0; i < extents; i++) {
      put(map, block, i);
      block = (block + step) % extents;
    }
    System.out.printf("filled     %.1f bytes of heap an extent%n", perExtent(before, extents));

    long fullBefore = collections(true);
    long allBefore = collections(false);
    long overwrites = 0;
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    while (System.nanoTime() < end) {
      for (int i = 0; i < 10_000; i++) {
        put(map, random.nextInt(extents), random.nextInt(extents));
      }
      overwrites += 10_000;
    }
    System.out.printf(
        "overwrites %.2f million a second; %d collections, %d of them full%n",
        overwrites / 1e6 / seconds, collections(false) - allBefore, collections(true) - fullBefore);
    System.out.printf("then       %.1f bytes of heap an extent%n", perExtent(before, extents));
    System.out.println(map.find(0) != null); // it has been reachable all the time
  }

  private static void put(ExtentMap map, long block, int number) {
    Subtree subtree = map.subtree(block * BLOCK);
    synchronized (subtree) {
      subtree.insert(Extent.ofBytes(block * BLOCK, BLOCK, number >>> 12, (number & 4094) * BLOCK));
    }
  }

  private static long gcd(long a, long b) {
    return b == 0 ? a : gcd(b, a % b);
  }

  private static double perExtent(long before, int extents) {
    return (double) (usedHeapBytes() - before) / extents;
  }

  private static long usedHeapBytes() {
    System.gc();
    return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
  }

  private static long collections(boolean full) {
    return ManagementFactory.getGarbageCollectorMXBeans().stream()
        .filter(bean -> !full || bean.getName().contains("Old"))
        .mapToLong(GarbageCollectorMXBean::getCollectionCount)
        .sum();
  }
}
