#ifndef OMNI2_SHIM_SQLITE_H
#define OMNI2_SHIM_SQLITE_H

#include <sqlite3.h>

/* SQLITE_TRANSIENT is a cast macro, which Swift cannot read: SQLite copies the text. */
static inline int omni2_sqlite_bind_text(
    sqlite3_stmt *statement, int index, const char *text, int count) {
    return sqlite3_bind_text(statement, index, text, count, SQLITE_TRANSIENT);
}

#endif
