/*
 * What libpmem costs from C: the yardstick for tests/bench/jpcache/bench/PmemBindingBench.java,
 * which does the same from Java. Prints a line for each: name, then the median and the best round
 * in nanoseconds per operation.
 *
 *	pmem_raw_bench [DIRECTORY]      where its 256 MiB region goes; default /dev/shm
 */
#include <errno.h>
#include <libpmem.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REGION_BYTES (256ULL << 20)
#define PAGE         4096ULL
#define ROUNDS       9
#define ROUND_NS     200000000ULL

static char *region;
static char *memory;
static uint64_t sequential;
static uint64_t state = 1;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static uint64_t next_page(void)
{
	sequential = (sequential + PAGE) & (REGION_BYTES - 1);
	return sequential;
}

static uint64_t random_page(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state & (REGION_BYTES - PAGE);
}

static void drain(void)
{
	pmem_drain();
}

static void persist_4k_sequential(void)
{
	pmem_memcpy_persist(region + next_page(), memory, PAGE);
}

static void persist_4k_random(void)
{
	pmem_memcpy_persist(region + random_page(), memory, PAGE);
}

static void persist_40_bytes(void)
{
	sequential = sequential + 40 >= REGION_BYTES - 40 ? 0 : sequential + 40;
	pmem_memcpy_persist(region + sequential, memory, 40);
}

static void read_4k_random(void)
{
	memcpy(memory, region + random_page(), PAGE);
	__asm__ volatile("" : : "r"(memory) : "memory"); /* the copy is wanted */
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The first round warms up and does not count. */
static void measure(const char *name, void (*operation)(void))
{
	double ns[ROUNDS + 1];

	for (int round = 0; round <= ROUNDS; round++) {
		uint64_t operations = 0;
		uint64_t start = now_ns();
		uint64_t end;

		do {
			for (int i = 0; i < 1000; i++)
				operation();
			operations += 1000;
			end = now_ns();
		} while (end - start < ROUND_NS);
		ns[round] = (double)(end - start) / (double)operations;
	}
	qsort(ns + 1, ROUNDS, sizeof(ns[0]), compare);
	printf("%-20s %8.1f %8.1f\n", name, ns[1 + ROUNDS / 2], ns[1]);
}

int main(int argc, char **argv)
{
	char path[4096];
	size_t mapped;
	int is_pmem;

	if (getenv("PMEM_IS_PMEM_FORCE") == NULL) {
		/* libpmem has read its environment by now: begin again with it set. */
		setenv("PMEM_IS_PMEM_FORCE", "1", 1);
		execv("/proc/self/exe", argv);
		perror("exec");
		return 1;
	}
	snprintf(path, sizeof(path), "%s/pmem-raw-bench-%d", argc > 1 ? argv[1] : "/dev/shm",
		 (int)getpid());
	region = pmem_map_file(path, REGION_BYTES, PMEM_FILE_CREATE | PMEM_FILE_EXCL, 0600, &mapped,
			       &is_pmem);
	if (region == NULL) {
		fprintf(stderr, "%s: %s\n", path, pmem_errormsg());
		return 1;
	}
	unlink(path);
	memory = aligned_alloc(64, PAGE);
	if (memory == NULL) {
		fprintf(stderr, "%s\n", strerror(errno));
		return 1;
	}
	memset(memory, 0x5a, PAGE);
	for (uint64_t at = 0; at < REGION_BYTES; at += PAGE) /* every page is there and mapped */
		pmem_memcpy_persist(region + at, memory, PAGE);

	measure("drain", drain);
	measure("persist4kSequential", persist_4k_sequential);
	measure("persist4kRandom", persist_4k_random);
	measure("persist40Bytes", persist_40_bytes);
	measure("read4kRandom", read_4k_random);
	free(memory);
	return pmem_unmap(region, mapped) == 0 ? 0 : 1;
}
