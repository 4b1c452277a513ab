#ifndef OMNI2_SHIM_LINUX_H
#define OMNI2_SHIM_LINUX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Nanoseconds on a clock that every Linux has: it cannot fail. */
static inline unsigned long long omni2_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (unsigned long long)now.tv_sec * 1000000000ull + (unsigned long long)now.tv_nsec;
}

/* Open descriptors: the kernel says so as the directory's size from 6.2 on; before, count. */
static inline long omni2_open_descriptors(void) {
    struct stat facts;
    if (stat("/proc/self/fd", &facts) == 0 && facts.st_size > 0) return (long)facts.st_size;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL) return 0;
    long count = 0;
    while (readdir(directory) != NULL) count++;
    closedir(directory);
    /* Without ".", ".." and the directory's own. */
    return count - 3;
}

static inline long omni2_descriptors_max(void) { return sysconf(_SC_OPEN_MAX); }

static inline int omni2_processor_count(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) < 0 ? 1 : CPU_COUNT(&set);
}

static inline unsigned long omni2_thread(void) { return (unsigned long)pthread_self(); }

static inline int omni2_pidfd_open(pid_t process) {
    int descriptor = (int)syscall(SYS_pidfd_open, process, 0);
    return descriptor < 0 ? -errno : descriptor;
}

static inline int omni2_open_create(const char *path, int flags, unsigned mode) {
    int descriptor = open(path, flags, (mode_t)mode);
    return descriptor < 0 ? -errno : descriptor;
}

/* memfd_create with MFD_CLOEXEC, which glibc declares behind _GNU_SOURCE only. */
static inline int omni2_anonymous_file(const char *name) {
    int descriptor = (int)syscall(SYS_memfd_create, name, 1u);
    return descriptor < 0 ? -errno : descriptor;
}

/* Blocks the signals and returns a descriptor on which they are read. */
static inline int omni2_signal_descriptor(const int *signals, int count) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
    int status = pthread_sigmask(SIG_BLOCK, &set, 0);
    if (status != 0) return -status;
    int descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return descriptor < 0 ? -errno : descriptor;
}

/* Ignores SIGPIPE: a peer that left is an error of one send, not the end of the process. */
static inline void omni2_ignore_sigpipe(void) { signal(SIGPIPE, SIG_IGN); }

/* The kernel's struct ucred, whose declaration glibc keeps behind _GNU_SOURCE. */
struct omni2_peer_identity {
    int process;
    unsigned user;
    unsigned group;
};

static inline int omni2_peer_credentials(int descriptor, struct omni2_peer_identity *peer) {
    socklen_t length = sizeof *peer;
    return getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, peer, &length) < 0 ? -errno : 0;
}

/* With _GNU_SOURCE glibc's socket calls take unions, which Swift does not convert to. */
static inline int omni2_bind(int descriptor, const struct sockaddr *address, socklen_t length) {
    return bind(descriptor, address, length) < 0 ? -errno : 0;
}

static inline int omni2_connect(int descriptor, const struct sockaddr *address, socklen_t length) {
    return connect(descriptor, address, length) < 0 ? -errno : 0;
}

static inline int omni2_local_name(
    int descriptor, struct sockaddr_storage *address, socklen_t *length) {
    return getsockname(descriptor, (struct sockaddr *)address, length) < 0 ? -errno : 0;
}

static inline int omni2_peer_name(
    int descriptor, struct sockaddr_storage *address, socklen_t *length) {
    return getpeername(descriptor, (struct sockaddr *)address, length) < 0 ? -errno : 0;
}

/* Accepts without waiting, even on a listener that blocks. */
static inline int omni2_accept_now(int listener) {
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    if (poll(&ready, 1, 0) <= 0) return -EAGAIN;
    int peer = accept4(listener, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return peer < 0 ? -errno : peer;
}

/* ESRCH: there is no such group. */
static inline int omni2_set_group(const char *path, const char *group) {
    struct group *entry = getgrnam(group);
    if (!entry) return -ESRCH;
    return chown(path, (uid_t)-1, entry->gr_gid) < 0 ? -errno : 0;
}

/* The kernel's own name of a socket, never given twice while the machine runs; 0 on failure. */
static inline unsigned long long omni2_socket_cookie(int descriptor) {
    unsigned long long cookie = 0;
    socklen_t length = sizeof cookie;
    return getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0 ? 0 : cookie;
}

/* A word that another process reads after our end: nothing written later overtakes it, and it
   overtakes nothing written before. */
static inline void omni2_store_word(void *place, unsigned long long value) {
    __atomic_thread_fence(__ATOMIC_ACQ_REL);
    __atomic_store_n((unsigned long long *)place, value, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_ACQ_REL);
}

static inline unsigned long long omni2_load_word(const void *place) {
    return __atomic_load_n((const unsigned long long *)place, __ATOMIC_ACQUIRE);
}

static inline long long omni2_descriptor_size(int descriptor) {
    struct stat status;
    return fstat(descriptor, &status) < 0 ? -errno : (long long)status.st_size;
}

static inline int omni2_duplicate(int descriptor) {
    int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    return copy < 0 ? -errno : copy;
}

static inline long long omni2_write_at(int descriptor, const void *bytes, size_t count, long long offset) {
    ssize_t result;
    do result = pwrite(descriptor, bytes, count, offset);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

static inline long long omni2_read_at(int descriptor, void *bytes, size_t count, long long offset) {
    ssize_t result;
    do result = pread(descriptor, bytes, count, offset);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

/* ends[0] is read, ends[1] written. */
static inline int omni2_nonblocking_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0; }

static inline int omni2_socket_option(int descriptor, int level, int option, int value) {
    return setsockopt(descriptor, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

/* malloc_trim, which is glibc's own. */
void omni2_trim_heap(void);

/* Gives back what only the start needed: free heap, and pages of code, which are clean and come back
   from the page cache by need. Code is mapped `r-x` and never written, relocations are elsewhere. */
static inline void omni2_release_memory(void) {
    omni2_trim_heap();
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps) return;
    char line[512];
    while (fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        char mode[5], path[256];
        if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %255s", &start, &end, mode, path) != 4) continue;
        if (strcmp(mode, "r-xp") == 0 && path[0] == '/')
            madvise((void *)start, end - start, MADV_DONTNEED);
    }
    fclose(maps);
}

#endif
