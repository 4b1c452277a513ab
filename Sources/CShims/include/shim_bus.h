#ifndef OMNI2_SHIM_BUS_H
#define OMNI2_SHIM_BUS_H

#include <stdint.h>

/* org.freedesktop.LogControl1 on the system bus, the interface behind "systemctl service-log-level".
 * sd-bus does the talking; the caller waits on the descriptor and calls `process`. */

struct omni2_log_control;

struct omni2_log_control_calls {
    void *context;
    int (*level)(void *context);                 /* as syslog numbers it */
    void (*set_level)(void *context, int level);
    const char *target;                          /* "journal", "console"; outlives the object */
    const char *identifier;                      /* likewise */
};

/* Begins to connect and to ask for the name; -errno when there is no bus. */
int omni2_log_control_open(const char *name, const struct omni2_log_control_calls *calls,
                           struct omni2_log_control **out);
int omni2_log_control_descriptor(const struct omni2_log_control *control);
/* What poll is to wait for; -errno when the connection has ended. */
int omni2_log_control_events(const struct omni2_log_control *control);
/* When sd-bus wants to be called in any case, in microseconds of CLOCK_MONOTONIC; UINT64_MAX: never. */
uint64_t omni2_log_control_deadline(const struct omni2_log_control *control);
/* Handles everything that has arrived; -errno when the connection has ended, or when the name was
 * refused. */
int omni2_log_control_process(struct omni2_log_control *control);
void omni2_log_control_close(struct omni2_log_control *control);

#endif
