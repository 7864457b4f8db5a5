/*
 * A lean load for NBD servers, where fio's own work would be the limit: a thread for each connection
 * keeps requests of one size in flight at random places of the export, by simple replies over a unix
 * socket, and looks at no data.
 *
 *	nbd_load SOCKET BLOCK READ% DEPTH CONNECTIONS SECONDS [fua]
 *
 * Prints: operations a second, then p50, p99 and p99.9 of their latency in microseconds.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define NBD_MAGIC         0x4e42444d41474943ULL
#define NBD_OPTION_MAGIC  0x49484156454f5054ULL
#define NBD_OPT_GO        7U
#define NBD_REP_ACK       1U
#define NBD_REP_INFO      3U
#define NBD_INFO_EXPORT   0U
#define NBD_REQUEST_MAGIC 0x25609513U
#define NBD_REPLY_MAGIC   0x67446698U
#define NBD_CMD_WRITE     1U
#define NBD_CMD_DISC      2U
#define NBD_FLAG_FUA      1U

#define REQUEST_BYTES 28U
#define REPLY_BYTES   16U
#define MAX_DEPTH     1024U

/* Latencies in 16 steps for each power of two nanoseconds: within 6 %. */
#define STEPS   16U
#define BUCKETS (64U * STEPS)

static const char *path;
static uint32_t block;
static unsigned read_percent, depth, fua;
static uint64_t end_ns;

struct connection {
	pthread_t thread;
	uint64_t random;
	uint64_t operations;
	uint64_t latencies[BUCKETS];
};

static void fail(const char *what)
{
	fprintf(stderr, "nbd_load: %s: %s: %s\n", path, what, errno ? strerror(errno) : "not as expected");
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static unsigned bucket(uint64_t ns)
{
	unsigned power;

	if (ns < STEPS)
		return (unsigned)ns;
	power = 63U - (unsigned)__builtin_clzll(ns);
	return power * STEPS + (unsigned)(ns >> (power - 4U)) % STEPS;
}

static double bucket_us(unsigned b)
{
	unsigned power = b / STEPS;

	return b < STEPS ? b / 1e3 : (double)((1ULL << power) + (b % STEPS + 1ULL) * (1ULL << (power - 4U))) / 1e3;
}

static void receive_all(int fd, void *to, size_t bytes)
{
	char *at = to;

	while (bytes > 0) {
		ssize_t n = recv(fd, at, bytes, 0);

		if (n <= 0)
			fail("recv");
		at += n;
		bytes -= (size_t)n;
	}
}

static void send_all(int fd, const void *from, size_t bytes)
{
	if (send(fd, from, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
		fail("send");
}

static uint64_t get64(const void *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return be64toh(value);
}

static uint32_t get32(const void *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return be32toh(value);
}

static void put64(void *at, uint64_t value)
{
	value = htobe64(value);
	memcpy(at, &value, sizeof(value));
}

static void put32(void *at, uint32_t value)
{
	value = htobe32(value);
	memcpy(at, &value, sizeof(value));
}

/* Connects and asks for the default export; returns its size. */
static uint64_t negotiate(int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char greeting[18], option[26] = { 0 }, reply[20], info[65536];
	uint64_t size = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		fail("path too long");
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		fail("connect");
	receive_all(fd, greeting, sizeof(greeting));
	if (get64(greeting) != NBD_MAGIC || get64(greeting + 8) != NBD_OPTION_MAGIC)
		fail("greeting");
	put32(option, 3); /* fixed newstyle, no zeroes */
	put64(option + 4, NBD_OPTION_MAGIC);
	put32(option + 12, NBD_OPT_GO);
	put32(option + 16, 6); /* an empty name, and no infos wanted */
	send_all(fd, option, sizeof(option));
	for (;;) {
		uint32_t type, length;

		receive_all(fd, reply, sizeof(reply));
		type = get32(reply + 12);
		length = get32(reply + 16);
		if (length > sizeof(info))
			fail("option reply");
		receive_all(fd, info, length);
		if (type == NBD_REP_ACK)
			return size;
		if (type != NBD_REP_INFO)
			fail("the default export was refused");
		if (length == 12 && info[0] == 0 && info[1] == NBD_INFO_EXPORT)
			size = get64(info + 2);
	}
}

/* What a connection has in flight. */
struct flight {
	int fd;
	uint64_t blocks;
	uint64_t started[MAX_DEPTH];
	uint8_t is_read[MAX_DEPTH];
	unsigned flying;
	char *out;
	size_t out_bytes;
	char *in;
	size_t in_bytes, in_size;
	size_t payload; /* still to come of a read's data */
};

static void add_request(struct connection *c, struct flight *f, unsigned slot)
{
	char *at = f->out + f->out_bytes;
	int is_write;

	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	is_write = c->random / 65536 % 100 >= read_percent;
	memset(at, 0, REQUEST_BYTES);
	put32(at, NBD_REQUEST_MAGIC);
	at[5] = is_write && fua ? NBD_FLAG_FUA : 0;
	at[7] = is_write ? NBD_CMD_WRITE : 0;
	put64(at + 8, slot);
	put64(at + 16, c->random % f->blocks * block);
	put32(at + 24, block);
	f->out_bytes += REQUEST_BYTES + (is_write ? block : 0);
	f->is_read[slot] = !is_write;
	f->started[slot] = now_ns();
	f->flying++;
}

/* Takes the replies that have arrived whole; answers each with a new request until the end. */
static void take_replies(struct connection *c, struct flight *f)
{
	size_t at = 0;
	uint64_t now = now_ns();

	for (;;) {
		size_t rest = f->in_bytes - at;
		size_t skip = f->payload < rest ? f->payload : rest;
		uint64_t slot;

		f->payload -= skip;
		at += skip;
		if (f->in_bytes - at < REPLY_BYTES)
			break;
		slot = get64(f->in + at + 8);
		if (get32(f->in + at) != NBD_REPLY_MAGIC || get32(f->in + at + 4) != 0 || slot >= depth)
			fail("reply");
		at += REPLY_BYTES;
		f->payload = f->is_read[slot] ? block : 0;
		f->flying--;
		c->operations++;
		c->latencies[bucket(now - f->started[slot])]++;
		if (now < end_ns)
			add_request(c, f, (unsigned)slot);
	}
	f->in_bytes -= at;
	memmove(f->in, f->in + at, f->in_bytes);
}

static void *run(void *argument)
{
	struct connection *c = argument;
	struct flight *f = calloc(1, sizeof(*f));
	char disconnect[REQUEST_BYTES] = { 0 };

	f->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	f->blocks = negotiate(f->fd) / block;
	f->out = calloc(depth, REQUEST_BYTES + block);
	f->in_size = (size_t)depth * (REPLY_BYTES + block);
	f->in = malloc(f->in_size);
	if (f->blocks == 0 || f->out == NULL || f->in == NULL || fcntl(f->fd, F_SETFL, O_NONBLOCK) != 0)
		fail("setup");
	for (unsigned slot = 0; slot < depth; slot++)
		add_request(c, f, slot);
	while (f->flying > 0 || f->payload > 0) {
		struct pollfd p = { .fd = f->fd, .events = POLLIN };
		ssize_t n;

		if (f->out_bytes > 0) {
			n = send(f->fd, f->out, f->out_bytes, MSG_NOSIGNAL);
			if (n < 0 && errno != EAGAIN)
				fail("send");
			if (n > 0) {
				/* What is left moves to the front: then there is room for all slots. */
				f->out_bytes -= (size_t)n;
				memmove(f->out, f->out + n, f->out_bytes);
			}
			if (f->out_bytes > 0)
				p.events |= POLLOUT;
		}
		if (poll(&p, 1, -1) < 0)
			fail("poll");
		if ((p.revents & ~POLLOUT) == 0)
			continue;
		n = recv(f->fd, f->in + f->in_bytes, f->in_size - f->in_bytes, 0);
		if (n <= 0)
			fail("recv");
		f->in_bytes += (size_t)n;
		take_replies(c, f);
	}
	put32(disconnect, NBD_REQUEST_MAGIC);
	disconnect[7] = NBD_CMD_DISC;
	send_all(f->fd, disconnect, sizeof(disconnect));
	close(f->fd);
	return NULL;
}

static double percentile(const uint64_t *latencies, uint64_t operations, double share)
{
	uint64_t seen = 0;
	unsigned b = 0;

	while (b < BUCKETS - 1 && (double)(seen += latencies[b]) < share * (double)operations)
		b++;
	return bucket_us(b);
}

int main(int argc, char **argv)
{
	unsigned connections;
	uint64_t latencies[BUCKETS] = { 0 }, operations = 0;
	struct connection *all;
	double seconds;

	if (argc < 7 || argc > 8 || (argc == 8 && strcmp(argv[7], "fua") != 0)) {
		fprintf(stderr, "usage: nbd_load SOCKET BLOCK READ%% DEPTH CONNECTIONS SECONDS [fua]\n");
		return 2;
	}
	path = argv[1];
	block = (uint32_t)strtoul(argv[2], NULL, 10);
	read_percent = (unsigned)strtoul(argv[3], NULL, 10);
	depth = (unsigned)strtoul(argv[4], NULL, 10);
	connections = (unsigned)strtoul(argv[5], NULL, 10);
	seconds = strtod(argv[6], NULL);
	fua = argc == 8;
	if (block == 0 || depth == 0 || depth > MAX_DEPTH || connections == 0 || seconds <= 0) {
		fprintf(stderr, "nbd_load: block, depth (up to %u), connections and seconds must be above 0\n", MAX_DEPTH);
		return 2;
	}
	all = calloc(connections, sizeof(*all));
	end_ns = now_ns() + (uint64_t)(seconds * 1e9);
	for (unsigned i = 0; i < connections; i++) {
		all[i].random = 0x9e3779b97f4a7c15ULL * (i + 1);
		if (pthread_create(&all[i].thread, NULL, run, &all[i]) != 0)
			fail("thread");
	}
	for (unsigned i = 0; i < connections; i++) {
		pthread_join(all[i].thread, NULL);
		operations += all[i].operations;
		for (unsigned b = 0; b < BUCKETS; b++)
			latencies[b] += all[i].latencies[b];
	}
	printf("%.0f %.1f %.1f %.1f\n", (double)operations / seconds,
	       percentile(latencies, operations, 0.5), percentile(latencies, operations, 0.99),
	       percentile(latencies, operations, 0.999));
	return 0;
}
