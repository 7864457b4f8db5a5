package jpcache.tls;

/** What a server that has certificates wants of clients that come without a pre-shared key. */
public enum ClientCertificates {
  /** None is asked for. */
  IGNORED,

  /** One is asked for; a client may have none, but a wrong one is refused. */
  OPTIONAL,

  /** Only a client whose certificate the authority has signed is served. */
  REQUIRED
}
