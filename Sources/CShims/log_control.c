#include "shim_bus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

struct omni2_log_control {
    struct omni2_log_control_calls calls;
    sd_bus *bus;
    int refusal; /* -errno of the request for the name */
};

static const char *const level_names[] = {"emerg",   "alert",  "crit", "err",
                                          "warning", "notice", "info", "debug"};

static int get_level(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *data, sd_bus_error *error) {
    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    struct omni2_log_control *control = data;
    int level = control->calls.level(control->calls.context);
    return sd_bus_message_append(reply, "s", level_names[level & 7]);
}

static int set_level(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *value, void *data, sd_bus_error *error) {
    (void)bus, (void)path, (void)interface, (void)property;
    struct omni2_log_control *control = data;
    const char *name;
    int result = sd_bus_message_read(value, "s", &name);
    if (result < 0) return result;
    for (int level = 0; level < 8; level++)
        if (strcmp(name, level_names[level]) == 0) {
            control->calls.set_level(control->calls.context, level);
            return 0;
        }
    return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "there is no log level %s", name);
}

static int get_target(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *data, sd_bus_error *error) {
    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "s", ((struct omni2_log_control *)data)->calls.target);
}

static int set_target(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *value, void *data, sd_bus_error *error) {
    (void)bus, (void)path, (void)interface, (void)property;
    const char *name, *target = ((struct omni2_log_control *)data)->calls.target;
    int result = sd_bus_message_read(value, "s", &name);
    if (result < 0) return result;
    /* "auto" is what systemctl sends to go back to the default. */
    if (strcmp(name, target) == 0 || strcmp(name, "auto") == 0) return 0;
    return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                             "records go to the %s, which cannot change while running", target);
}

static int get_identifier(sd_bus *bus, const char *path, const char *interface,
                          const char *property, sd_bus_message *reply, void *data,
                          sd_bus_error *error) {
    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "s", ((struct omni2_log_control *)data)->calls.identifier);
}

static const sd_bus_vtable properties[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", get_level, set_level, 0, 0),
    SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", get_target, set_target, 0, 0),
    SD_BUS_PROPERTY("SyslogIdentifier", "s", get_identifier, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_VTABLE_END,
};

static int name_answered(sd_bus_message *reply, void *data, sd_bus_error *error) {
    (void)error;
    struct omni2_log_control *control = data;
    if (sd_bus_message_is_method_error(reply, NULL))
        control->refusal = -sd_bus_message_get_errno(reply);
    return 1;
}

static int begin(struct omni2_log_control *control, const char *name) {
    int result = sd_bus_new(&control->bus);
    if (result >= 0)
        result = sd_bus_set_address(control->bus, "unix:path=/run/dbus/system_bus_socket");
    if (result >= 0) result = sd_bus_set_bus_client(control->bus, 1);
    if (result >= 0) result = sd_bus_start(control->bus);
    if (result >= 0)
        result = sd_bus_add_object_vtable(control->bus, NULL, "/org/freedesktop/LogControl1",
                                          "org.freedesktop.LogControl1", properties, control);
    if (result >= 0)
        result = sd_bus_request_name_async(control->bus, NULL, name, 0, name_answered, control);
    return result;
}

int omni2_log_control_open(const char *name, const struct omni2_log_control_calls *calls,
                           struct omni2_log_control **out) {
    struct omni2_log_control *control = calloc(1, sizeof *control);
    if (!control) return -ENOMEM;
    control->calls = *calls;
    int result = begin(control, name);
    if (result < 0) {
        omni2_log_control_close(control);
        return result;
    }
    *out = control;
    return 0;
}

int omni2_log_control_descriptor(const struct omni2_log_control *control) {
    return sd_bus_get_fd(control->bus);
}

int omni2_log_control_events(const struct omni2_log_control *control) {
    return sd_bus_get_events(control->bus);
}

uint64_t omni2_log_control_deadline(const struct omni2_log_control *control) {
    uint64_t deadline = UINT64_MAX;
    /* A failure means that there is none. */
    if (sd_bus_get_timeout(control->bus, &deadline) < 0) return UINT64_MAX;
    return deadline;
}

int omni2_log_control_process(struct omni2_log_control *control) {
    int result;
    do result = sd_bus_process(control->bus, NULL);
    while (result > 0);
    return result < 0 ? result : control->refusal;
}

void omni2_log_control_close(struct omni2_log_control *control) {
    /* Not flushed: whoever waits for an answer sees the connection end. */
    sd_bus_close(control->bus);
    sd_bus_unref(control->bus);
    free(control);
}
