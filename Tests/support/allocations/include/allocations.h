#ifndef OMNI2_TEST_ALLOCATIONS_H
#define OMNI2_TEST_ALLOCATIONS_H

#include <stdint.h>

/* How often the calling thread has asked for memory since it began. */
uint64_t omni2_allocation_count(void);

/* What the calling thread holds: the bytes that malloc set aside for it, its own word in front of
 * each piece included. What another thread frees is not noticed. */
int64_t omni2_allocated_bytes(void);

#endif
