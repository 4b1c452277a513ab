#ifndef OMNI2_SHIM_SQLITE_H
#define OMNI2_SHIM_SQLITE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sqlite3.h>

#endif
