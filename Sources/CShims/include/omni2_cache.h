#ifndef OMNI2_CACHE_H
#define OMNI2_CACHE_H
#include <stdint.h>
#endif
