#ifndef OMNI2_SHIM_SYSTEMD_H
#define OMNI2_SHIM_SYSTEMD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <systemd/sd-daemon.h>

#endif
