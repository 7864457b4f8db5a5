package jpcache.media;

import jpcache.base.UserException;

/**
 * Media that must not be believed: names the structure and field, its value, its place on the
 * device, and what is wrong with it.
 */
public final class MediaException extends UserException {
  /** The ways of being broken. */
  public enum Kind {
    /** No cache has been made on this device. */
    NOT_FORMATTED,
    /** A cache was begun, but its making was cut off. */
    NOT_INITIALISED,
    /** The device is smaller than what it says it holds, or than any cache. */
    TOO_SMALL,
    /** The superblock's magic is neither ours nor zero. */
    BAD_MAGIC,
    /** A checksum does not fit. */
    BAD_CHECKSUM,
    /** Written by a big-endian kernel. */
    BIG_ENDIAN,
    /** None of a structure's replicas is valid. */
    NO_VALID_REPLICA,
    /** A number is outside what it may be. */
    OUT_OF_RANGE,
    /** A list or chain comes back to where it has been. */
    CYCLE,
    /** A list ends before its time. */
    ENDS_EARLY
  }

  private final Kind kind;
  private final String field;
  private final long offsetBytes;
  private final String value;
  private final String why;

  private MediaException(
      Kind kind, String field, long offsetBytes, String value, String why, String message) {
    super(message);
    this.kind = kind;
    this.field = field;
    this.offsetBytes = offsetBytes;
    this.value = value;
    this.why = why;
  }

  /**
   * A field whose value cannot be believed.
   *
   * @param field the field as format descriptions call it: {@code cache_info.n_segs}
   * @param offsetBytes where on the device its structure is
   * @param value the value, as text
   * @param why what is wrong with it
   */
  static MediaException of(Kind kind, String field, long offsetBytes, String value, String why) {
    return new MediaException(
        kind, field, offsetBytes, value, why, plain(field, offsetBytes, value, why));
  }

  /**
   * A number outside what it may be.
   *
   * @param value the number, unsigned: a u32 must not be sign-extended
   */
  static MediaException outOfRange(String field, long offsetBytes, long value, String why) {
    return of(Kind.OUT_OF_RANGE, field, offsetBytes, Long.toUnsignedString(value), why);
  }

  /** The same, said of a device by the name that users call it. */
  MediaException on(String device) {
    return new MediaException(kind, field, offsetBytes, value, why, device + ": " + getMessage());
  }

  /** The same, with what can be done about it. */
  MediaException advising(String advice) {
    return new MediaException(kind, field, offsetBytes, value, why, getMessage() + "; " + advice);
  }

  /** The same without the device's name, to be part of another message. */
  String plain() {
    return plain(field, offsetBytes, value, why);
  }

  private static String plain(String field, long offsetBytes, String value, String why) {
    return field + " at byte " + offsetBytes + ": " + value + ": " + why;
  }

  public Kind kind() {
    return kind;
  }

  /** The field that is at fault, such as {@code key.len}. */
  public String field() {
    return field;
  }

  /** Where on the device the structure with that field is. */
  public long offsetBytes() {
    return offsetBytes;
  }

  /** What the field says. */
  public String value() {
    return value;
  }

  /** What is wrong with that. */
  public String why() {
    return why;
  }
}
