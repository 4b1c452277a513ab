/* The shared library: the header-only implementation, compiled once. */
#include "omni2cache.h"

#include "omni2cache_client.h"
#include "omni2cache_key.h"
