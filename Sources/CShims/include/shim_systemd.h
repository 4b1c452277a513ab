#ifndef OMNI2_SHIM_SYSTEMD_H
#define OMNI2_SHIM_SYSTEMD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

// Every function here translates and decides nothing: a result, or -errno.

// Clocks and calendar

struct omni2_calendar {
    int32_t year, month, day, hour, minute, second;
};

static inline int64_t omni2_clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t omni2_wall_clock_ns(void) { return omni2_clock_ns(CLOCK_REALTIME); }

static inline uint64_t omni2_monotonic_us(void) {
    return (uint64_t)omni2_clock_ns(CLOCK_MONOTONIC) / 1000;
}

static inline void omni2_calendar_from(const struct tm *parts, struct omni2_calendar *out) {
    out->year = parts->tm_year + 1900;
    out->month = parts->tm_mon + 1;
    out->day = parts->tm_mday;
    out->hour = parts->tm_hour;
    out->minute = parts->tm_min;
    out->second = parts->tm_sec;
}

static inline void omni2_local_time(int64_t seconds, struct omni2_calendar *out) {
    time_t when = (time_t)seconds;
    struct tm parts;
    memset(&parts, 0, sizeof parts);
    localtime_r(&when, &parts);
    omni2_calendar_from(&parts, out);
}

static inline void omni2_utc_time(int64_t seconds, struct omni2_calendar *out) {
    time_t when = (time_t)seconds;
    struct tm parts;
    memset(&parts, 0, sizeof parts);
    gmtime_r(&when, &parts);
    omni2_calendar_from(&parts, out);
}

// Files

struct omni2_file_facts {
    uint64_t device, inode, size;
    uint32_t mode;          // permission bits
    int32_t is_regular, is_directory, is_socket, is_null_device;
};

static inline void omni2_facts_from(const struct stat *status, struct omni2_file_facts *out) {
    out->device = status->st_dev;
    out->inode = status->st_ino;
    out->size = (uint64_t)status->st_size;
    out->mode = status->st_mode & 07777;
    out->is_regular = S_ISREG(status->st_mode);
    out->is_directory = S_ISDIR(status->st_mode);
    out->is_socket = S_ISSOCK(status->st_mode);
    out->is_null_device = S_ISCHR(status->st_mode) && status->st_rdev == 0x103;
}

static inline int omni2_path_facts(const char *path, struct omni2_file_facts *out) {
    struct stat status;
    if (stat(path, &status) < 0) return -errno;
    omni2_facts_from(&status, out);
    return 0;
}

static inline int omni2_descriptor_facts(int fd, struct omni2_file_facts *out) {
    struct stat status;
    if (fstat(fd, &status) < 0) return -errno;
    omni2_facts_from(&status, out);
    return 0;
}

static inline const char *omni2_entry_name(const struct dirent *entry) { return entry->d_name; }

static inline int omni2_open_directory(const char *path, DIR **out) {
    *out = opendir(path);
    return *out ? 0 : -errno;
}

static inline int omni2_open_read(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    return fd < 0 ? -errno : fd;
}

// A descriptor of our own onto what `fd` shows: O_NONBLOCK set on it is not seen by others who
// share `fd`, a shell's terminal for example.
static inline int omni2_reopen_nonblocking(int fd) {
    char path[32] = "/proc/self/fd/";
    int length = 14, digits = 1;
    for (int rest = fd; rest >= 10; rest /= 10) digits++;
    for (int index = digits - 1, rest = fd; index >= 0; index--, rest /= 10)
        path[length + index] = (char)('0' + rest % 10);
    path[length + digits] = 0;
    int result = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_APPEND | O_NOCTTY);
    return result < 0 ? -errno : result;
}

static inline int64_t omni2_read(int fd, void *bytes, size_t count) {
    ssize_t result;
    do result = read(fd, bytes, count);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

static inline int64_t omni2_write(int fd, const void *bytes, size_t count) {
    ssize_t result;
    do result = write(fd, bytes, count);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

// Unix datagrams

/// A datagram socket connected to `path`; a leading '@' means the abstract namespace.
static inline int omni2_datagram_connect(const char *path, size_t length) {
    struct sockaddr_un address;
    if (length == 0 || length >= sizeof address.sun_path) return -ENAMETOOLONG;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') address.sun_path[0] = 0;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length
                                 + (path[0] == '@' ? 0 : 1));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (const struct sockaddr *)&address, size) < 0) {
        int failure = errno;
        close(fd);
        return -failure;
    }
    return fd;
}

/// Sends one datagram with up to 253 descriptors, the kernel's limit per message.
static inline int64_t omni2_datagram_send(int socket, const void *bytes, size_t count,
                                          const int *fds, size_t fd_count) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(253 * sizeof(int))];
    } control;
    struct iovec vector = {(void *)bytes, count};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &vector;
    message.msg_iovlen = count > 0 ? 1 : 0;
    if (fd_count > 253) return -EINVAL;
    if (fd_count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
    }
    ssize_t result;
    do result = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

/// A socket that holds copies of the descriptors in its queue, as one message, and nothing else.
static inline int omni2_parcel_pack(const int *fds, size_t fd_count) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return -errno;
    int64_t sent = omni2_datagram_send(ends[0], "p", 1, fds, fd_count);
    close(ends[0]);
    if (sent >= 0) return ends[1];
    close(ends[1]);
    return (int)sent;
}

/// Takes them out again: how many, or -errno.
static inline int omni2_parcel_unpack(int parcel, int *fds, size_t fd_max) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(253 * sizeof(int))];
    } control;
    char byte;
    struct iovec vector = {&byte, 1};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    ssize_t result;
    do result = recvmsg(parcel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (result < 0 && errno == EINTR);
    if (result < 0) return -errno;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return 0;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    if (count > fd_max) count = fd_max;
    memcpy(fds, CMSG_DATA(header), count * sizeof(int));
    return (int)count;
}

/// Sends the records `first ..< first + count` of one buffer, each a datagram; `ends[i]` is where
/// record i ends. Answers how many were taken, or -errno when the first one was not.
static inline int omni2_datagrams_send(int socket, const uint8_t *bytes, const int64_t *ends,
                                       size_t first, size_t count) {
    enum { batch = 64 };
    struct mmsghdr messages[batch];
    struct iovec vectors[batch];
    if (count > batch) count = batch;
    memset(messages, 0, sizeof messages[0] * count);
    for (size_t index = 0; index < count; index++) {
        int64_t start = first + index == 0 ? 0 : ends[first + index - 1];
        vectors[index].iov_base = (void *)(bytes + start);
        vectors[index].iov_len = (size_t)(ends[first + index] - start);
        messages[index].msg_hdr.msg_iov = &vectors[index];
        messages[index].msg_hdr.msg_iovlen = 1;
    }
    int result;
    do result = sendmmsg(socket, messages, (unsigned)count, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

/// A memfd with `count` bytes, sealed against every change, as journald wants it.
static inline int omni2_sealed_memfd(const void *bytes, size_t count) {
    int fd = memfd_create("omni2-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -errno;
    size_t written = 0;
    while (written < count) {
        int64_t result = omni2_write(fd, (const char *)bytes + written, count - written);
        if (result < 0) {
            close(fd);
            return (int)result;
        }
        written += (size_t)result;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
        int failure = errno;
        close(fd);
        return -failure;
    }
    return fd;
}

// Sockets that were passed to us

// The kernel's names for these are enumerations of their own type in Swift.
enum { omni2_stream_value = SOCK_STREAM, omni2_packet_value = SOCK_SEQPACKET };
static const int32_t omni2_stream = omni2_stream_value;
static const int32_t omni2_packet = omni2_packet_value;

struct omni2_socket_facts {
    int32_t family;         // -1: not a socket
    int32_t type;
    int32_t is_listening;
};

static inline void omni2_socket_inspect(int fd, struct omni2_socket_facts *out) {
    socklen_t size = sizeof(int);
    int value = 0;
    out->family = -1;
    out->type = 0;
    out->is_listening = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size) < 0) return;
    out->family = value;
    size = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) == 0) out->type = value;
    size = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0) out->is_listening = value;
}

static inline int omni2_set_close_on_exec(int fd) {
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0) return -errno;
    return 0;
}

static inline char **omni2_environment(void) { return environ; }

#endif
