/* Stores to memory that may be gone: see pmem_guard.c. */
#ifndef PMEM_GUARD_H
#define PMEM_GUARD_H

#include <stddef.h>

/*
 * pmem_memcpy_persist and pmem_memcpy_nodrain, which return 0, or -EFAULT if a page of the
 * destination is gone: then any part of it may have been stored, and nothing of it is durable.
 */
long jpcache_memcpy_persist(void *to, const void *from, size_t length);
long jpcache_memcpy_nodrain(void *to, const void *from, size_t length);

#endif
