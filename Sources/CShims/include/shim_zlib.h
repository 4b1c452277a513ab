#ifndef OMNI2_SHIM_ZLIB_H
#define OMNI2_SHIM_ZLIB_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <zlib.h>

#endif
