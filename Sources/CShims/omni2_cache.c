/* The writer's system calls and checksum, and the crash points of the test build. */
#include "omni2_cache_writer.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

int omni2_memfd(const char *name, uint64_t bytes) {
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) fd = memfd_create(name, flags); /* before Linux 6.3 */
    if (fd < 0) return -errno;
    /* A default memfd is 0777: whoever holds a read-only copy could re-open it for writing. */
    if (fchmod(fd, 0600) != 0 || ftruncate(fd, (off_t)bytes) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int omni2_seals(int fd) {
    int seals = fcntl(fd, F_GET_SEALS);
    return seals < 0 ? -errno : seals;
}

int omni2_reopen_read_only(int fd) {
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int copy = open(path, O_RDONLY | O_CLOEXEC);
    return copy < 0 ? -errno : copy;
}

int omni2_map(int fd, uint64_t bytes, void **address) {
    void *at = omni2_map_segment(fd, bytes, PROT_READ | PROT_WRITE);
    if (at == MAP_FAILED) return -errno;
    madvise(at, bytes, MADV_DONTFORK);
    madvise(at, bytes, MADV_DONTDUMP);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    *address = at;
    return 0;
}

static int allocate(int fd, int mode, uint64_t offset, uint64_t bytes) {
    while (fallocate(fd, mode, (off_t)offset, (off_t)bytes) != 0)
        if (errno != EINTR) return -errno;
    return 0;
}
int omni2_reserve(int fd, uint64_t offset, uint64_t bytes) { return allocate(fd, 0, offset, bytes); }
int omni2_release(int fd, uint64_t offset, uint64_t bytes) {
    return allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);
}

int omni2_merge_pages(void *address, uint64_t bytes) {
    /* MADV_COLLAPSE, Linux 6.1; shared memory needs no other permission for it. */
    return madvise(address, bytes, 25) == 0 ? 0 : -errno;
}

int64_t omni2_file_bytes(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 ? (int64_t)status.st_size : -(int64_t)errno;
}

int omni2_process_is_gone(int32_t pid) { return kill(pid, 0) != 0 && errno == ESRCH; }

long omni2_read_file(const char *path, void *buffer, size_t capacity) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -(long)errno;
    ssize_t count = read(fd, buffer, capacity);
    long result = count < 0 ? -(long)errno : (long)count;
    close(fd);
    return result;
}

long omni2_receive(int socket, void *buffer, size_t capacity) {
    ssize_t count = recv(socket, buffer, capacity, MSG_DONTWAIT);
    return count < 0 ? -(long)errno : (long)count;
}

long omni2_send_with_descriptors(int socket, const void *message, size_t count, int fd0, int fd1) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec piece = {(void *)(uintptr_t)message, count};
    struct msghdr envelope;
    int fds[2];
    size_t held = 0;
    if (fd0 >= 0) fds[held++] = fd0;
    if (fd1 >= 0) fds[held++] = fd1;
    memset(&envelope, 0, sizeof envelope);
    memset(&control, 0, sizeof control);
    envelope.msg_iov = &piece;
    envelope.msg_iovlen = 1;
    if (held > 0) {
        envelope.msg_control = control.bytes;
        envelope.msg_controllen = CMSG_SPACE(held * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&envelope);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(held * sizeof(int));
        memcpy(CMSG_DATA(head), fds, held * sizeof(int));
    }
    ssize_t sent = sendmsg(socket, &envelope, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -(long)errno : (long)sent;
}

int omni2_peer(int socket, uint32_t *uid, uint32_t *gid, int32_t *pid) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return -errno;
    *uid = credentials.uid;
    *gid = credentials.gid;
    *pid = credentials.pid;
    return 0;
}

/* ---- CRC-32C ---- */

/* Four bits at a time: for processors without the instruction. */
static uint32_t crc_software(uint32_t crc, const unsigned char *p, size_t n) {
    static const uint32_t nibble[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    while (n--) {
        crc ^= *p++;
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_hardware(uint32_t crc,
                                                               const unsigned char *p, size_t n) {
    uint64_t wide = crc;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; n > 0; p++, n--) crc = __builtin_ia32_crc32qi(crc, *p);
    return crc;
}
static int has_crc(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>

#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
__attribute__((target("+crc"))) static uint32_t crc_hardware(uint32_t crc, const unsigned char *p,
                                                            size_t n) {
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        crc = __crc32cd(crc, word);
    }
    for (; n > 0; p++, n--) crc = __crc32cb(crc, *p);
    return crc;
}
static int has_crc(void) { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }
#else
static uint32_t crc_hardware(uint32_t crc, const unsigned char *p, size_t n) {
    return crc_software(crc, p, n);
}
static int has_crc(void) { return 0; }
#endif

uint32_t omni2_crc32c(const void *bytes, size_t count) {
    const unsigned char *p = (const unsigned char *)bytes;
    return ~(has_crc() ? crc_hardware(~0u, p, count) : crc_software(~0u, p, count));
}

uint32_t omni2_crc32c_software(const void *bytes, size_t count) {
    return ~crc_software(~0u, (const unsigned char *)bytes, count);
}

/* ---- Crash points ---- */

#ifdef OMNI2_CACHE_CRASH_POINTS
static uint64_t points_passed, points_left = UINT64_MAX;

void omni2_crash_after(uint64_t stores) {
    points_passed = 0;
    points_left = stores;
}
uint64_t omni2_crash_points_passed(void) { return points_passed; }

void omni2_crash_point(void) {
    points_passed++;
    if (points_left-- == 0) kill(getpid(), SIGKILL);
}
#endif
