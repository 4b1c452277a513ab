#ifndef OMNI2_SHIM_URING_H
#define OMNI2_SHIM_URING_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <liburing.h>

#endif
