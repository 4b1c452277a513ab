#ifndef OMNI2_TEST_ALLOCATIONS_H
#define OMNI2_TEST_ALLOCATIONS_H

#include <stdint.h>

/* How often the calling thread has asked for memory since it began. */
uint64_t omni2_allocation_count(void);

#endif
