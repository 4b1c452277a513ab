/* Load generator for WebSocket fan-out: N subscribers over several loopback addresses, one
 * publisher, every event marked with a number and a monotonic time.
 *
 * Prints one line of key=value pairs: deliveries per second and per server CPU second, latency
 * percentiles, what was lost or out of order, and the server's memory per idle connection.
 * Loopback only; everything is bounded by -t seconds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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

enum { HOLD = 512, SAMPLES = 1 << 22 };

typedef struct {
    int fd;
    uint64_t last;           /* number of the last event seen */
    uint32_t held;           /* bytes of an incomplete frame */
    unsigned char hold[HOLD];
} Peer;

static struct {
    int port, count, addresses, flight, seconds, bytes, stopped, pid;
    double rate;
    const char *token, *path, *publisher_path, *mode, *extra;
} o = {.port = 8090, .count = 1000, .addresses = 8, .flight = 1, .seconds = 5, .bytes = 250,
       .path = "/ws", .publisher_path = "/ws", .mode = "omni2", .token = "", .extra = ""};

static Peer *peers;
static int publisher = -1, poller;
static uint64_t published, deliveries, lost, disordered, first_number;
static uint32_t *samples;
static size_t sample_count;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* CPU time of all of the server's threads, in nanoseconds. */
static uint64_t server_cpu(void) {
    char name[300];
    uint64_t sum = 0;
    snprintf(name, sizeof name, "/proc/%d/task", o.pid);
    DIR *tasks = opendir(name);
    if (!tasks) return 0;
    for (struct dirent *entry; (entry = readdir(tasks));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "/proc/%d/task/%s/schedstat", o.pid, entry->d_name);
        FILE *file = fopen(name, "r");
        unsigned long long run = 0;
        if (file && fscanf(file, "%llu", &run) == 1) sum += run;
        if (file) fclose(file);
    }
    closedir(tasks);
    return sum;
}

static long server_memory(void) {
    char name[64], line[200];
    long kilobytes = 0;
    snprintf(name, sizeof name, "/proc/%d/status", o.pid);
    FILE *file = fopen(name, "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file)) {
        long anonymous;
        if (sscanf(line, "RssAnon: %ld", &anonymous) == 1) kilobytes = anonymous;
    }
    fclose(file);
    return kilobytes * 1024;
}

static void send_all(int fd, const void *bytes, size_t count) {
    const char *next = bytes;
    while (count > 0) {
        ssize_t sent = send(fd, next, count, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) continue;
        if (sent <= 0) die("send");
        next += sent;
        count -= (size_t)sent;
    }
}

/* A masked text frame; the mask is zero, which is as good as any. */
static void send_text(int fd, const char *text, size_t count) {
    unsigned char frame[70000];
    size_t head = 2;
    frame[0] = 0x81;
    if (count < 126) {
        frame[1] = 0x80 | (unsigned char)count;
    } else {
        frame[1] = 0x80 | 126;
        frame[2] = (unsigned char)(count >> 8);
        frame[3] = (unsigned char)count;
        head = 4;
    }
    memset(frame + head, 0, 4);
    memcpy(frame + head + 4, text, count);
    send_all(fd, frame, head + 4 + count);
}

/* A connection with its handshake sent; without `path` only the connection. */
static int dial(int index, const char *path) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7F000002u + (uint32_t)(index % o.addresses));
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0) die("bind");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o.port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
    if (!path) return fd;
    char text[1024];
    int count = snprintf(
        text, sizeof text,
        "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s%s%s\r\n",
        path, o.port, *o.token ? "Authorization: Bearer " : "", o.token, *o.token ? "\r\n" : "");
    send_all(fd, text, (size_t)count);
    return fd;
}

/* Reads byte by byte so that nothing behind the head is lost. */
static void finish_handshake(int fd) {
    char text[2048];
    size_t count = 0;
    while (count < sizeof text - 1) {
        if (recv(fd, text + count, 1, 0) != 1) die("handshake");
        count += 1;
        if (count >= 4 && memcmp(text + count - 4, "\r\n\r\n", 4) == 0) break;
    }
    text[count] = 0;
    if (strncmp(text, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "load: refused: %s\n", text);
        exit(1);
    }
}

static void publish(void) {
    static char pad[70000];
    char text[70000];
    if (!pad[0]) memset(pad, 'x', sizeof pad - 1);
    published += 1;
    /* What the server adds is counted by the caller in -b. */
    int room = o.bytes;
    char data[128];
    int head = snprintf(
        data, sizeof data, "{\"n\":%llu,\"t\":%llu,\"pad\":\"", (unsigned long long)published,
        (unsigned long long)now());
    int wrapped = strcmp(o.mode, "omni2") == 0 ? 86 : 0; /* type, timestamp, seq, data */
    int filler = room - head - 2 - wrapped;
    if (filler < 0) filler = 0;
    int count;
    if (wrapped) {
        count = snprintf(
            text, sizeof text, "{\"action\":\"publish\",\"type\":\"bench\",\"data\":%s%.*s\"}}",
            data, filler, pad);
    } else {
        count = snprintf(text, sizeof text, "%s%.*s\"}", data, filler, pad);
    }
    if (strcmp(o.mode, "post") == 0) {
        char request[71000];
        int total = snprintf(
            request, sizeof request,
            "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s",
            o.publisher_path, count, text);
        send_all(publisher, request, (size_t)total);
    } else {
        send_text(publisher, text, (size_t)count);
    }
}

static void event(Peer *peer, const unsigned char *payload, size_t count, uint64_t at) {
    const char *mark = memmem(payload, count, "\"n\":", 4);
    if (!mark) return;
    char *end;
    uint64_t number = strtoull(mark + 4, &end, 10);
    if (strncmp(end, ",\"t\":", 5) != 0) return;
    uint64_t sent = strtoull(end + 5, NULL, 10);
    if (peer->last && number != peer->last + 1) {
        if (number > peer->last) lost += number - peer->last - 1;
        else disordered += 1;
    }
    peer->last = number;
    deliveries += 1;
    /* Every delivery counts for the figures, one of several for the percentiles. */
    if (sample_count < SAMPLES) samples[sample_count++] = (uint32_t)((at - sent) / 1000);
    else samples[(deliveries * 2654435761u) % SAMPLES] = (uint32_t)((at - sent) / 1000);
}

/* The length of the frame at `bytes`, 0 while it cannot be told. */
static size_t frame_size(const unsigned char *bytes, size_t count, size_t *head) {
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

static void read_peer(Peer *peer) {
    static unsigned char bytes[1 << 20];
    for (;;) {
        memcpy(bytes, peer->hold, peer->held);
        ssize_t got = recv(
            peer->fd, bytes + peer->held, sizeof bytes - HOLD - peer->held, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            epoll_ctl(poller, EPOLL_CTL_DEL, peer->fd, NULL);
            lost += 1;
            return;
        }
        size_t count = peer->held + (size_t)got, position = 0, head = 0;
        uint64_t at = now();
        for (;;) {
            size_t size = frame_size(bytes + position, count - position, &head);
            if (size == 0 || position + size > count) break;
            if ((bytes[position] & 0x0F) == 1)
                event(peer, bytes + position + head, size - head, at);
            position += size;
        }
        size_t rest = count - position;
        if (rest > HOLD) {
            /* Longer than what is held back: read on until it is whole. */
            while (1) {
                size_t size = frame_size(bytes + position, rest, &head);
                memmove(bytes, bytes + position, rest);
                position = 0;
                while (rest < size) {
                    ssize_t more = recv(peer->fd, bytes + rest, size - rest, 0);
                    if (more <= 0) die("recv");
                    rest += (size_t)more;
                }
                event(peer, bytes + head, size - head, now());
                rest = 0;
                break;
            }
        }
        memcpy(peer->hold, bytes + position, rest);
        peer->held = (uint32_t)rest;
        if ((size_t)got < sizeof bytes / 2) return;
    }
}

static void drain_publisher(void) {
    char bytes[65536];
    while (recv(publisher, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {}
}

static void turn(int wait) {
    struct epoll_event events[512];
    int count = epoll_wait(poller, events, 512, wait);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr) read_peer(events[i].data.ptr);
        else drain_publisher();
    }
}

static int by_size(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static double percentile(double share) {
    if (sample_count == 0) return 0;
    return samples[(size_t)((double)(sample_count - 1) * share)] / 1000.0;
}

static void watch(int fd, void *who) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = who};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

/* Connections that come and go first, so that what the server takes once for all (receive buffers
 * touched for the first time) is not counted as theirs. */
static void warm_up(void) {
    enum { ROUND = 64 };
    int fds[ROUND];
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < ROUND; i++) fds[i] = dial(i, o.path);
        for (int i = 0; i < ROUND; i++) finish_handshake(fds[i]);
        for (int i = 0; i < ROUND; i++) {
            struct linger now_gone = {1, 0};
            setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &now_gone, sizeof now_gone);
            close(fds[i]);
        }
    }
    usleep(300000);
}

static void connect_all(void) {
    poller = epoll_create1(0);
    peers = calloc((size_t)o.count, sizeof *peers);
    samples = malloc(sizeof *samples * SAMPLES);
    for (int i = 0; i < o.count; i++) {
        peers[i].fd = dial(i, o.path);
        if (i % 64 == 63 || i == o.count - 1)
            for (int j = i - i % 64; j <= i; j++) finish_handshake(peers[j].fd);
    }
}

static void subscribe_all(void) {
    static const char wish[] = "{\"action\":\"subscribe\",\"event_types\":[\"bench\"]}";
    for (int i = 0; i < o.count; i++) {
        if (strcmp(o.mode, "omni2") == 0) send_text(peers[i].fd, wish, sizeof wish - 1);
        if (i >= o.stopped) watch(peers[i].fd, &peers[i]);
        if (i % 256 == 0) turn(0);
    }
    int posts = strcmp(o.mode, "post") == 0;
    publisher = dial(0, posts ? NULL : o.publisher_path);
    if (!posts) finish_handshake(publisher);
    watch(publisher, NULL);
    for (uint64_t end = now() + 500000000u; now() < end;) turn(10);
}

static void pump(void) {
    uint64_t readers = (uint64_t)(o.count - o.stopped);
    uint64_t start = now(), end = start + (uint64_t)o.seconds * 1000000000u;
    while (now() < end) {
        if (o.rate > 0) {
            uint64_t due = (uint64_t)((double)(now() - start) * o.rate / 1e9);
            while (published - first_number < due) publish();
            turn(1);
        } else {
            while (published - first_number - deliveries / readers < (uint64_t)o.flight) publish();
            turn(100);
        }
    }
}

int main(int argc, char **argv) {
    for (int c; (c = getopt(argc, argv, "p:n:a:f:t:b:s:P:r:k:u:U:m:")) != -1;) {
        switch (c) {
        case 'p': o.port = atoi(optarg); break;
        case 'n': o.count = atoi(optarg); break;
        case 'a': o.addresses = atoi(optarg); break;
        case 'f': o.flight = atoi(optarg); break;
        case 't': o.seconds = atoi(optarg); break;
        case 'b': o.bytes = atoi(optarg); break;
        case 's': o.stopped = atoi(optarg); break;
        case 'P': o.pid = atoi(optarg); break;
        case 'r': o.rate = atof(optarg); break;
        case 'k': o.token = optarg; break;
        case 'u': o.path = optarg; break;
        case 'U': o.publisher_path = optarg; break;
        case 'm': o.mode = optarg; break;
        default: return 2;
        }
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    warm_up();
    long before = server_memory();
    connect_all();
    usleep(300000);
    long idle = server_memory();
    subscribe_all();
    long ready = server_memory();
    uint64_t cpu = server_cpu(), start = now();
    pump();
    double wall = (double)(now() - start) / 1e9, used = (double)(server_cpu() - cpu) / 1e9;
    uint64_t counted = deliveries;
    /* What is still on its way is waited for, so that loss is loss. */
    uint64_t due = published * (uint64_t)(o.count - o.stopped);
    for (uint64_t end = now() + 2000000000u; deliveries < due && now() < end;) turn(50);
    qsort(samples, sample_count, sizeof *samples, by_size);
    printf(
        "n=%d events=%llu per_s=%.0f per_cpu_s=%.0f core=%.2f p50=%.2f p99=%.2f max=%.2f "
        "missing=%lld lost=%llu disordered=%llu idle_bytes=%.0f grown=%ld\n",
        o.count, (unsigned long long)published, (double)counted / wall,
        used > 0 ? (double)counted / used : 0, used / wall, percentile(0.5), percentile(0.99),
        percentile(1), (long long)(due - deliveries), (unsigned long long)lost,
        (unsigned long long)disordered, (double)(idle - before) / o.count,
        server_memory() - ready);
    return 0;
}
