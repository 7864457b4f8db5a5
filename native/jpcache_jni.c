/*
 * The native methods of jpcache.pmem.JniLibpmem: libpmem's functions, one line each; the copies
 * are those of pmem_guard.c.
 *
 * Addresses and sizes come as jlong and are believed; Java checks them. Nothing here calls back
 * into Java, so no method can leave an exception pending. Where libpmem reports by errno, the
 * method returns 0 or -errno.
 */
#include "pmem_guard.h"

#include <errno.h>
#include <jni.h>
#include <libpmem.h>
#include <stddef.h>
#include <stdint.h>

#define METHOD(type, name) \
	JNIEXPORT type JNICALL Java_jpcache_pmem_JniLibpmem_##name

#define UNUSED __attribute__((unused))
#define SELF   JNIEnv UNUSED *env, jobject UNUSED self

_Static_assert(sizeof(size_t) == sizeof(jlong), "sizes and addresses travel as jlong");

static inline void *at(jlong address)
{
	return (void *)(uintptr_t)address;
}

METHOD(jlong, mapFile)(SELF, jlong path, jlong length, jint flags, jint mode,
		       jlong mapped_length, jlong is_pmem)
{
	return (jlong)(uintptr_t)pmem_map_file(at(path), (size_t)length, flags, (mode_t)mode,
					       at(mapped_length), at(is_pmem));
}

METHOD(jint, unmap)(SELF, jlong address, jlong length)
{
	return pmem_unmap(at(address), (size_t)length) == 0 ? 0 : -errno;
}

METHOD(jboolean, isPmem)(SELF, jlong address, jlong length)
{
	return pmem_is_pmem(at(address), (size_t)length) ? JNI_TRUE : JNI_FALSE;
}

METHOD(jint, memcpyPersist)(SELF, jlong to, jlong from, jlong length)
{
	return (jint)jpcache_memcpy_persist(at(to), at(from), (size_t)length);
}

METHOD(jint, memcpyNodrain)(SELF, jlong to, jlong from, jlong length)
{
	return (jint)jpcache_memcpy_nodrain(at(to), at(from), (size_t)length);
}

METHOD(void, flush)(SELF, jlong address, jlong length)
{
	pmem_flush(at(address), (size_t)length);
}

METHOD(void, drain)(SELF)
{
	pmem_drain();
}

METHOD(void, persist)(SELF, jlong address, jlong length)
{
	pmem_persist(at(address), (size_t)length);
}

METHOD(jint, msync)(SELF, jlong address, jlong length)
{
	return pmem_msync(at(address), (size_t)length) == 0 ? 0 : -errno;
}

METHOD(jlong, errormsg)(SELF)
{
	return (jlong)(uintptr_t)pmem_errormsg();
}
