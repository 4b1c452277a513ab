// A load client for MCP over HTTP: N connections, each with a session of its own, one call at a time.
//
//     load PORT PATH handshake|modern TOOL CONNECTIONS CALLS SAME [HEADER…]
//
// Every call has arguments of its own unless SAME is 1. Prints one line of JSON: latencies in
// microseconds, calls per second, and how many answers were not results.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { INPUT = 1 << 20, WORKERS = 1024 };

struct worker {
    int fd;
    int step;  // 0 initialize, 1 initialized, 2 calls
    char session[256];
    char *input;
    size_t filled;
    double sent;
};

static struct worker workers[WORKERS];
static const char *path, *tool;
static char headers[4096];
static bool modern, same;
static long wanted, begun, ended, failed;
static double *latencies;
static int port;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static void fail(const char *what) { perror(what); exit(1); }

static void post(struct worker *worker, const char *extra, const char *body) {
    char out[8192];
    int length = snprintf(out, sizeof out,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
        "Accept: application/json, text/event-stream\r\n%s%s%sContent-Length: %zu\r\n\r\n%s",
        path, port, headers, worker->session, extra, strlen(body), body);
    worker->sent = now();
    if (write(worker->fd, out, length) != length) fail("write");
}

static void next(struct worker *worker) {
    char body[2048];
    if (!modern && worker->step == 0)
        return post(worker, "",
            "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
            "\"2025-06-18\",\"capabilities\":{},\"clientInfo\":{\"name\":\"load\",\"version\":\"1\"}}}");
    if (!modern && worker->step == 1)
        return post(worker, "", "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    if (begun == wanted) return;
    begun++;
    snprintf(body, sizeof body,
        "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"method\":\"tools/call\",\"params\":{\"name\":\"%s\","
        "\"arguments\":{\"text\":\"%ld\"}%s}}", begun, tool, same ? 0 : begun,
        modern ? ",\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
                 "\"io.modelcontextprotocol/clientCapabilities\":{},"
                 "\"io.modelcontextprotocol/clientInfo\":{\"name\":\"load\",\"version\":\"1\"}}" : "");
    char extra[512] = "";
    if (modern)
        snprintf(extra, sizeof extra,
            "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: %s\r\n", tool);
    post(worker, extra, body);
}

// Where the response in the buffer ends; 0 while it is not complete.
static size_t complete(struct worker *worker) {
    worker->input[worker->filled] = 0;
    char *end = strstr(worker->input, "\r\n\r\n");
    if (!end) return 0;
    size_t head = end + 4 - worker->input;
    char *field = strcasestr(worker->input, "\r\ncontent-length:");
    if (field && field < end) {
        size_t whole = head + strtoul(field + 17, NULL, 10);
        return worker->filled >= whole ? whole : 0;
    }
    field = strcasestr(worker->input, "\r\ntransfer-encoding: chunked");
    if (field && field < end) {
        char *last = strstr(end, "\r\n0\r\n\r\n");
        return last ? (size_t)(last + 7 - worker->input) : 0;
    }
    return head;
}

static void received(struct worker *worker, size_t length) {
    double took = now() - worker->sent;
    char saved = worker->input[length];
    worker->input[length] = 0;
    bool good = strstr(worker->input, "\"result\"") && !strstr(worker->input, "\"isError\":true");
    if (worker->step == 0 && !modern) {
        char *id = strcasestr(worker->input, "\r\nmcp-session-id:");
        if (id)
            snprintf(worker->session, sizeof worker->session, "%.*s\r\nMCP-Protocol-Version: 2025-06-18\r\n",
                     (int)strcspn(id + 2, "\r"), id + 2);
        if (!good) { fprintf(stderr, "initialize: %.800s\n", worker->input); exit(1); }
        worker->step = 1;
    } else if (worker->step == 1 && !modern) {
        worker->step = 2;
    } else {
        if (!good && !failed++) fprintf(stderr, "call: %.800s\n", worker->input);
        latencies[ended++] = took;
    }
    worker->input[length] = saved;
    worker->filled -= length;
    memmove(worker->input, worker->input + length, worker->filled);
}

static int ascending(const void *left, const void *right) {
    double difference = *(const double *)left - *(const double *)right;
    return (difference > 0) - (difference < 0);
}

int main(int count, char **arguments) {
    if (count < 8) { fprintf(stderr, "usage: load PORT PATH ERA TOOL CONNECTIONS CALLS SAME [HEADER…]\n"); return 2; }
    port = atoi(arguments[1]);
    path = arguments[2];
    modern = !strcmp(arguments[3], "modern");
    tool = arguments[4];
    int connections = atoi(arguments[5]);
    wanted = atol(arguments[6]);
    same = atoi(arguments[7]);
    for (int i = 8; i < count; i++) {
        strncat(headers, arguments[i], sizeof headers - strlen(headers) - 3);
        strcat(headers, "\r\n");
    }
    if (connections < 1 || connections > WORKERS || wanted < 1) return 2;
    latencies = calloc(wanted + WORKERS, sizeof *latencies);
    int poll = epoll_create1(0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < connections; i++) {
        struct worker *worker = &workers[i];
        worker->fd = socket(AF_INET, SOCK_STREAM, 0);
        worker->input = malloc(INPUT);
        if (connect(worker->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
        setsockopt(worker->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        // Sessions are opened before the clock starts.
        while (!modern && worker->step < 2) {
            next(worker);
            size_t length;
            while (!(length = complete(worker))) {
                ssize_t got = read(worker->fd, worker->input + worker->filled, INPUT - 1 - worker->filled);
                if (got <= 0) fail("read");
                worker->filled += got;
            }
            received(worker, length);
        }
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = worker};
        epoll_ctl(poll, EPOLL_CTL_ADD, worker->fd, &event);
    }
    double start = now();
    for (int i = 0; i < connections; i++) next(&workers[i]);
    struct epoll_event events[256];
    while (ended < wanted) {
        int ready = epoll_wait(poll, events, 256, 60000);
        if (ready == 0) { fprintf(stderr, "nothing came for a minute\n"); return 1; }
        for (int i = 0; i < ready; i++) {
            struct worker *worker = events[i].data.ptr;
            ssize_t got = read(worker->fd, worker->input + worker->filled, INPUT - 1 - worker->filled);
            if (got <= 0) { fprintf(stderr, "a connection ended\n"); return 1; }
            worker->filled += got;
            size_t length;
            while ((length = complete(worker))) {
                received(worker, length);
                next(worker);
            }
        }
    }
    double took = now() - start;
    qsort(latencies, ended, sizeof *latencies, ascending);
    printf("{\"calls\":%ld,\"failed\":%ld,\"median_us\":%.1f,\"p99_us\":%.1f,\"per_second\":%.1f}\n",
           ended, failed, latencies[ended / 2], latencies[ended * 99 / 100], ended / took * 1e6);
    return 0;
}
