/*
 * libpmem's copies to persistent memory, with a page that is gone (poisoned, or cut off by
 * truncating the file) for an error of the copy in place of the end of the process.
 *
 * Such a page raises SIGBUS. The JVM's handler makes an InternalError of it where Java itself
 * touches the page; in a native function it ends the process. So our handler stands before it: a
 * fault of a guarded copy, in its destination, is ended by a jump back to where that copy began;
 * every other goes on to the JVM's. Between the two ends of the jump there is libpmem's copy alone,
 * which holds nothing, and no Java frame.
 *
 * A copy that meets no fault takes a few nanoseconds more, and no system call.
 */
#include "pmem_guard.h"

#include <errno.h>
#include <libpmem.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#define EXPORT __attribute__((visibility("default")))

/* A copy that a thread is in. */
struct guard {
	uintptr_t to;
	size_t length;
	sigjmp_buf begin;
};

/*
 * Of this thread, or null. The handler reads it: so it must lie in memory that needs no allocation
 * at the first access, which a library loaded late has by this model only.
 */
static _Thread_local struct guard *_Atomic current __attribute__((tls_model("initial-exec")));

/* The handler that was there before ours. */
static struct sigaction next_handler;

/* Whether the memory that is gone overlaps a copy's destination. */
static bool is_in_destination(const struct guard *guard, const siginfo_t *info)
{
	uintptr_t gone = (uintptr_t)info->si_addr;
	uintptr_t bytes = 1;

	if (info->si_code == BUS_MCEERR_AR) { /* which names the block that the hardware lost */
		bytes = (uintptr_t)1 << info->si_addr_lsb;
		gone &= ~(bytes - 1);
	}
	return gone < guard->to + guard->length && guard->to < gone + bytes;
}

static void handle(int signal, siginfo_t *info, void *context)
{
	struct guard *guard = atomic_load_explicit(&current, memory_order_relaxed);
	bool by_access = info->si_code > 0 && info->si_code != BUS_MCEERR_AO; /* and not by kill */

	if (guard && by_access && is_in_destination(guard, info)) {
		/* A return would do this; the copy has saved none, which would take a system call. */
		pthread_sigmask(SIG_SETMASK, &((ucontext_t *)context)->uc_sigmask, NULL);
		siglongjmp(guard->begin, 1);
	}
	if (next_handler.sa_flags & SA_SIGINFO) {
		next_handler.sa_sigaction(signal, info, context);
	} else if (next_handler.sa_handler != SIG_DFL && next_handler.sa_handler != SIG_IGN) {
		next_handler.sa_handler(signal);
	} else {
		sigaction(signal, &next_handler, NULL); /* and the access is tried again */
	}
}

/* When the library is loaded, by a JVM that has long had its handler. */
__attribute__((constructor)) static void install(void)
{
	struct sigaction ours;

	/* With the flags and the mask of the JVM's, which must find everything as without us. */
	sigaction(SIGBUS, NULL, &next_handler);
	ours = next_handler;
	ours.sa_flags |= SA_SIGINFO;
	ours.sa_sigaction = handle;
	sigaction(SIGBUS, &ours, NULL);
}

typedef void *(*copy_function)(void *, const void *, size_t);

static long guarded(copy_function copy, void *to, const void *from, size_t length)
{
	struct guard guard; /* an initializer would zero the buffer too, which costs more than the rest */

	guard.to = (uintptr_t)to;
	guard.length = length;
	if (sigsetjmp(guard.begin, 0) != 0) {
		atomic_store_explicit(&current, NULL, memory_order_relaxed);
		return -EFAULT;
	}
	atomic_store_explicit(&current, &guard, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	copy(to, from, length);
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&current, NULL, memory_order_relaxed);
	return 0;
}

EXPORT long jpcache_memcpy_persist(void *to, const void *from, size_t length)
{
	return guarded(pmem_memcpy_persist, to, from, length);
}

EXPORT long jpcache_memcpy_nodrain(void *to, const void *from, size_t length)
{
	return guarded(pmem_memcpy_nodrain, to, from, length);
}
