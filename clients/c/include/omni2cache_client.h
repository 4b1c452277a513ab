/* Implementation part of omni2cache.h: handles, attaching, and attaching again. */
#ifndef OMNI2CACHE_CLIENT_H
#define OMNI2CACHE_CLIENT_H

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OMNI2_TIMEOUT_MS_DEFAULT 200u
#define OMNI2_BACKOFF_NS UINT64_C(1000000000)

struct omni2_cache {
    omni2_view view;
    int status;             /* OMNI2_OK: view is attached */
    uint32_t timeout_ms, flags;
    int socket_known;       /* 0: opened over a descriptor, cannot attach again */
    uint64_t retry_at;      /* CLOCK_BOOTTIME: no attach before that */
    uint64_t counted[OMNI2_COUNTERS]; /* of earlier views */
    struct sockaddr_un address;
};

static inline uint64_t omni2_monotonic_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Waits for `events` until the deadline. 0: ready. */
static inline int omni2_wait(int fd, short events, uint64_t deadline) {
    for (;;) {
        uint64_t now = omni2_monotonic_ms();
        if (now >= deadline) return OMNI2_E_TIMEOUT;
        struct pollfd p = {fd, events, 0};
        int ready = poll(&p, 1, (int)(deadline - now));
        if (ready > 0) return OMNI2_OK;
        if (ready == 0) return OMNI2_E_TIMEOUT;
        if (errno != EINTR) return OMNI2_E_CONNECT;
    }
}

static inline int omni2_connect(const struct sockaddr_un *address, uint64_t deadline) {
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return OMNI2_E_CONNECT;
    while (connect(fd, (const struct sockaddr *)(const void *)address, sizeof *address) != 0) {
        if (errno == EINTR) continue;
        /* A full backlog says EAGAIN and offers nothing to poll for. */
        if (errno == EAGAIN && omni2_monotonic_ms() < deadline) {
            struct timespec pause = {0, 1000000};
            nanosleep(&pause, NULL);
            continue;
        }
        int result = errno == EAGAIN ? OMNI2_E_TIMEOUT : OMNI2_E_CONNECT;
        int error = errno;
        close(fd);
        errno = error;
        return result;
    }
    return fd;
}

/* Receives WELCOME and up to two descriptors (-1 where none came). */
static inline int omni2_receive_welcome(int fd, omni2_welcome *welcome, int fds[2]) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec piece = {welcome, sizeof *welcome};
    struct msghdr envelope;
    memset(&envelope, 0, sizeof envelope);
    envelope.msg_iov = &piece;
    envelope.msg_iovlen = 1;
    envelope.msg_control = control.bytes;
    envelope.msg_controllen = sizeof control.bytes;
    ssize_t count = recvmsg(fd, &envelope, MSG_CMSG_CLOEXEC);
    fds[0] = fds[1] = -1;
    if (count < 0) return OMNI2_E_CONNECT;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&envelope); head;
         head = CMSG_NXTHDR(&envelope, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        size_t held = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(head), (held < 2 ? held : 2) * sizeof(int));
    }
    if (count != (ssize_t)sizeof *welcome || welcome->magic != OMNI2_WELCOME_MAGIC ||
        welcome->protocol != OMNI2_PROTOCOL)
        return count == 0 ? OMNI2_E_CONNECT : OMNI2_E_PROTOCOL;
    switch (welcome->status) {
    case OMNI2_WELCOME_OK: return fds[0] < 0 ? OMNI2_E_PROTOCOL : OMNI2_OK;
    case OMNI2_WELCOME_PROTOCOL: return OMNI2_E_PROTOCOL;
    case OMNI2_WELCOME_VERSION: return OMNI2_E_VERSION;
    case OMNI2_WELCOME_SAME_USER: return OMNI2_E_SAME_USER;
    case OMNI2_WELCOME_UNAVAILABLE: return OMNI2_E_UNAVAILABLE;
    default: return OMNI2_E_REFUSED;
    }
}

/*
 * Time namespaces shift the boot clock. A difference that the exchange itself could explain is
 * none.
 */
static inline int64_t omni2_clock_offset(uint64_t sent, uint64_t received, uint64_t theirs) {
    int64_t middle = (int64_t)(sent + (received - sent) / 2);
    int64_t offset = (int64_t)theirs - middle;
    int64_t doubt = (int64_t)(received - sent) + 5000000;
    return offset <= doubt && offset >= -doubt ? 0 : offset;
}

/* One HELLO and one WELCOME. On OMNI2_OK `view` is attached; no descriptor is kept. */
static inline int omni2_handshake(const struct sockaddr_un *address, uint32_t timeout_ms,
                                  uint32_t flags, omni2_view *view) {
    uint64_t deadline = omni2_monotonic_ms() + timeout_ms;
    int fds[2] = {-1, -1};
    omni2_hello hello;
    omni2_welcome welcome;
    int fd = omni2_connect(address, deadline);
    if (fd < 0) return fd;
    memset(&hello, 0, sizeof hello);
    hello.magic = OMNI2_HELLO_MAGIC;
    hello.protocol = OMNI2_PROTOCOL;
    hello.features = flags & OMNI2_OPEN_SILENT ? 0 : (uint32_t)OMNI2_HELLO_WANTS_AREA;
    hello.majors = UINT64_C(1) << OMNI2_CACHE_MAJOR;
    hello.clock = omni2_boot_clock();
    int result = OMNI2_E_CONNECT;
    if (send(fd, &hello, sizeof hello, MSG_NOSIGNAL) == (ssize_t)sizeof hello)
        result = omni2_wait(fd, POLLIN, deadline);
    if (result == OMNI2_OK) result = omni2_receive_welcome(fd, &welcome, fds);
    uint64_t received = omni2_boot_clock();
    close(fd);
    if (result == OMNI2_OK) result = omni2_view_attach(view, fds[0]);
    if (result == OMNI2_OK) {
        if (flags & OMNI2_OPEN_POPULATE) omni2_view_populate(view, fds[0]);
        view->clock_offset = omni2_clock_offset(hello.clock, received, welcome.clock);
        /* Reading works without an area; recency is then not reported. */
        if (fds[1] >= 0) (void)omni2_view_attach_area(view, fds[1]);
    }
    if (fds[0] >= 0) close(fds[0]);
    if (fds[1] >= 0) close(fds[1]);
    return result;
}

static inline void omni2_forget_view(omni2_cache *cache) {
    for (int i = 0; i < OMNI2_COUNTERS; i++) cache->counted[i] += cache->view.counters[i];
    omni2_view_detach(&cache->view);
}

/* Replaces the view if a new one can be had; keeps the old one otherwise. */
static inline int omni2_attach(omni2_cache *cache) {
    omni2_view fresh;
    if (!cache->socket_known) return OMNI2_E_UNAVAILABLE;
    if (omni2_boot_clock() < cache->retry_at) return OMNI2_E_BACKOFF;
    int result = omni2_handshake(&cache->address, cache->timeout_ms, cache->flags, &fresh);
    if (result != OMNI2_OK) {
        cache->retry_at = omni2_boot_clock() + OMNI2_BACKOFF_NS;
        return result;
    }
    omni2_forget_view(cache);
    cache->view = fresh;
    cache->status = OMNI2_OK;
    return OMNI2_OK;
}

OMNI2CACHE_API int omni2_cache_open(const omni2_cache_opts *opts, omni2_cache **cache) {
    const char *path = opts ? opts->socket_path : NULL;
    *cache = NULL;
    if (!path) path = getenv("OMNI2_CACHE_SOCKET");
    if (!path || !*path) path = OMNI2_CACHE_SOCKET;
    omni2_cache *c = (omni2_cache *)calloc(1, sizeof *c);
    if (!c) return OMNI2_E_MEMORY;
    if (strlen(path) >= sizeof c->address.sun_path) {
        free(c);
        return OMNI2_E_ARGUMENT;
    }
    c->address.sun_family = AF_UNIX;
    strcpy(c->address.sun_path, path);
    c->socket_known = 1;
    c->timeout_ms = opts && opts->timeout_ms ? opts->timeout_ms : OMNI2_TIMEOUT_MS_DEFAULT;
    c->flags = opts ? opts->flags : 0;
    c->status = omni2_attach(c);
    if (c->status != OMNI2_OK && !(c->flags & OMNI2_OPEN_LAZY)) {
        int result = c->status;
        free(c);
        return result;
    }
    *cache = c;
    return OMNI2_OK;
}

OMNI2CACHE_API int omni2_cache_open_descriptor(int fd, omni2_cache **cache) {
    *cache = NULL;
    omni2_cache *c = (omni2_cache *)calloc(1, sizeof *c);
    if (!c) return OMNI2_E_MEMORY;
    int result = omni2_view_attach(&c->view, fd);
    if (result != OMNI2_OK) {
        free(c);
        return result;
    }
    *cache = c;
    return OMNI2_OK;
}

/*
 * The slow path: the view cannot be trusted (any more). True if there is another one now. When a
 * new attach finds the same unusable segment, the back-off keeps lookups from trying each time.
 */
static inline int omni2_again(omni2_cache *cache, int reason) {
    uint64_t before = cache->view.base ? cache->view.geometry.segment_id : 0;
    uint64_t epoch = cache->view.epoch;
    cache->status = reason;
    int result = omni2_attach(cache);
    if (result != OMNI2_OK) {
        if (result != OMNI2_E_BACKOFF) cache->status = result;
        return 0;
    }
    if (cache->view.geometry.segment_id == before && cache->view.epoch == epoch)
        cache->retry_at = omni2_boot_clock() + OMNI2_BACKOFF_NS;
    return 1;
}

/* A recovered segment is as good as before, but its new writer does not know us yet. */
static inline void omni2_greet_successor(omni2_cache *cache) {
    uint64_t epoch = omni2_load_relaxed(&cache->view.control->epoch);
    if (__builtin_expect(epoch == cache->view.epoch, 1)) return;
    cache->view.epoch = epoch;
    if (cache->socket_known) (void)omni2_attach(cache);
}

static inline int omni2_is_reason(long result) {
    return result <= OMNI2_RETIRED && result >= OMNI2_CLOCK;
}

OMNI2CACHE_API long omni2_cache_get(omni2_cache *cache, const uint8_t key[32], void *buffer,
                                    size_t capacity, omni2_cache_meta *meta) {
    if (__builtin_expect(!cache->view.base, 0)) {
        if (!omni2_again(cache, cache->status)) return OMNI2_MISS;
    }
    omni2_greet_successor(cache);
    long result = omni2_view_get(&cache->view, key, buffer, capacity, meta);
    if (__builtin_expect(!omni2_is_reason(result), 1)) return result;
    if (!omni2_again(cache, (int)result)) return OMNI2_MISS;
    result = omni2_view_get(&cache->view, key, buffer, capacity, meta);
    if (!omni2_is_reason(result)) return result;
    cache->status = (int)result;
    return OMNI2_MISS;
}

OMNI2CACHE_API int omni2_cache_contains(omni2_cache *cache, const uint8_t key[32],
                                        omni2_cache_meta *meta) {
    if (!cache->view.base && !omni2_again(cache, cache->status)) return OMNI2_MISS;
    omni2_greet_successor(cache);
    int result = omni2_view_contains(&cache->view, key, meta);
    if (!omni2_is_reason(result)) return result;
    if (!omni2_again(cache, result)) return OMNI2_MISS;
    result = omni2_view_contains(&cache->view, key, meta);
    if (!omni2_is_reason(result)) return result;
    cache->status = result;
    return OMNI2_MISS;
}

OMNI2CACHE_API unsigned omni2_cache_get_many(omni2_cache *cache, const uint8_t (*keys)[32],
                                             unsigned count, omni2_cache_out *out) {
    if (!cache->view.base && !omni2_again(cache, cache->status)) {
        for (unsigned i = 0; i < count; i++) out[i].result = OMNI2_MISS;
        return 0;
    }
    omni2_greet_successor(cache);
    unsigned hits = omni2_view_get_many(&cache->view, keys, count, out);
    unsigned reasons = 0;
    int reason = OMNI2_OK;
    for (unsigned i = 0; i < count; i++) {
        if (!omni2_is_reason(out[i].result)) continue;
        reason = (int)out[i].result;
        reasons++;
    }
    if (__builtin_expect(reasons == 0, 1)) return hits;
    if (omni2_again(cache, reason)) hits = omni2_view_get_many(&cache->view, keys, count, out);
    for (unsigned i = 0; i < count; i++) {
        if (!omni2_is_reason(out[i].result)) continue;
        cache->status = (int)out[i].result;
        out[i].result = OMNI2_MISS;
    }
    return hits;
}

OMNI2CACHE_API int omni2_cache_stats(omni2_cache *cache, omni2_cache_counters *counters) {
    uint64_t sum[OMNI2_COUNTERS];
    memset(counters, 0, sizeof *counters);
    for (int i = 0; i < OMNI2_COUNTERS; i++) sum[i] = cache->counted[i] + cache->view.counters[i];
    counters->hits = sum[OMNI2_COUNT_HITS];
    counters->misses = sum[OMNI2_COUNT_MISSES];
    counters->expired = sum[OMNI2_COUNT_EXPIRED];
    counters->invalid = sum[OMNI2_COUNT_INVALID];
    counters->retries = sum[OMNI2_COUNT_RETRIES];
    counters->corrupt = sum[OMNI2_COUNT_CORRUPT];
    if (!cache->view.base) return cache->status;
    for (int i = 0; i < (int)OMNI2_STAT_COUNT; i++)
        counters->published[i] = omni2_view_statistic(&cache->view, (enum omni2_statistic)i);
    counters->segment_id = cache->view.geometry.segment_id;
    counters->epoch = omni2_load_relaxed(&cache->view.control->epoch);
    uint64_t now = omni2_view_clock(&cache->view);
    uint64_t beat = omni2_load_relaxed(&cache->view.control->heartbeat);
    counters->heartbeat_age = now > beat ? now - beat : 0;
    return cache->status;
}

OMNI2CACHE_API int omni2_cache_status(const omni2_cache *cache) {
    if (cache->status != OMNI2_OK || !cache->view.base) return cache->status;
    if (!omni2_view_is_live(&cache->view)) return OMNI2_RETIRED;
    return omni2_view_liveness(&cache->view, omni2_view_clock(&cache->view));
}

OMNI2CACHE_API void omni2_cache_close(omni2_cache *cache) {
    if (!cache) return;
    omni2_view_detach(&cache->view);
    free(cache);
}

OMNI2CACHE_API const char *omni2_cache_strerror(int code) {
    switch (code) {
    case OMNI2_OK: return "attached";
    case OMNI2_MISS: return "not in the cache";
    case OMNI2_TOO_SMALL: return "the value is longer than the buffer";
    case OMNI2_RETIRED: return "the segment was replaced";
    case OMNI2_ORPHANED: return "the daemon has not renewed the segment for 15 seconds";
    case OMNI2_CLOCK: return "the boot clocks of this process and of the daemon differ";
    case OMNI2_E_ARGUMENT: return "invalid argument";
    case OMNI2_E_CONNECT: return "cannot connect to the cache socket (is the daemon running, and "
                                 "this user in group omni2-cache?)";
    case OMNI2_E_TIMEOUT: return "the daemon did not answer in time";
    case OMNI2_E_PROTOCOL: return "the socket does not speak the cache protocol";
    case OMNI2_E_REFUSED: return "the daemon refuses this process";
    case OMNI2_E_SAME_USER: return "the daemon refuses readers that run as its own user";
    case OMNI2_E_SEALS: return "the descriptor is not a sealed segment";
    case OMNI2_E_TRUNCATED: return "the segment is shorter than its header says";
    case OMNI2_E_MAGIC: return "the descriptor is not a cache segment";
    case OMNI2_E_VERSION: return "the segment has a layout this library does not know";
    case OMNI2_E_GEOMETRY: return "the segment's header is damaged";
    case OMNI2_E_STATE: return "the segment is not live";
    case OMNI2_E_MAP: return "the segment cannot be mapped";
    case OMNI2_E_MEMORY: return "out of memory";
    case OMNI2_E_UNAVAILABLE: return "the daemon has no segment now";
    case OMNI2_E_BACKOFF: return "attaching failed a moment ago";
    default: return "unknown code";
    }
}

#ifdef __cplusplus
}
#endif

#endif
