#ifndef OMNI2_SHIM_ZLIB_H
#define OMNI2_SHIM_ZLIB_H

#include <zlib.h>

#endif
