/*
 * Writes a block device from a seed, and tells afterwards whether what it was promised has been kept.
 *
 *   load write TARGET JOURNAL name=number...   TARGET: a block device or an NBD URI
 *   load check JOURNAL BEFORE AFTER            two images of the whole device, from before and after
 *
 * Operation i of thread t is a function of (seed, t, i) alone, so that the check can repeat all of them
 * without having been there. Each thread owns every threads-th chunk of the device and has one operation in
 * flight: which of two operations on a sector is the later is never in doubt. Chunks are shifted by half
 * their size, so that operations cross the boundaries that a cache may have at round addresses.
 *
 * A written sector repeats one stamp of 32 bytes: magic, sector, operation << 8 | thread, seed.
 *
 * The journal says what was durable when. It is written with pwrite as the answers arrive, so that it also
 * tells of a run that ended with the power, if it lies outside of the machine:
 *
 *   0            struct shape
 *   256          u64 floor[threads]: operations below are durable (a flush that began after them ended)
 *   4096         u8 durable[threads][ops]: 1 when an operation was durable by itself: written with FUA, or
 *                any answered one of a target that promises as much (acked=1)
 *
 * A sector may hold what the last durable operation on it wrote, or any later one (it may have been in
 * flight), and what BEFORE holds when none was durable. Anything else is data that was lost or came back.
 *
 * Exit codes: 0 done; 1 wrong data; 2 wrong usage; 3 the target failed, as one does whose power is cut.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libnbd.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { SECTOR = 512, MAX_THREADS = 64, FLOORS_AT = 256, DURABLE_AT = 4096 };
static const uint64_t MAGIC = 0x5043414348455354, CHUNK = 1 << 20;

/* What decides all operations. Percentages are of all operations; the rest are plain writes. */
struct shape {
  uint64_t magic, seed, size_bytes, ops, threads, min_bytes, max_bytes;
  uint64_t span_bytes;                        /* only the device's first so many bytes; 0: all */
  uint64_t reads, fuas, zeroes, discards;     /* percent */
  uint64_t flush_every;                       /* operations of a thread between two flushes; 0: never */
  uint64_t acked;                             /* 1: what is answered is durable */
  uint64_t seconds;                           /* ends after so long; 0: after all operations */
};

enum kind { READ, WRITE, FUA, ZERO, DISCARD };
struct op {
  enum kind kind;
  uint64_t offset, length;
};

static struct shape shape;
static int journal;
static const char *target;
static bool over_nbd, can_discard, can_zero, flush_is_global;
static atomic_uint_fast64_t answered[MAX_THREADS];
static uint64_t floors[MAX_THREADS];
static pthread_mutex_t floors_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int outcome;
static struct timespec deadline;

static void die(int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("load: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(code);
}

/* The finaliser of SplitMix64. */
static uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
  x = (x ^ x >> 27) * 0x94D049BB133111EB;
  return x ^ x >> 31;
}

/* Chunks of a thread; the device's first and last half chunk stay as they are. */
static uint64_t chunks(void) {
  uint64_t span = shape.span_bytes ? shape.span_bytes : shape.size_bytes;
  return (span / CHUNK - 1) / shape.threads;
}

static struct op operation(uint64_t thread, uint64_t i) {
  uint64_t random = mix(mix(mix(shape.seed) ^ thread) ^ i);
#define NEXT(n) ((random = mix(random)) % (n))
  struct op op;
  uint64_t percent = NEXT(100);
  op.kind = WRITE;
  if (percent < shape.reads) op.kind = READ;
  else if ((percent -= shape.reads) < shape.fuas) op.kind = FUA;
  else if ((percent -= shape.fuas) < shape.zeroes) op.kind = ZERO;
  else if ((percent -= shape.zeroes) < shape.discards) op.kind = DISCARD;
  /* Half of the operations go to a sixteenth of the chunks. */
  uint64_t all = chunks(), hot = all / 16 ? all / 16 : 1;
  uint64_t chunk = NEXT(2) ? NEXT(all) : NEXT(hot);
  /* Lengths of all magnitudes alike: one between min and a limit that is min times a power of two. */
  uint64_t limit = shape.min_bytes, doublings = 0;
  while (limit << doublings < shape.max_bytes) doublings++;
  limit <<= NEXT(doublings + 1);
  if (limit > shape.max_bytes) limit = shape.max_bytes;
  op.length = shape.min_bytes + NEXT((limit - shape.min_bytes) / SECTOR + 1) * SECTOR;
  op.offset = CHUNK / 2 + (chunk * shape.threads + thread) * CHUNK;
  op.offset += NEXT((CHUNK - op.length) / SECTOR + 1) * SECTOR;
#undef NEXT
  return op;
}

static void fill(uint64_t *at, uint64_t sector, uint64_t thread, uint64_t i) {
  for (int k = 0; k < SECTOR / 8; k += 4) {
    at[k] = MAGIC;
    at[k + 1] = sector;
    at[k + 2] = i << 8 | thread;
    at[k + 3] = shape.seed;
  }
}

static bool is_filled(const uint64_t *at, uint64_t sector, uint64_t thread, uint64_t i) {
  uint64_t want[SECTOR / 8];
  fill(want, sector, thread, i);
  return !memcmp(at, want, SECTOR);
}

static bool is_zero(const uint64_t *at) {
  for (int k = 0; k < SECTOR / 8; k++)
    if (at[k]) return false;
  return true;
}

static void note(const void *bytes, size_t length, uint64_t at) {
  if (pwrite(journal, bytes, length, at) != (ssize_t)length) die(2, "journal: %m");
}

/* ---- writing ---- */

struct connection {
  struct nbd_handle *nbd;
  int fd;
};

static struct connection open_target(void) {
  struct connection c = {0};
  if (over_nbd) {
    if (!(c.nbd = nbd_create()) || nbd_connect_uri(c.nbd, target)) die(3, "%s: %s", target, nbd_get_error());
    shape.size_bytes = nbd_get_size(c.nbd);
    can_discard = nbd_can_trim(c.nbd) == 1;
    can_zero = nbd_can_zero(c.nbd) == 1;
    flush_is_global = nbd_can_multi_conn(c.nbd) == 1;
    return c;
  }
  if ((c.fd = open(target, O_RDWR | O_DIRECT)) < 0 || ioctl(c.fd, BLKGETSIZE64, &shape.size_bytes))
    die(3, "%s: %m", target);
  struct stat stat;
  fstat(c.fd, &stat);
  char path[96];
  snprintf(path, sizeof path, "/sys/dev/block/%u:%u/queue/discard_max_bytes", (unsigned)(stat.st_rdev >> 8 & 0xfff),
           (unsigned)(stat.st_rdev & 0xff));
  FILE *limit = fopen(path, "r");
  uint64_t bytes = 0;
  can_discard = limit && fscanf(limit, "%" SCNu64, &bytes) == 1 && bytes > 0;
  if (limit) fclose(limit);
  can_zero = flush_is_global = true;
  return c;
}

static int perform(struct connection *c, const struct op *op, void *buffer) {
  if (over_nbd) switch (op->kind) {
      case READ: return nbd_pread(c->nbd, buffer, op->length, op->offset, 0);
      case WRITE: return nbd_pwrite(c->nbd, buffer, op->length, op->offset, 0);
      case FUA: return nbd_pwrite(c->nbd, buffer, op->length, op->offset, LIBNBD_CMD_FLAG_FUA);
      case ZERO: return nbd_zero(c->nbd, op->length, op->offset, LIBNBD_CMD_FLAG_NO_HOLE);
      case DISCARD: return nbd_trim(c->nbd, op->length, op->offset, 0);
    }
  struct iovec vector = {buffer, op->length};
  uint64_t range[2] = {op->offset, op->length};
  ssize_t done = op->length;
  switch (op->kind) {
    case READ: done = preadv(c->fd, &vector, 1, op->offset); break;
    case WRITE: done = pwritev(c->fd, &vector, 1, op->offset); break;
    case FUA: done = pwritev2(c->fd, &vector, 1, op->offset, RWF_DSYNC); break;
    case ZERO: return ioctl(c->fd, BLKZEROOUT, range);
    case DISCARD: return ioctl(c->fd, BLKDISCARD, range);
  }
  return done == (ssize_t)op->length ? 0 : -1;
}

/* What is answered before a flush begins is durable when it ends. */
static int flush(struct connection *c, uint64_t thread) {
  uint64_t before[MAX_THREADS];
  for (uint64_t t = 0; t < shape.threads; t++) before[t] = flush_is_global || t == thread ? answered[t] : 0;
  if (over_nbd ? nbd_flush(c->nbd, 0) : fdatasync(c->fd)) return -1;
  pthread_mutex_lock(&floors_lock);
  for (uint64_t t = 0; t < shape.threads; t++)
    if (before[t] > floors[t]) floors[t] = before[t];
  note(floors, shape.threads * sizeof *floors, FLOORS_AT);
  pthread_mutex_unlock(&floors_lock);
  return 0;
}

/* What this run knows of each sector: 0 nothing; else 2 * (the operation that wrote it + 1), + 1 if zeros. */
static uint64_t *known;

static void check_read(const struct op *op, const uint8_t *bytes, uint64_t thread) {
  for (uint64_t at = 0; at < op->length; at += SECTOR) {
    uint64_t sector = (op->offset + at) / SECTOR, want = known[sector];
    const uint64_t *found = (const uint64_t *)(bytes + at);
    if (want && !(want & 1 ? is_zero(found) : is_filled(found, sector, thread, want / 2 - 1)))
      die(1, "sector %" PRIu64 " was read as stamp %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64
             " where operation %" PRIu64 " of thread %" PRIu64 " %s", sector, found[0], found[1], found[2], found[3],
          want / 2 - 1, thread, want & 1 ? "made zeros" : "wrote");
  }
}

static void *work(void *argument) {
  uint64_t thread = (uintptr_t)argument;
  struct connection c = open_target();
  uint8_t *buffer;
  if (posix_memalign((void **)&buffer, 4096, CHUNK)) die(2, "no memory");
  for (uint64_t i = 0; i < shape.ops && !outcome; i++) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (shape.seconds && (now.tv_sec > deadline.tv_sec || (now.tv_sec == deadline.tv_sec && now.tv_nsec > deadline.tv_nsec)))
      break;
    struct op op = operation(thread, i);
    if (op.kind == WRITE || op.kind == FUA)
      for (uint64_t at = 0; at < op.length; at += SECTOR)
        fill((uint64_t *)(buffer + at), (op.offset + at) / SECTOR, thread, i);
    if (perform(&c, &op, buffer)) {
      outcome = 3;
      break;
    }
    if (op.kind == READ) check_read(&op, buffer, thread);
    else
      for (uint64_t at = 0; at < op.length; at += SECTOR)
        known[(op.offset + at) / SECTOR] = 2 * (i + 1) + (op.kind >= ZERO);
    answered[thread] = i + 1;
    if (shape.acked || op.kind == FUA) note("\1", 1, DURABLE_AT + thread * shape.ops + i);
    if (shape.flush_every && (i + 1) % shape.flush_every == 0 && flush(&c, thread)) outcome = 3;
  }
  if (!outcome && flush(&c, thread)) outcome = 3;
  if (over_nbd && !outcome) nbd_shutdown(c.nbd, 0);
  return NULL;
}

static void set(const char *assignment) {
  static const struct { const char *name; uint64_t *field; } names[] = {
      {"seed", &shape.seed}, {"ops", &shape.ops}, {"threads", &shape.threads}, {"min", &shape.min_bytes},
      {"max", &shape.max_bytes}, {"span", &shape.span_bytes}, {"reads", &shape.reads}, {"fuas", &shape.fuas},
      {"zeroes", &shape.zeroes}, {"discards", &shape.discards}, {"flush_every", &shape.flush_every},
      {"acked", &shape.acked}, {"seconds", &shape.seconds}};
  for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
    size_t length = strlen(names[k].name);
    char *end;
    if (strncmp(assignment, names[k].name, length) || assignment[length] != '=') continue;
    *names[k].field = strtoull(assignment + length + 1, &end, 0);
    if (*end || end == assignment + length + 1) die(2, "%s: no number", assignment);
    return;
  }
  die(2, "%s: unknown", assignment);
}

static int write_all(int count, char **assignments, const char *journal_path) {
  shape = (struct shape){.magic = MAGIC, .ops = 1000, .threads = 1, .min_bytes = SECTOR, .max_bytes = 32768};
  for (int k = 0; k < count; k++) set(assignments[k]);
  over_nbd = strstr(target, "://");
  struct connection c = open_target();
  if (!can_discard) shape.discards = 0;
  if (!can_zero) shape.zeroes = 0;
  if (over_nbd) nbd_shutdown(c.nbd, 0);
  if (shape.span_bytes > shape.size_bytes) shape.span_bytes = 0;
  if (shape.threads < 1 || shape.threads > MAX_THREADS || shape.min_bytes % SECTOR || shape.min_bytes < SECTOR ||
      shape.max_bytes % SECTOR || shape.max_bytes < shape.min_bytes || shape.max_bytes > CHUNK || chunks() < 1)
    die(2, "threads, min, max or the device's size: out of range");
  known = calloc(shape.size_bytes / SECTOR, sizeof *known);
  journal = open(journal_path, O_RDWR | O_CREAT | O_TRUNC, 0666);
  if (!known || journal < 0 || ftruncate(journal, DURABLE_AT + shape.threads * shape.ops)) die(2, "%s: %m", journal_path);
  note(&shape, sizeof shape, 0);
  clock_gettime(CLOCK_MONOTONIC, &deadline);
  deadline.tv_sec += shape.seconds;
  pthread_t threads[MAX_THREADS];
  for (uint64_t t = 0; t < shape.threads; t++) pthread_create(&threads[t], NULL, work, (void *)(uintptr_t)t);
  uint64_t sum = 0;
  for (uint64_t t = 0; t < shape.threads; t++) {
    pthread_join(threads[t], NULL);
    sum += answered[t];
  }
  printf("load: %" PRIu64 " operations answered\n", sum);
  return outcome;
}

/* ---- checking ---- */

static const void *map(const char *path, uint64_t want_bytes) {
  int fd = open(path, O_RDONLY);
  struct stat stat;
  if (fd < 0 || fstat(fd, &stat)) die(2, "%s: %m", path);
  if ((uint64_t)stat.st_size < want_bytes) die(2, "%s: %" PRIu64 " bytes, not %" PRIu64, path, (uint64_t)stat.st_size, want_bytes);
  void *at = mmap(NULL, want_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (at == MAP_FAILED) die(2, "%s: %m", path);
  close(fd);
  return at;
}

static bool covers(uint64_t thread, uint64_t i, uint64_t sector) {
  struct op op = operation(thread, i);
  return (op.kind == WRITE || op.kind == FUA) && sector >= op.offset / SECTOR && sector < (op.offset + op.length) / SECTOR;
}

static int check(const char *journal_path, const char *before_path, const char *after_path) {
  memcpy(&shape, map(journal_path, sizeof shape), sizeof shape);
  if (shape.magic != MAGIC || shape.threads < 1 || shape.threads > MAX_THREADS) die(2, "%s: no journal", journal_path);
  const uint8_t *journal_at = map(journal_path, DURABLE_AT + shape.threads * shape.ops);
  const uint64_t *floor_at = (const uint64_t *)(journal_at + FLOORS_AT);
  const uint8_t *before = map(before_path, shape.size_bytes), *after = map(after_path, shape.size_bytes);
  uint64_t sectors = shape.size_bytes / SECTOR, durable = 0, zeroed = 0, discarded = 0;
  known = calloc(sectors, sizeof *known);
  bool *zero_later = calloc(sectors, 1);
  for (uint64_t t = 0; t < shape.threads; t++)
    for (uint64_t i = 0; i < shape.ops; i++) {
      struct op op = operation(t, i);
      bool is_durable = i < floor_at[t] || journal_at[DURABLE_AT + t * shape.ops + i];
      if (op.kind == READ || (op.kind < ZERO && !is_durable)) continue;
      durable += is_durable;
      zeroed += is_durable && op.kind == ZERO;
      discarded += is_durable && op.kind == DISCARD;
      for (uint64_t s = op.offset / SECTOR; s < (op.offset + op.length) / SECTOR; s++)
        if (is_durable) {
          known[s] = 2 * (i + 1) + (op.kind >= ZERO);
          zero_later[s] = false;
        } else if (op.kind >= ZERO) zero_later[s] = true;
    }
  uint64_t kept = 0, later = 0, same = 0, wrong = 0;
  for (uint64_t s = 0; s < sectors; s++) {
    const uint64_t *found = (const uint64_t *)(after + s * SECTOR);
    uint64_t t = found[2] & 0xff, i = found[2] >> 8, want = known[s];
    if (t < shape.threads && i < shape.ops && is_filled(found, s, t, i) && 2 * (i + 1) >= want && covers(t, i, s))
      ++*(2 * (i + 1) == want ? &kept : &later);
    else if ((want & 1 || zero_later[s]) && is_zero(found)) ++*(want & 1 ? &kept : &later);
    else if (!want && !memcmp(found, before + s * SECTOR, SECTOR)) same++;
    else if (wrong++ < 5)
      fprintf(stderr, "load: sector %" PRIu64 ": holds %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 "; durable before: %s %" PRId64 "\n",
              s, found[0], found[1], found[2], found[3],
              !want ? "nothing, operation" : want & 1 ? "the zeros of operation" : "operation", (int64_t)(want / 2) - 1);
  }
  printf("load: seed %" PRIu64 ": %" PRIu64 " durable operations, %" PRIu64 " of them zeroed, %" PRIu64 " discarded; sectors: %" PRIu64 " as the last one left them, %" PRIu64
         " of later ones, %" PRIu64 " untouched, %" PRIu64 " wrong\n", shape.seed, durable, zeroed, discarded, kept, later, same, wrong);
  return wrong != 0;
}

int main(int count, char **arguments) {
  if (count >= 4 && !strcmp(arguments[1], "write")) {
    target = arguments[2];
    return write_all(count - 4, arguments + 4, arguments[3]);
  }
  if (count == 5 && !strcmp(arguments[1], "check")) return check(arguments[2], arguments[3], arguments[4]);
  fputs("usage: load write TARGET JOURNAL name=number... | load check JOURNAL BEFORE AFTER\n", stderr);
  return 2;
}
