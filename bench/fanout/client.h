/* What the load generator and the clients that come back have in common: loopback connections, the
 * opening handshake, and frames taken out of what arrives. Loopback only. */
#ifndef FANOUT_CLIENT_H
#define FANOUT_CLIENT_H
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int port = 8090, addresses = 8;
static const char *token = "";

static inline uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline void raise_descriptor_limit(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* False when the connection is gone. */
static inline int send_all(int fd, const void *bytes, size_t count) {
    const char *next = bytes;
    while (count > 0) {
        ssize_t sent = send(fd, next, count, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (sent <= 0) return 0;
        next += sent;
        count -= (size_t)sent;
    }
    return 1;
}

/* A masked text frame; the mask is zero, which is as good as any. */
static inline int send_text(int fd, const char *text, size_t count) {
    static unsigned char frame[300000];
    size_t head = 2;
    frame[0] = 0x81;
    if (count < 126) {
        frame[1] = 0x80 | (unsigned char)count;
    } else if (count < 65536) {
        frame[1] = 0x80 | 126;
        frame[2] = (unsigned char)(count >> 8);
        frame[3] = (unsigned char)count;
        head = 4;
    } else {
        memset(frame + 1, 0, 9);
        frame[1] = 0x80 | 127;
        for (int i = 0; i < 4; i++) frame[6 + i] = (unsigned char)(count >> (24 - 8 * i));
        head = 10;
    }
    if (count > sizeof frame - 16) {
        errno = EMSGSIZE;
        return 0;
    }
    memset(frame + head, 0, 4);
    memcpy(frame + head + 4, text, count);
    return send_all(fd, frame, head + 4 + count);
}

/* A connection from the `index`th loopback address. */
static inline int dial(int index, int to_port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0) die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7F000002u + (uint32_t)(index % addresses));
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0) die("bind");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)to_port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
    return fd;
}

/* Ends a connection at once, leaving nothing behind in TIME_WAIT. */
static inline void hang_up(int fd) {
    struct linger at_once = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

static inline int ask_upgrade(int fd, const char *path) {
    char text[1024];
    int count = snprintf(
        text, sizeof text,
        "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s%s%s\r\n",
        path, port, *token ? "Authorization: Bearer " : "", token, *token ? "\r\n" : "");
    return send_all(fd, text, (size_t)count);
}

/* Reads the answer to the upgrade, byte by byte so that nothing behind it is lost. */
static inline void finish_handshake(int fd) {
    char text[2048];
    size_t count = 0;
    while (count < sizeof text - 1) {
        if (recv(fd, text + count, 1, 0) != 1) die("handshake");
        count += 1;
        if (count >= 4 && memcmp(text + count - 4, "\r\n\r\n", 4) == 0) break;
    }
    text[count] = 0;
    if (strncmp(text, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "refused: %s\n", text);
        exit(1);
    }
}

/* The length of the frame at `bytes`, 0 while it cannot be told. */
static inline size_t frame_size(const unsigned char *bytes, size_t count, size_t *head) {
    if (count < 2) return 0;
    size_t length = bytes[1] & 0x7F;
    *head = 2;
    if (length == 126) {
        if (count < 4) return 0;
        length = (size_t)bytes[2] << 8 | bytes[3];
        *head = 4;
    } else if (length == 127) {
        if (count < 10) return 0;
        length = 0;
        for (int i = 2; i < 10; i++) length = length << 8 | bytes[i];
        *head = 10;
    }
    return *head + length;
}

/* The number behind `name`, or 0. */
static inline uint64_t number_after(
    const unsigned char *text, size_t count, const char *name, size_t name_count
) {
    const char *found = memmem(text, count, name, name_count);
    return found ? strtoull(found + name_count, NULL, 10) : 0;
}
#endif
