#ifndef OMNI2_SHIM_SQLITE_H
#define OMNI2_SHIM_SQLITE_H

#include <sqlite3.h>

#endif
