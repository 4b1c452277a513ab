/* The machine's limit: the least a fan-out server can do. Frames that arrive from the publisher in
 * one turn leave in one send per subscriber, by send() or by io_uring. No policy, no parsing of what
 * subscribers send, no partial sends (it aborts instead).
 *
 *   limit PORT send|uring */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SUBSCRIBERS = 16384, BATCH = 256, RING = 4096 };

static int subscribers[SUBSCRIBERS], count, poller;
static unsigned char out[1 << 20];
static size_t out_bytes;
static struct io_uring ring;

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

static void reap(unsigned pending) {
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;
    io_uring_for_each_cqe(&ring, head, cqe) {
        if (cqe->res != (int)out_bytes) fail("a short send");
        seen += 1;
    }
    io_uring_cq_advance(&ring, seen);
    if (seen != pending) fail("a late send");
}

static void flush_uring(void) {
    unsigned pending = 0;
    for (int i = 0; i < count; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
        io_uring_prep_send(sqe, subscribers[i], out, out_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (++pending == BATCH || i == count - 1) {
            io_uring_submit(&ring);
            reap(pending);
            pending = 0;
        }
    }
}

static void flush_send(void) {
    for (int i = 0; i < count; i++)
        if (send(subscribers[i], out, out_bytes, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)out_bytes)
            fail("send");
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
    struct epoll_event event = {
        .events = EPOLLIN, .data.u64 = (uint64_t)(is_publisher ? 2 : 1) << 32 | fd};
    epoll_ctl(poller, EPOLL_CTL_MOD, (int)fd, &event);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int uses_ring = strcmp(argv[2], "uring") == 0, one = 1;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (uses_ring && io_uring_queue_init(RING, &ring, IORING_SETUP_SINGLE_ISSUER) < 0)
        fail("io_uring");
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
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(poller, events, 256, -1);
        out_bytes = 0;
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
        if (out_bytes > 0) uses_ring ? flush_uring() : flush_send();
    }
}
