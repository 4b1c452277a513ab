/* The machine's limit: the least a fan-out server can do. Frames that arrive from the publisher in
 * one turn leave in one send per subscriber, by send() or by io_uring. No parsing of what subscribers
 * send, no partial sends (it aborts instead).
 *
 * One policy it shares with the daemon, for it decides how many frames one send carries: a flush that
 * took more than 2 ms is followed by a pause of as long, 5 ms at most, in which frames gather.
 *
 *   limit PORT send|uring[,fixed][,zc][,sqpoll][,defer][,batch=N][,of=PID]
 *
 * fixed: registered files; zc: SEND_ZC; sqpoll: a kernel thread submits; defer: DEFER_TASKRUN; batch:
 * sends per submission; of: when its publisher comes it shares the connections of that server, which
 * must be still whenever this one sends: the same sockets, so that nothing but the servers differs
 * (it needs the right to trace that process). Bundles (6.10) have no place here: a bundle sends all provided buffers that lie
 * ready, a queue per connection, where one log for all is one plain send of a window. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SUBSCRIBERS = 16384, RING = 8192, SLOW_NS = 2000000, PAUSE_NS_MAX = 5000000 };

static int uses_files, uses_zc, owner;
static unsigned batch = 1024;

static int subscribers[SUBSCRIBERS], count, poller;
static unsigned char out[1 << 20];
static size_t out_bytes;
static struct io_uring ring;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* A masked frame with a mask of zero, as the load generator sends: the same without mask. */
static void take_frames(const unsigned char *bytes, size_t bytes_count) {
    size_t position = 0;
    while (position + 6 <= bytes_count) {
        size_t length = bytes[position + 1] & 0x7F, head = 2;
        if (length == 126) {
            length = (size_t)bytes[position + 2] << 8 | bytes[position + 3];
            head = 4;
        }
        if (position + head + 4 + length > bytes_count) fail("a cut frame");
        out[out_bytes] = bytes[position];
        out[out_bytes + 1] = bytes[position + 1] & 0x7F;
        memcpy(out + out_bytes + 2, bytes + position + 2, head - 2);
        memcpy(out + out_bytes + head, bytes + position + head + 4, length);
        out_bytes += head + length;
        position += head + 4 + length;
    }
}

/* Zero-copy sends complete twice: with their result, and when the memory is free again. */
static unsigned notices;

static void reap(unsigned pending) {
    struct io_uring_cqe *cqe;
    while (pending > 0) {
        unsigned head, seen = 0;
        io_uring_for_each_cqe(&ring, head, cqe) {
            seen += 1;
            if (cqe->flags & IORING_CQE_F_NOTIF) {
                notices -= 1;
                continue;
            }
            if (cqe->res != (int)out_bytes) fail("a short send");
            if (cqe->flags & IORING_CQE_F_MORE) notices += 1;
            pending -= 1;
        }
        io_uring_cq_advance(&ring, seen);
        if (seen == 0) io_uring_wait_cqe(&ring, &cqe);
    }
}

static void prepare(struct io_uring_sqe *sqe, int index) {
    int flags = MSG_NOSIGNAL | (ring.flags & IORING_SETUP_SQPOLL ? 0 : MSG_DONTWAIT);
    int target = uses_files ? index : subscribers[index];
    if (uses_zc)
        io_uring_prep_send_zc(sqe, target, out, out_bytes, flags, 0);
    else
        io_uring_prep_send(sqe, target, out, out_bytes, flags);
    if (uses_files) sqe->flags |= IOSQE_FIXED_FILE;
}

static void flush_uring(void) {
    static int registered;
    if (uses_files && registered < count) {
        io_uring_register_files_update(
            &ring, (unsigned)registered, subscribers + registered, (unsigned)(count - registered));
        registered = count;
    }
    unsigned pending = 0;
    for (int i = 0; i < count; i++) {
        prepare(io_uring_get_sqe(&ring), i);
        if (++pending == batch || i == count - 1) {
            io_uring_submit(&ring);
            reap(pending);
            pending = 0;
        }
    }
    /* The frames are written over by the next ones. */
    struct io_uring_cqe *cqe;
    while (notices > 0 && io_uring_wait_cqe(&ring, &cqe) == 0) {
        if (cqe->flags & IORING_CQE_F_NOTIF) notices -= 1;
        io_uring_cqe_seen(&ring, cqe);
    }
}

static void open_ring(const char *wish) {
    struct io_uring_params parameters = {.flags = IORING_SETUP_CQSIZE, .cq_entries = 2 * RING};
    const char *wanted = strstr(wish, "batch=");
    if (wanted) batch = (unsigned)atoi(wanted + 6);
    uses_files = strstr(wish, "fixed") != NULL;
    uses_zc = strstr(wish, "zc") != NULL;
    if (strstr(wish, "sqpoll")) {
        parameters.flags |= IORING_SETUP_SQPOLL;
        parameters.sq_thread_idle = 2;
    } else {
        parameters.flags |= IORING_SETUP_SINGLE_ISSUER;
    }
    if (strstr(wish, "defer")) parameters.flags |= IORING_SETUP_DEFER_TASKRUN;
    if (io_uring_queue_init_params(RING, &ring, &parameters) < 0) fail("io_uring");
    if (uses_files && io_uring_register_files_sparse(&ring, SUBSCRIBERS) < 0) fail("files");
}

static void flush_send(void) {
    for (int i = 0; i < count; i++)
        if (send(subscribers[i], out, out_bytes, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)out_bytes)
            fail("send");
}

static int by_number(const void *left, const void *right) {
    return *(const int *)left - *(const int *)right;
}

/* Of the owner's files the connections, in the order in which it accepted them. */
static void share_connections(void) {
    char name[64];
    int process = pidfd_open(owner, 0), theirs[SUBSCRIBERS], files = 0;
    snprintf(name, sizeof name, "/proc/%d/fd", owner);
    DIR *folder = opendir(name);
    if (process < 0 || !folder) fail("the connections' owner");
    for (struct dirent *entry; (entry = readdir(folder)) && files < SUBSCRIBERS;)
        if (entry->d_name[0] != '.') theirs[files++] = atoi(entry->d_name);
    closedir(folder);
    qsort(theirs, (size_t)files, sizeof *theirs, by_number);
    for (int i = 0; i < files; i++) {
        struct sockaddr_in peer;
        socklen_t size = sizeof peer;
        int fd = pidfd_getfd(process, theirs[i], 0);
        if (fd < 0) fail("pidfd_getfd");
        if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.sin_family == AF_INET)
            subscribers[count++] = fd;
        else
            close(fd);
    }
    close(process);
}

/* State 0: the handshake is to come; 1: a subscriber; 2: the publisher. */
static void readable(uint32_t fd, uint32_t state) {
    static unsigned char bytes[1 << 19];
    ssize_t got = recv((int)fd, bytes, sizeof bytes, 0);
    if (got <= 0) {
        for (int i = 0; i < count; i++)
            if (subscribers[i] == (int)fd) subscribers[i] = subscribers[--count];
        close((int)fd);
        return;
    }
    if (state == 2) return take_frames(bytes, (size_t)got);
    if (state != 0) return;
    static const char answer[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    int is_publisher = memmem(bytes, (size_t)got, "GET /pub", 8) != NULL;
    send((int)fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
    if (!is_publisher) subscribers[count++] = (int)fd;
    else if (owner) share_connections();
    struct epoll_event event = {
        .events = EPOLLIN, .data.u64 = (uint64_t)(is_publisher ? 2 : 1) << 32 | fd};
    epoll_ctl(poller, EPOLL_CTL_MOD, (int)fd, &event);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int uses_ring = strncmp(argv[2], "uring", 5) == 0, one = 1;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    const char *of = strstr(argv[2], "of=");
    if (of) owner = atoi(of + 3);
    if (uses_ring) open_ring(argv[2]);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
    listen(listener, 4096);
    poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)3 << 32};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    uint64_t pause_end = 0;
    for (;;) {
        struct epoll_event events[256];
        uint64_t at = now();
        struct timespec wait = {.tv_nsec = at < pause_end ? (long)(pause_end - at) : 0};
        int ready = epoll_pwait2(poller, events, 256, out_bytes ? &wait : NULL, NULL);
        for (int i = 0; i < ready; i++) {
            uint32_t state = (uint32_t)(events[i].data.u64 >> 32);
            if (state < 3) {
                readable((uint32_t)events[i].data.u64, state);
                continue;
            }
            int fd = accept(listener, NULL, NULL);
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            struct epoll_event fresh = {.events = EPOLLIN, .data.u64 = (uint64_t)(uint32_t)fd};
            epoll_ctl(poller, EPOLL_CTL_ADD, fd, &fresh);
        }
        uint64_t begin = now();
        if (out_bytes == 0 || begin < pause_end) continue;
        uses_ring ? flush_uring() : flush_send();
        out_bytes = 0;
        uint64_t end = now(), cost = end - begin;
        if (cost > SLOW_NS) pause_end = end + (cost < PAUSE_NS_MAX ? cost : PAUSE_NS_MAX);
    }
}
