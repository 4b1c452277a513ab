/* Counts the calls for memory of each thread, and the bytes it holds. Defined in the test program,
 * these stand in front of glibc's. */
#include "allocations.h"

#include <errno.h>
#include <malloc.h>
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static __thread uint64_t count __attribute__((tls_model("initial-exec")));
static __thread int64_t held __attribute__((tls_model("initial-exec")));

uint64_t omni2_allocation_count(void) { return count; }

int64_t omni2_allocated_bytes(void) { return held; }

/* With the word that glibc keeps in front of it. */
static int64_t size_of(void *memory) {
    return memory ? (int64_t)(malloc_usable_size(memory) + sizeof(size_t)) : 0;
}

static void *taken(void *memory) {
    count += 1;
    held += size_of(memory);
    return memory;
}

void *malloc(size_t size) { return taken(__libc_malloc(size)); }

void *calloc(size_t items, size_t size) { return taken(__libc_calloc(items, size)); }

void *realloc(void *memory, size_t size) {
    int64_t before = size_of(memory);
    void *result = __libc_realloc(memory, size);
    if (result != NULL || size == 0) held -= before;
    return taken(result);
}

void *memalign(size_t alignment, size_t size) { return taken(__libc_memalign(alignment, size)); }

void *aligned_alloc(size_t alignment, size_t size) {
    return taken(__libc_memalign(alignment, size));
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    void *result = taken(__libc_memalign(alignment, size));
    if (result == NULL) return ENOMEM;
    *memory = result;
    return 0;
}

void free(void *memory) {
    held -= size_of(memory);
    __libc_free(memory);
}
