#ifndef OMNI2_SHIM_POSTGRESQL_H
#define OMNI2_SHIM_POSTGRESQL_H

#include <postgresql/libpq-fe.h>

#endif
