/*
 * What a request over a unix socket costs at least: two processes that do nothing but move bytes the
 * way an NBD client and its server do, with no protocol and no cache between. No server can be
 * faster, so it says how much of a figure of ci/bench-peers any of them could save.
 *
 *	socket_floor [ROUNDS]      default 5; needs 1 GiB in /dev/shm
 *
 * Prints for each way of serving the median time of a request, and of the server's own CPU time for
 * it, in microseconds.
 */
#define _GNU_SOURCE
#include <libpmem.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REGION_BYTES  (1ULL << 30)
#define REQUEST_BYTES 28U
#define REPLY_BYTES   16U
#define LARGE         (128U << 10)
#define MAX_ROUNDS    99U

/* Where data goes to or comes from. */
enum way { TO_BUFFER, TO_MEMORY, TO_PMEM, STRAIGHT_TO_PMEM, FROM_COPY, STRAIGHT_FROM_PMEM };

struct serving {
	const char *name;
	enum way way;
	uint32_t bytes;
	unsigned depth;
	bool polls, together;
};

static const struct serving servings[] = {
	{"4 KiB written, depth 1: both sleep", TO_BUFFER, 4096, 1, false, false},
	{"the server polls", TO_BUFFER, 4096, 1, true, false},
	{"both bound to one processor", TO_BUFFER, 4096, 1, false, true},
	{"128 KiB written, depth 8: to ordinary memory", TO_MEMORY, LARGE, 8, false, false},
	{"to pmem, from a buffer past the cache", TO_PMEM, LARGE, 8, false, false},
	{"to pmem, received there and flushed", STRAIGHT_TO_PMEM, LARGE, 8, false, false},
	{"128 KiB read, depth 8: copied and sent", FROM_COPY, LARGE, 8, false, false},
	{"sent from where it is", STRAIGHT_FROM_PMEM, LARGE, 8, false, false},
};

static char *region;
static char *buffer;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double cpu_us(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static void bind_to_first(void)
{
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	if (sched_setaffinity(0, sizeof first, &first))
		fail("sched_setaffinity");
}

static void receive(int fd, char *to, size_t bytes, bool polls)
{
	ssize_t n;

	for (; bytes > 0; bytes -= (size_t)n, to += n) {
		do
			n = recv(fd, to, bytes, polls ? MSG_DONTWAIT : 0);
		while (polls && n < 0);
		if (n <= 0)
			fail("recv");
	}
}

static void transmit(int fd, const char *from, size_t bytes)
{
	ssize_t n;

	for (; bytes > 0; bytes -= (size_t)n, from += n) {
		n = send(fd, from, bytes, MSG_NOSIGNAL);
		if (n <= 0)
			fail("send");
	}
}

static void serve(const struct serving *serving, int fd, unsigned requests)
{
	uint32_t bytes = serving->bytes;

	for (unsigned i = 0; i < requests; i++) {
		char *place = region + (uint64_t)i * bytes % REGION_BYTES;

		receive(fd, buffer, REQUEST_BYTES, serving->polls);
		switch (serving->way) {
		case TO_BUFFER:
			receive(fd, buffer, bytes, serving->polls);
			break;
		case TO_MEMORY:
			receive(fd, buffer, bytes, serving->polls);
			memcpy(place, buffer, bytes);
			break;
		case TO_PMEM:
			receive(fd, buffer, bytes, serving->polls);
			pmem_memcpy_persist(place, buffer, bytes);
			break;
		case STRAIGHT_TO_PMEM:
			receive(fd, place, bytes, serving->polls);
			pmem_persist(place, bytes);
			break;
		case FROM_COPY:
			memcpy(buffer, place, bytes);
			transmit(fd, buffer, bytes);
			continue;
		case STRAIGHT_FROM_PMEM:
			transmit(fd, place, bytes);
			continue;
		}
		transmit(fd, buffer, REPLY_BYTES);
	}
}

static void ask(const struct serving *serving, int fd, unsigned requests)
{
	bool reads = serving->way == FROM_COPY || serving->way == STRAIGHT_FROM_PMEM;
	size_t question = REQUEST_BYTES + (reads ? 0 : serving->bytes);
	size_t answer = reads ? serving->bytes : REPLY_BYTES;
	unsigned sent = 0;

	for (unsigned answered = 0; answered < requests; answered++) {
		while (sent < requests && sent - answered < serving->depth) {
			transmit(fd, buffer, question);
			sent++;
		}
		receive(fd, buffer, answer, false);
	}
}

/* One round: us a request, and of the server's CPU time. */
static void measure(const struct serving *serving, double *us, double *cpu)
{
	unsigned requests = serving->bytes == LARGE ? 10000 : 50000;
	int ends[2], result[2];
	double begun;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) || pipe(result))
		fail("socketpair");
	if (serving->together)
		bind_to_first();
	child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0) {
		begun = cpu_us();
		serve(serving, ends[1], requests);
		begun = cpu_us() - begun;
		_exit(write(result[1], &begun, sizeof begun) != sizeof begun);
	}
	begun = now_us();
	ask(serving, ends[0], requests);
	*us = (now_us() - begun) / requests;
	if (read(result[0], cpu, sizeof *cpu) != sizeof *cpu || waitpid(child, NULL, 0) != child)
		fail("the server");
	*cpu /= requests;
	close(ends[0]);
	close(ends[1]);
	close(result[0]);
	close(result[1]);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 5;
	char path[] = "/dev/shm/socket_floor-XXXXXX";
	double us[MAX_ROUNDS], cpu[MAX_ROUNDS];
	cpu_set_t all;
	size_t mapped;
	int fd = mkstemp(path);

	if (rounds < 1 || rounds > MAX_ROUNDS || fd < 0 || sched_getaffinity(0, sizeof all, &all))
		fail("socket_floor [ROUNDS]");
	close(fd);
	setenv("PMEM_IS_PMEM_FORCE", "1", 1);
	region = pmem_map_file(path, REGION_BYTES, PMEM_FILE_CREATE, 0600, &mapped, NULL);
	unlink(path);
	buffer = malloc(2 * LARGE);
	if (!region || !buffer)
		fail(path);
	memset(region, 1, REGION_BYTES);
	memset(buffer, 2, 2 * LARGE);
	for (size_t s = 0; s < sizeof servings / sizeof *servings; s++) {
		for (unsigned round = 0; round < rounds; round++) {
			measure(&servings[s], &us[round], &cpu[round]);
			sched_setaffinity(0, sizeof all, &all);
		}
		qsort(us, rounds, sizeof *us, by_value);
		qsort(cpu, rounds, sizeof *cpu, by_value);
		printf("%-46s %8.1f us  server %8.1f us\n", servings[s].name, us[rounds / 2], cpu[rounds / 2]);
	}
	return 0;
}
