#ifndef OMNI2_SHIM_HOST_H
#define OMNI2_SHIM_HOST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

/* Bytes of the file system that holds `path`, and those that are left for everybody. */
static inline int omni2_space(const char *path, uint64_t *all, uint64_t *left) {
    struct statvfs status;
    if (statvfs(path, &status) < 0) return -errno;
    *all = (uint64_t)status.f_blocks * status.f_frsize;
    *left = (uint64_t)status.f_bavail * status.f_frsize;
    return 0;
}

/* 1 when something keeps the clock right, 0 when nothing does; EPERM where nobody may ask. */
static inline int omni2_clock_is_kept(void) {
    struct timex state = {0};
    if (adjtimex(&state) < 0) return -errno;
    return (state.status & STA_UNSYNC) == 0;
}

struct omni2_owner {
    uint32_t mode, user, group;
    int is_socket;
};

static inline int omni2_path_owner(const char *path, struct omni2_owner *out) {
    struct stat status;
    if (stat(path, &status) < 0) return -errno;
    out->mode = status.st_mode & 07777;
    out->user = status.st_uid;
    out->group = status.st_gid;
    out->is_socket = S_ISSOCK(status.st_mode);
    return 0;
}

/* May we read and write it? 0, or -errno. */
static inline int omni2_may_use(const char *path) { return access(path, R_OK | W_OK) < 0 ? -errno : 0; }

static inline const char *omni2_user_name(uint32_t user) {
    struct passwd *entry = getpwuid(user);
    return entry ? entry->pw_name : 0;
}

static inline const char *omni2_group_name(uint32_t group) {
    struct group *entry = getgrgid(group);
    return entry ? entry->gr_name : 0;
}

#endif
