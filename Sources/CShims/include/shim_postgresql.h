#ifndef OMNI2_SHIM_POSTGRESQL_H
#define OMNI2_SHIM_POSTGRESQL_H

#include <postgresql/libpq-fe.h>
#include <postgresql/postgres_ext.h>

/* The field codes are character macros, which Swift cannot read. */
static inline const char *omni2_postgres_state(const PGresult *result) {
    return PQresultErrorField(result, PG_DIAG_SQLSTATE);
}

static inline const char *omni2_postgres_message(const PGresult *result) {
    return PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
}

static inline void omni2_postgres_drop_notice(void *context, const PGresult *notice) {
    (void)context;
    (void)notice;
}

/* libpq prints notices on standard error unless told otherwise. */
static inline void omni2_postgres_drop_notices(PGconn *connection) {
    PQsetNoticeReceiver(connection, omni2_postgres_drop_notice, 0);
}

#endif
