package jpcache.nbd;

/**
 * What client and server have agreed upon when transmission begins.
 *
 * @param contexts the metadata contexts that BLOCK_STATUS answers for, by {@link MetaContext#bit}
 */
record Session(Export export, ReplyFormat format, int contexts) {}
