package jpcache.cli;

import jpcache.media.CacheInfo;

/** From which share of used segments on garbage is collected. */
final class GcPercent extends WholeNumber {
  GcPercent() {
    super(0, CacheInfo.GC_PERCENT_MAX);
  }
}
