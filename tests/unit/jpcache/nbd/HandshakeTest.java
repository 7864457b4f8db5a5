package jpcache.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import jpcache.Seeds;
import jpcache.block.MemoryBlockDevice;
import jpcache.nbd.NbdClient.OptionReply;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HandshakeTest {
  /** HAS_FLAGS, FLUSH, FUA, TRIM, WRITE_ZEROES, CAN_MULTI_CONN, CACHE, FAST_ZERO. */
  private static final int FLAGS = 1 | 4 | 8 | 32 | 64 | 256 | 1024 | 2048;

  private static final int READ_ONLY_FLAGS = 1 | 2 | 4 | 8 | 256 | 1024;

  private final MemoryBlockDevice first = new MemoryBlockDevice(1 << 20, 512, false);
  private final MemoryBlockDevice second = new MemoryBlockDevice(2 << 20, 4096, true);
  private final OptionReplies replies = new OptionReplies();
  private boolean stopping;
  private final Handshake handshake =
      new Handshake(
          Exports.of(
              List.of(
                  Export.of("first", first), new Export("zweite ü", "the other", second, true))),
          TlsPolicy.OFF,
          () -> stopping,
          replies);

  @AfterEach
  void close() {
    first.close();
    second.close();
  }

  private static byte[] flags(int flags) {
    return ByteBuffer.allocate(4).putInt(flags).array();
  }

  private static byte[] option(int option, byte... data) {
    return ByteBuffer.allocate(16 + data.length)
        .putLong(0x49484156454F5054L)
        .putInt(option)
        .putInt(data.length)
        .put(data)
        .array();
  }

  private static byte[] concat(byte[]... parts) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      out.writeBytes(part);
    }
    return out.toByteArray();
  }

  private Handshake.Phase greeted() {
    replies.take();
    return handshake.accept(ByteBuffer.wrap(flags(3)));
  }

  /** The replies to one option that is sent whole. */
  private List<OptionReply> ask(int option, byte... data) {
    handshake.accept(ByteBuffer.wrap(option(option, data)));
    return parse(option, replies.take());
  }

  private static List<OptionReply> parse(int option, byte[] bytes) {
    List<OptionReply> parsed = new ArrayList<>();
    ByteBuffer in = ByteBuffer.wrap(bytes);
    while (in.hasRemaining()) {
      assertEquals(0x3e889045565a9L, in.getLong());
      assertEquals(option, in.getInt());
      int type = in.getInt();
      byte[] data = new byte[in.getInt()];
      in.get(data);
      parsed.add(new OptionReply(type, data));
    }
    return parsed;
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  // ---- Greeting and flags -------------------------------------------------------------------

  @Test
  void greetsWithBothMagicsAndBothFlags() {
    assertArrayEquals(
        ByteBuffer.allocate(18).put(bytes("NBDMAGICIHAVEOPT")).putShort((short) 3).array(),
        replies.take());
  }

  @ParameterizedTest
  @ValueSource(ints = {4, 7, 0x10001, -1, Integer.MIN_VALUE})
  void closesOnClientFlagsThatItDoesNotKnow(int flags) {
    assertEquals(Handshake.Phase.CLOSED, handshake.accept(ByteBuffer.wrap(flags(flags))));
  }

  // ---- EXPORT_NAME --------------------------------------------------------------------------

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3})
  void beginsTransmissionByExportNameWithZeroesUnlessToldNotTo(int clientFlags) {
    replies.take();
    ByteBuffer in =
        ByteBuffer.wrap(concat(flags(clientFlags), option(1, bytes("zweite ü")), bytes("next")));
    assertEquals(Handshake.Phase.TRANSMISSION, handshake.accept(in));
    assertEquals(second, handshake.session().export().device());
    assertEquals(4, in.remaining(), "what follows belongs to transmission");
    byte[] answer = replies.take();
    assertEquals((clientFlags & 2) != 0 ? 10 : 134, answer.length);
    ByteBuffer reply = ByteBuffer.wrap(answer);
    assertEquals(2 << 20, reply.getLong());
    assertEquals(READ_ONLY_FLAGS, reply.getShort());
    while (reply.hasRemaining()) {
      assertEquals(0, reply.get());
    }
  }

  @Test
  void closesWhenExportNameNamesNothing() {
    greeted();
    handshake.accept(ByteBuffer.wrap(option(1, bytes("third"))));
    assertEquals(Handshake.Phase.CLOSED, handshake.accept(ByteBuffer.allocate(0)));
    assertEquals(0, replies.take().length);
  }

  @Test
  void closesWhenAClientWithoutFixedNewstyleSendsAnythingElse() {
    replies.take();
    handshake.accept(ByteBuffer.wrap(flags(0)));
    assertEquals(Handshake.Phase.CLOSED, handshake.accept(ByteBuffer.wrap(option(3))));
    assertEquals(0, replies.take().length);
  }

  // ---- GO and INFO --------------------------------------------------------------------------

  @ParameterizedTest
  @ValueSource(ints = {6, 7})
  void describesTheExportAndItsBlockSizes(int option) throws IOException {
    greeted();
    List<OptionReply> answers = ask(option, NbdClient.infoRequest("zweite ü"));
    NbdClient.ExportInfo info = NbdClient.exportInfo(answers);
    assertEquals(new NbdClient.ExportInfo(2 << 20, READ_ONLY_FLAGS, 4096, 4096, 32 << 20), info);
    assertEquals(
        option == 7 ? Handshake.Phase.TRANSMISSION : Handshake.Phase.OPTIONS,
        handshake.accept(ByteBuffer.allocate(0)));
  }

  @Test
  void takesTheEmptyNameForTheFirstExportAndTellsItsNameIfAsked() throws IOException {
    greeted();
    List<OptionReply> answers = ask(7, NbdClient.infoRequest("", 1, 2, 999));
    assertEquals(1 << 20, NbdClient.exportInfo(answers).sizeBytes());
    assertEquals(
        List.of("\0\1first"),
        answers.stream()
            .map(reply -> new String(reply.data(), StandardCharsets.UTF_8))
            .filter(text -> text.startsWith("\0\1"))
            .toList());
  }

  @Test
  void tellsTheDescriptionIfAsked() {
    greeted();
    assertTrue(
        ask(6, NbdClient.infoRequest("zweite ü", 2)).stream()
            .anyMatch(r -> new String(r.data(), StandardCharsets.UTF_8).equals("\0\2the other")));
  }

  @ParameterizedTest
  @ValueSource(ints = {6, 7})
  void answersUnknownForAnExportThatIsNotThere(int option) {
    greeted();
    assertEquals(
        NbdClient.REP_ERR_UNKNOWN, ask(option, NbdClient.infoRequest("third")).getLast().type());
    assertEquals(Handshake.Phase.OPTIONS, handshake.accept(ByteBuffer.allocate(0)));
  }

  @ParameterizedTest
  @ValueSource(ints = {6, 7})
  void answersInvalidForEachWayOfBeingMalformedAndGoesOn(int option) {
    greeted();
    byte[] good = NbdClient.infoRequest("first", 3);
    List<byte[]> malformed = new ArrayList<>();
    for (int length = 0; length < good.length; length++) {
      malformed.add(java.util.Arrays.copyOf(good, length)); // truncated at every byte
    }
    malformed.add(concat(good, new byte[1]));
    malformed.add(NbdClient.infoRequest("fi\0rst"));
    malformed.add(NbdClient.infoRequest("x".repeat(4097)));
    malformed.add(concat(new byte[] {0, 0, 0, 1, (byte) 0xFF}, new byte[2])); // not UTF-8
    malformed.add(concat(new byte[] {-1, -1, -1, -1}, new byte[20]));
    malformed.add(concat(new byte[] {0x7F, -1, -1, -1}, new byte[20]));
    for (byte[] data : malformed) {
      List<OptionReply> answers = ask(option, data);
      assertEquals(1, answers.size());
      assertEquals(NbdClient.REP_ERR_INVALID, answers.getFirst().type());
    }
    assertEquals(NbdClient.REP_ACK, ask(6, good).getLast().type());
  }

  // ---- Formats of replies -------------------------------------------------------------------

  private int flagsOf(String name) throws IOException {
    return NbdClient.exportInfo(ask(6, NbdClient.infoRequest(name))).flags();
  }

  @Test
  void structuredRepliesMakeDfPossibleAndAreAgreedOnce() throws IOException {
    greeted();
    assertEquals(FLAGS, flagsOf("first"));
    assertEquals(NbdClient.REP_ERR_INVALID, ask(8, (byte) 0).getLast().type());
    assertEquals(NbdClient.REP_ACK, ask(8).getLast().type());
    assertEquals(FLAGS | 128, flagsOf("first"));
    assertEquals(NbdClient.REP_ERR_INVALID, ask(8).getLast().type());
    ask(7, NbdClient.infoRequest("first"));
    assertEquals(ReplyFormat.STRUCTURED, handshake.session().format());
  }

  @Test
  void extendedHeadersTakePrecedence() throws IOException {
    greeted();
    assertEquals(NbdClient.REP_ACK, ask(8).getLast().type());
    assertEquals(NbdClient.REP_ERR_INVALID, ask(11, (byte) 0).getLast().type());
    assertEquals(NbdClient.REP_ACK, ask(11).getLast().type());
    assertEquals(NbdProtocol.REP_ERR_EXT_HEADER_REQD, ask(8).getLast().type());
    assertEquals(NbdClient.REP_ERR_INVALID, ask(11).getLast().type());
    assertEquals(FLAGS | 128, flagsOf("first"));
    ask(7, NbdClient.infoRequest("first"));
    assertEquals(ReplyFormat.EXTENDED, handshake.session().format());
  }

  @Test
  void extendedHeadersForbidExportName() {
    greeted();
    ask(11);
    handshake.accept(ByteBuffer.wrap(option(1, bytes("first"))));
    assertEquals(Handshake.Phase.CLOSED, handshake.accept(ByteBuffer.allocate(0)));
  }

  // ---- Metadata contexts --------------------------------------------------------------------

  private List<String> contexts(int option, String export, String... queries) {
    List<OptionReply> answers = ask(option, NbdClient.contextRequest(export, queries));
    assertEquals(NbdClient.REP_ACK, answers.getLast().type());
    List<String> contexts = new ArrayList<>();
    for (OptionReply answer : answers.subList(0, answers.size() - 1)) {
      assertEquals(NbdClient.REP_META_CONTEXT, answer.type());
      ByteBuffer data = ByteBuffer.wrap(answer.data());
      contexts.add(data.getInt() + " " + StandardCharsets.UTF_8.decode(data));
    }
    return contexts;
  }

  @Test
  void listsTheContextsThatAreAskedForOrAll() {
    greeted();
    List<String> both = List.of("0 base:allocation", "0 jpcache:state");
    assertEquals(both, contexts(9, "first"));
    assertEquals(both, contexts(9, "", "jpcache:", "base:"));
    assertEquals(List.of("0 jpcache:state"), contexts(9, "first", "jpcache:state"));
    assertEquals(List.of(), contexts(9, "first", "base:no", "qemu:dirty-bitmap:", "x-y:"));
  }

  @Test
  void setsTheContextsThatAreNamedAndNoWildcards() throws IOException {
    greeted();
    ask(11);
    assertEquals(
        List.of("1 base:allocation", "2 jpcache:state"),
        contexts(10, "first", "jpcache:state", "base:allocation", "jpcache:state"));
    assertEquals(FLAGS | 128 | 4096, flagsOf("first"));
    assertEquals(READ_ONLY_FLAGS | 128, flagsOf("zweite ü"), "they are those of one export");
    assertEquals(List.of(), contexts(10, "first", "base:", "jpcache:"));
    assertEquals(FLAGS | 128, flagsOf("first"));
    assertEquals(List.of("2 jpcache:state"), contexts(10, "", "jpcache:state"));
    ask(7, NbdClient.infoRequest("first"));
    assertEquals(MetaContext.STATE.bit(), handshake.session().contexts());
  }

  @Test
  void aFailedChoiceOfContextsLeavesNone() {
    List<byte[]> failing = new ArrayList<>();
    byte[] good = NbdClient.contextRequest("first", "base:allocation");
    for (int length = 0; length < good.length; length++) {
      failing.add(java.util.Arrays.copyOf(good, length));
    }
    failing.add(concat(good, new byte[1]));
    failing.add(NbdClient.contextRequest("first", "base:allocation", "nocolon"));
    failing.add(NbdClient.contextRequest("third", "base:allocation"));
    failing.add(ByteBuffer.allocate(8).putInt(4, -1).array());
    failing.add(ByteBuffer.allocate(8).putInt(4, Integer.MAX_VALUE).array());
    failing.add(new byte[Handshake.MAX_OPTION_BYTES + 1]);
    for (byte[] data : failing) {
      Handshake victim = withTls(TlsPolicy.OFF);
      answer(victim, 8);
      assertEquals(NbdClient.REP_ACK, answer(victim, 10, good));
      assertTrue(answer(victim, 9, data) < 0);
      assertTrue(answer(victim, 10, data) < 0);
      answer(victim, 7, NbdClient.infoRequest("first"));
      assertEquals(0, victim.session().contexts());
    }
  }

  @Test
  void choosesNoContextsBeforeStructuredReplies() {
    greeted();
    assertEquals(
        NbdClient.REP_ERR_INVALID,
        ask(10, NbdClient.contextRequest("first", "base:allocation")).getLast().type());
  }

  // ---- TLS ----------------------------------------------------------------------------------

  private Handshake withTls(TlsPolicy policy) {
    Handshake other =
        new Handshake(Exports.of(List.of(Export.of("first", first))), policy, () -> false, replies);
    replies.take();
    other.accept(ByteBuffer.wrap(flags(3)));
    return other;
  }

  private int answer(Handshake to, int option, byte... data) {
    to.accept(ByteBuffer.wrap(option(option, data)));
    return parse(option, replies.take()).getLast().type();
  }

  @Test
  void refusesTlsWhereThereIsNone() {
    greeted();
    assertEquals(NbdProtocol.REP_ERR_POLICY, ask(5).getLast().type());
    assertEquals(NbdClient.REP_ERR_INVALID, ask(5, (byte) 0).getLast().type());
  }

  @Test
  void demandsTlsBeforeAnythingButAbort() {
    for (int option : new int[] {3, 6, 7, 8, 9, 10, 11, 99}) {
      assertEquals(NbdProtocol.REP_ERR_TLS_REQD, answer(withTls(TlsPolicy.REQUIRED), option));
    }
    assertEquals(NbdClient.REP_ACK, answer(withTls(TlsPolicy.REQUIRED), 2));
    Handshake victim = withTls(TlsPolicy.REQUIRED);
    assertEquals(Handshake.Phase.CLOSED, victim.accept(ByteBuffer.wrap(option(1, bytes("first")))));
    assertEquals(0, replies.take().length);
  }

  @Test
  void forgetsWithTlsWhatWasNegotiatedBefore() {
    Handshake tls = withTls(TlsPolicy.ON);
    assertEquals(NbdClient.REP_ACK, answer(tls, 8));
    answer(tls, 10, NbdClient.contextRequest("first", "base:allocation"));
    ByteBuffer in = ByteBuffer.wrap(concat(option(5), option(3)));
    assertEquals(Handshake.Phase.STARTING_TLS, tls.accept(in));
    assertEquals(16, in.remaining(), "what follows was not encrypted");
    assertEquals(NbdClient.REP_ACK, parse(5, replies.take()).getLast().type());
    assertEquals(Handshake.Phase.OPTIONS, tls.encrypted());
    assertEquals(NbdClient.REP_ERR_INVALID, answer(tls, 5));
    answer(tls, 7, NbdClient.infoRequest("first"));
    assertEquals(new Session(Export.of("first", first), ReplyFormat.SIMPLE, 0), tls.session());
  }

  // ---- LIST, ABORT, others ------------------------------------------------------------------

  @Test
  void listsExportsInTheirOrder() {
    greeted();
    List<OptionReply> answers = ask(3);
    assertEquals(3, answers.size());
    assertEquals("\0\0\0\5first", new String(answers.get(0).data(), StandardCharsets.UTF_8));
    assertEquals(
        "\0\0\0\tzweite üthe other", new String(answers.get(1).data(), StandardCharsets.UTF_8));
    assertEquals(NbdClient.REP_ACK, answers.get(2).type());
  }

  @Test
  void refusesAListWithData() {
    greeted();
    assertEquals(NbdClient.REP_ERR_INVALID, ask(3, (byte) 0).getLast().type());
  }

  @Test
  void acknowledgesAbortAndCloses() {
    greeted();
    assertEquals(NbdClient.REP_ACK, ask(2).getLast().type());
    assertEquals(Handshake.Phase.CLOSED, handshake.accept(ByteBuffer.allocate(0)));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 4, 12, 255, -1})
  void answersUnsupportedForOptionsItDoesNotKnow(int option) {
    greeted();
    assertEquals(NbdClient.REP_ERR_UNSUP, ask(option, new byte[100]).getLast().type());
    assertEquals(Handshake.Phase.OPTIONS, handshake.accept(ByteBuffer.allocate(0)));
  }

  @Test
  void grantsNothingButAbortWhileStopping() {
    greeted();
    stopping = true;
    assertEquals(NbdProtocol.REP_ERR_SHUTDOWN, ask(7, NbdClient.infoRequest("")).getLast().type());
    assertEquals(NbdProtocol.REP_ERR_SHUTDOWN, ask(3).getLast().type());
    assertEquals(NbdClient.REP_ACK, ask(2).getLast().type());
  }

  // ---- Limits -------------------------------------------------------------------------------

  @Test
  void answersAnOptionThatIsTooLargeAndThrowsItsDataAway() {
    greeted();
    for (int option : new int[] {3, 6, 7, 99}) {
      List<OptionReply> answers = ask(option, new byte[Handshake.MAX_OPTION_BYTES + 1]);
      assertEquals(NbdProtocol.REP_ERR_TOO_BIG, answers.getLast().type());
      assertEquals(NbdClient.REP_ACK, ask(3).getLast().type());
    }
  }

  @Test
  void throwsTheDataAwayHoweverItArrives() {
    greeted();
    ByteBuffer in = ByteBuffer.wrap(option(99, new byte[Handshake.MAX_SKIPPED_BYTES]));
    for (int limit = 0; limit < in.capacity(); limit += 1000) {
      handshake.accept(in.limit(limit));
    }
    handshake.accept(in.limit(in.capacity()));
    assertEquals(0, in.remaining());
    assertEquals(NbdProtocol.REP_ERR_TOO_BIG, parse(99, replies.take()).getLast().type());
    assertEquals(NbdClient.REP_ACK, ask(3).getLast().type());
  }

  @ParameterizedTest
  @ValueSource(ints = {Handshake.MAX_SKIPPED_BYTES + 1, Integer.MAX_VALUE, -1, Integer.MIN_VALUE})
  void closesOnAnOptionThatIsAbsurdlyLargeWithoutWaitingForItsData(int length) {
    greeted();
    byte[] header = ByteBuffer.wrap(option(6)).putInt(12, length).array();
    assertEquals(Handshake.Phase.CLOSED, handshake.accept(ByteBuffer.wrap(header)));
  }

  @Test
  void closesOnAWrongMagic() {
    greeted();
    byte[] header = option(3);
    header[7] ^= 1;
    assertEquals(Handshake.Phase.CLOSED, handshake.accept(ByteBuffer.wrap(header)));
  }

  @Test
  void closesAfterTooManyOptions() {
    greeted();
    for (int i = 0; i < Handshake.MAX_OPTIONS; i++) {
      assertEquals(NbdClient.REP_ACK, ask(3).getLast().type());
    }
    assertEquals(Handshake.Phase.CLOSED, handshake.accept(ByteBuffer.wrap(option(3))));
  }

  // ---- Arrival in pieces --------------------------------------------------------------------

  @Test
  void saysTheSameHoweverTheBytesArrive() {
    byte[] all =
        concat(
            flags(3),
            option(3),
            option(99, new byte[7]),
            option(6, NbdClient.infoRequest("none")),
            option(7, NbdClient.infoRequest("first", 1, 3)));
    handshake.accept(ByteBuffer.wrap(all));
    byte[] whole = replies.take();
    long seed = Seeds.next(HandshakeTest.class);
    Random random = new Random(seed);
    for (int round = 0; round < 200; round++) {
      OptionReplies pieces = new OptionReplies();
      Handshake other =
          new Handshake(
              Exports.of(
                  List.of(
                      Export.of("first", first),
                      new Export("zweite ü", "the other", second, true))),
              TlsPolicy.OFF,
              () -> false,
              pieces);
      ByteBuffer in = ByteBuffer.wrap(all).limit(0);
      Handshake.Phase phase = Handshake.Phase.CLIENT_FLAGS;
      while (in.limit() < all.length) {
        assertTrue(phase != Handshake.Phase.CLOSED && phase != Handshake.Phase.TRANSMISSION);
        int more = round == 0 ? 1 : random.nextInt(1, 40);
        in.limit(Math.min(all.length, in.limit() + more));
        phase = other.accept(in);
      }
      assertEquals(Handshake.Phase.TRANSMISSION, phase);
      assertArrayEquals(whole, pieces.take(), "seed " + seed);
    }
  }

  @Test
  void survivesRandomBytes() {
    long seed = Seeds.next(HandshakeTest.class);
    Random random = new Random(seed);
    for (int round = 0; round < 20_000; round++) {
      Handshake victim =
          new Handshake(
              Exports.of(List.of(Export.of("", first))), TlsPolicy.OFF, () -> false, replies);
      byte[] data = new byte[random.nextInt(64)];
      random.nextBytes(data);
      for (int i = 0; i < Math.min(data.length, 4); i++) {
        data[i] = (byte) random.nextInt(4); // names, informations, flags that get further
      }
      byte[] all =
          concat(flags(random.nextInt(4)), option(random.nextInt(12), data), option(7, data), data);
      ByteBuffer in = ByteBuffer.wrap(all);
      victim.accept(in);
      replies.take();
    }
  }
}
