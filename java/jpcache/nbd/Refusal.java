package jpcache.nbd;

import java.nio.charset.StandardCharsets;
import jpcache.base.Errno;

/** Why a request is not handed to the device: the protocol's error, and a text for people. */
enum Refusal {
  UNKNOWN_COMMAND(Errno.EINVAL, "unknown command"),
  UNKNOWN_FLAG(Errno.EINVAL, "a command flag that does not belong to this command"),
  EMPTY(Errno.EINVAL, "the length is 0"),
  TOO_LONG(Errno.EINVAL, "longer than the largest block"),
  MISALIGNED(Errno.EINVAL, "offset and length must be multiples of the smallest block"),
  PAST_END(Errno.EINVAL, "reaches past the end of the export"),
  NO_SPACE(Errno.ENOSPC, "reaches past the end of the export"),
  READ_ONLY(Errno.EPERM, "the export is read-only"),
  FLUSH_OF_RANGE(Errno.EINVAL, "FLUSH takes no offset and no length"),
  PAYLOAD_MISSING(Errno.EINVAL, "WRITE with extended headers needs a payload"),
  PAYLOAD_UNEXPECTED(Errno.EINVAL, "this command takes no payload"),
  NO_CONTEXT(Errno.EINVAL, "no metadata context was negotiated"),
  BAD_FILTER(Errno.EINVAL, "the payload does not list negotiated metadata contexts"),
  STOPPING(Errno.ESHUTDOWN, "the server is stopping");

  private final int error;
  private final String text;

  Refusal(int error, String text) {
    this.error = error;
    this.text = text;
  }

  int error() {
    return error;
  }

  /** UTF-8. */
  byte[] text() {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
