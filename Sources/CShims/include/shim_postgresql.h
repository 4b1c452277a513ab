#ifndef OMNI2_SHIM_POSTGRESQL_H
#define OMNI2_SHIM_POSTGRESQL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <postgresql/libpq-fe.h>

#endif
