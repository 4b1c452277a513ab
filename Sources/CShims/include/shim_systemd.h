#ifndef OMNI2_SHIM_SYSTEMD_H
#define OMNI2_SHIM_SYSTEMD_H

#include <systemd/sd-daemon.h>

#endif
