package jpcache.nbd;

/**
 * What client and server have agreed upon when transmission begins.
 *
 * @param contexts the metadata contexts that BLOCK_STATUS answers for, by {@link MetaContext#bit}
 * @param blocksTold whether the client knows the export's block sizes; one that used EXPORT_NAME
 *     cannot, and the protocol wants it served as if the smallest block were a byte. Its reads are.
 */
record Session(Export export, ReplyFormat format, int contexts, boolean blocksTold) {
  /** With a client that knows the block sizes. */
  Session(Export export, ReplyFormat format, int contexts) {
    this(export, format, contexts, true);
  }
}
