package jpcache.nbd;

/** Whether clients of a server, or of one of its addresses, speak TLS. */
public enum TlsPolicy {
  /** There is no TLS. */
  OFF,

  /** Clients may begin TLS. */
  ON,

  /** Clients must begin TLS before anything else. */
  REQUIRED
}
