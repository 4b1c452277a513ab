// A fast MCP server for measurements: one thread, HTTP/1.1 with keep-alive. A tool call takes it a
// tenth of a millisecond in which it does nothing, as one that waits for its disk; anything else no time.
//
//     upstream PORT handshake|modern
//
// It knows as much of the protocol as a gateway asks for, and counts: GET /count tells how many
// requests and how many tool calls came in. One tool, `echo`, answers a short text.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { INPUT = 256 << 10, PEERS = 4096, WORK_NS = 100000 };

// Calls that are being worked on, the oldest first. Each takes the same time, so order is due order.
struct work { int fd; long long due; char id[64]; };
static struct work queue[PEERS];
static unsigned first, last;

struct peer { char *input; size_t filled; };
static struct peer peers[PEERS];
static bool modern;
static unsigned long requests, calls;

static void fail(const char *what) { perror(what); exit(1); }

static void answer(int fd, const char *status, const char *extra, const char *body) {
    char out[4096];
    int length = snprintf(out, sizeof out,
        "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s",
        status, strlen(body), extra, body);
    if (write(fd, out, length) != length) { /* the peer has gone; epoll says so */ }
}

// The raw JSON value after `"name":`, cut at the next comma or brace; ids are short.
static void value(const char *body, const char *name, char *out, size_t size) {
    const char *at = strstr(body, name);
    size_t length = 0;
    if (at) {
        at += strlen(name);
        while (at[length] && at[length] != ',' && at[length] != '}' && length + 1 < size) length++;
        memcpy(out, at, length);
    }
    out[length] = 0;
}

static void result(int fd, const char *id, const char *extra, const char *result) {
    char body[2048];
    snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}", id, result);
    answer(fd, "200 OK", extra, body);
}

static void error(int fd, const char *id, const char *status) {
    char body[256];
    snprintf(body, sizeof body,
        "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}", id);
    answer(fd, status, "", body);
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

#define COMPLETE "\"resultType\":\"complete\","
#define FRESH "\"ttlMs\":60000,\"cacheScope\":\"public\","

static void handle(int fd, const char *head, const char *body) {
    if (!strncmp(head, "GET /count", 10)) {
        char text[128];
        snprintf(text, sizeof text, "{\"requests\":%lu,\"calls\":%lu}", requests, calls);
        return answer(fd, "200 OK", "", text);
    }
    requests++;
    if (strncmp(head, "POST", 4)) return answer(fd, "405 Method Not Allowed", "Allow: POST\r\n", "");
    char id[64];
    value(body, "\"id\":", id, sizeof id);
    if (strstr(body, "\"tools/call\"")) {
        calls++;
        struct work *work = &queue[last++ % PEERS];
        *work = (struct work){.fd = fd, .due = now() + WORK_NS};
        memcpy(work->id, id, sizeof id);
        return;
    }
    if (strstr(body, "\"tools/list\""))
        return result(fd, id, "", modern
            ? "{" COMPLETE FRESH "\"tools\":[{\"name\":\"echo\",\"description\":\"Answers\",\"annotations\":"
              "{\"readOnlyHint\":true,\"destructiveHint\":false},"
              "\"inputSchema\":{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\"}}}}]}"
            : "{\"tools\":[{\"name\":\"echo\",\"description\":\"Answers\",\"annotations\":"
              "{\"readOnlyHint\":true,\"destructiveHint\":false},"
              "\"inputSchema\":{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\"}}}}]}");
    if (strstr(body, "\"server/discover\"")) {
        if (!modern) return error(fd, id, "404 Not Found");
        return result(fd, id, "", "{" COMPLETE FRESH
            "\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{}},"
            "\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}");
    }
    if (strstr(body, "\"initialize\""))
        return result(fd, id, "Mcp-Session-Id: bench\r\n",
            "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},"
            "\"serverInfo\":{\"name\":\"bench\",\"version\":\"1\"}}");
    if (strstr(body, "\"ping\"")) return result(fd, id, "", "{}");
    if (!*id) return answer(fd, "202 Accepted", "", "");
    error(fd, id, modern ? "404 Not Found" : "200 OK");
}

// Answers what is due; returns how long to wait for the next, -1 when there is none.
static long long finish(void) {
    while (first != last) {
        struct work *work = &queue[first % PEERS];
        long long left = work->due - now();
        if (left > 0) return left;
        first++;
        result(work->fd, work->id, "", modern
            ? "{" COMPLETE "\"content\":[{\"type\":\"text\",\"text\":\"it works\"}]}"
            : "{\"content\":[{\"type\":\"text\",\"text\":\"it works\"}]}");
    }
    return -1;
}

// Answers every complete request in the buffer; false when the peer makes no sense.
static bool serve(int fd, struct peer *peer) {
    for (;;) {
        peer->input[peer->filled] = 0;
        char *end = strstr(peer->input, "\r\n\r\n");
        if (!end) return peer->filled < INPUT - 1;
        size_t head = end + 4 - peer->input, length = 0;
        char *field = strcasestr(peer->input, "\r\ncontent-length:");
        if (field && field < end) length = strtoul(field + 17, NULL, 10);
        if (head + length >= INPUT) return false;
        if (peer->filled < head + length) return true;
        char saved = peer->input[head + length];
        peer->input[head + length] = 0;
        handle(fd, peer->input, peer->input + head);
        peer->input[head + length] = saved;
        peer->filled -= head + length;
        memmove(peer->input, peer->input + head + length, peer->filled);
    }
}

int main(int count, char **arguments) {
    if (count != 3) { fprintf(stderr, "usage: upstream PORT handshake|modern\n"); return 2; }
    modern = !strcmp(arguments[2], "modern");
    // Timers to the microsecond, not to fifty of them.
    prctl(PR_SET_TIMERSLACK, 1000);
    int one = 1, door = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(door, (struct sockaddr *)&address, sizeof address) || listen(door, 1024)) fail("listen");
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = door}, events[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, door, &event);
    for (;;) {
        long long left = finish();
        struct timespec limit = {.tv_nsec = left};
        int ready = epoll_pwait2(poll, events, 256, left < 0 ? NULL : &limit, NULL);
        if (ready < 0 && errno != EINTR) fail("epoll_pwait2");
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == door) {
                int peer = accept(door, NULL, NULL);
                if (peer < 0) continue;
                if (peer >= PEERS) { close(peer); continue; }
                setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                if (!peers[peer].input) peers[peer].input = malloc(INPUT);
                peers[peer].filled = 0;
                event = (struct epoll_event){.events = EPOLLIN, .data.fd = peer};
                epoll_ctl(poll, EPOLL_CTL_ADD, peer, &event);
                continue;
            }
            struct peer *peer = &peers[fd];
            ssize_t got = read(fd, peer->input + peer->filled, INPUT - 1 - peer->filled);
            if (got <= 0) { close(fd); continue; }
            peer->filled += got;
            if (!serve(fd, peer)) close(fd);
        }
    }
}
