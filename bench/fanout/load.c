/* Load generator for WebSocket fan-out: N subscribers over several loopback addresses, one
 * publisher, every event marked with a number and a monotonic time.
 *
 *   load [OPTION…]      reads phases, a line each: [twin:]flight:DEPTH:SECONDS   so many on their way
 *                                                  [twin:]rate:PER_SECOND:SECONDS[:STOPPED]
 *
 * The twin is a process (-T its port, -t its id) that shares the server's connections and takes
 * events raw: with `twin:` it is the one that sends them on.
 *
 * One set of connections serves all phases; the end of input ends it. When all are connected, and
 * after each phase, it prints one line of key=value pairs: deliveries per second and per CPU second of
 * the one that sends, latency percentiles, what was lost or out of order, how much it grew. During a
 * phase with STOPPED (at most -s of them), that many subscribers read nothing; afterwards they read
 * what is left for them, and a gap they see must be marked. Loopback only; bounded by the phases. */
#define _GNU_SOURCE
#include "client.h"
#include <dirent.h>

enum { SAMPLES = 1 << 21, READ = 1 << 20 };

typedef struct {
    int fd;
    uint64_t last;       /* number of the last event seen, 0: the next may be any */
    uint32_t held;       /* bytes of an incomplete frame */
    unsigned char *hold; /* only while there are any */
} Peer;

static struct {
    int count, bytes;
    const char *path, *publisher_path;
} o = {.count = 1000, .bytes = 250, .path = "/ws", .publisher_path = "/ws"};

/* Who sends the events on. */
typedef struct {
    const char *mode;
    int port, pid, publisher, filler;
    uint64_t payload_bytes;
} Sender;

static Sender server = {.mode = "omni2", .publisher = -1}, twin = {.mode = "raw", .publisher = -1};
static Sender *sender = &server;

/* What one phase has seen. */
static struct {
    uint64_t published, deliveries, lost, disordered, resyncs, closed;
    size_t samples;
} seen;

static Peer *peers;
static int poller, stopped_max;
static uint64_t number;
static uint32_t *samples;

/* CPU time of all of the sender's threads, in nanoseconds. */
static uint64_t sender_cpu(void) {
    char name[300];
    uint64_t sum = 0;
    snprintf(name, sizeof name, "/proc/%d/task", sender->pid);
    DIR *tasks = opendir(name);
    if (!tasks) return 0;
    for (struct dirent *entry; (entry = readdir(tasks));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "/proc/%d/task/%s/schedstat", sender->pid, entry->d_name);
        FILE *file = fopen(name, "r");
        unsigned long long run = 0;
        if (file && fscanf(file, "%llu", &run) == 1) sum += run;
        if (file) fclose(file);
    }
    closedir(tasks);
    return sum;
}

/* The sender's resident set, all of it, in bytes. */
static long sender_memory(void) {
    char name[64];
    long pages = 0;
    snprintf(name, sizeof name, "/proc/%d/statm", sender->pid);
    FILE *file = fopen(name, "r");
    if (!file) return 0;
    if (fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

/* MARK: Publishing */

static void publish(void) {
    static char text[300000], pad[262144];
    if (!pad[0]) memset(pad, 'x', sizeof pad - 1);
    seen.published += 1;
    number += 1;
    int wraps = strcmp(sender->mode, "omni2") == 0;
    int count = snprintf(
        text, sizeof text, "%s{\"n\":%llu,\"t\":%llu,\"pad\":\"%.*s\"}%s",
        wraps ? "{\"action\":\"publish\",\"type\":\"bench\",\"data\":" : "",
        (unsigned long long)number, (unsigned long long)now(), sender->filler, pad, wraps ? "}" : "");
    int sent;
    if (strcmp(sender->mode, "post") == 0) {
        char head[256];
        int total = snprintf(
            head, sizeof head, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n",
            o.publisher_path, count);
        memmove(text + total, text, (size_t)count);
        memcpy(text, head, (size_t)total);
        sent = send_all(sender->publisher, text, (size_t)(total + count));
    } else {
        sent = send_text(sender->publisher, text, (size_t)count);
    }
    if (!sent) die("publish");
}

/* MARK: Receiving */

static void event(Peer *peer, const unsigned char *payload, size_t count, uint64_t at) {
    /* omni2 puts up to 90 bytes of its own in front; a snapshot has no mark at all. */
    size_t near = count < 160 ? count : 160;
    const char *mark = memmem(payload, near, "\"n\":", 4);
    if (!mark) {
        if (!memmem(payload, near, "initial_status", 14)) return;
        if (memmem(payload, near, "\"resync\":true", 13)) {
            seen.resyncs += 1;
            peer->last = 0;
        }
        return;
    }
    char *end;
    uint64_t which = strtoull(mark + 4, &end, 10);
    if (strncmp(end, ",\"t\":", 5) != 0) return;
    uint64_t sent = strtoull(end + 5, NULL, 10);
    sender->payload_bytes = count;
    if (peer->last && which != peer->last + 1) {
        if (which > peer->last) seen.lost += which - peer->last - 1;
        else seen.disordered += 1;
    }
    peer->last = which;
    seen.deliveries += 1;
    uint32_t late = (uint32_t)((at - sent) / 1000);
    /* Beyond so many samples a fair choice of them. */
    if (seen.samples < SAMPLES) samples[seen.samples++] = late;
    else samples[(seen.deliveries * 2654435761u) % SAMPLES] = late;
}

static void gone(Peer *peer) {
    epoll_ctl(poller, EPOLL_CTL_DEL, peer->fd, NULL);
    seen.closed += 1;
    hang_up(peer->fd);
    peer->fd = -1;
}

static void read_peer(Peer *peer) {
    static unsigned char bytes[READ];
    for (;;) {
        if (peer->held) memcpy(bytes, peer->hold, peer->held);
        ssize_t got = recv(peer->fd, bytes + peer->held, READ - peer->held, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) return gone(peer);
        size_t count = peer->held + (size_t)got, position = 0, head = 0;
        uint64_t at = now();
        for (;;) {
            size_t size = frame_size(bytes + position, count - position, &head);
            if (size == 0 || position + size > count) break;
            if ((bytes[position] & 0x0F) == 1)
                event(peer, bytes + position + head, size - head, at);
            position += size;
        }
        free(peer->hold);
        peer->hold = NULL;
        peer->held = (uint32_t)(count - position);
        if (peer->held) {
            peer->hold = malloc(peer->held);
            if (!peer->hold) die("malloc");
            memcpy(peer->hold, bytes + position, peer->held);
        }
        if ((size_t)got < READ / 2) return;
    }
}

/* An answer may come after its sender's turn. */
static void drain_publishers(void) {
    char bytes[65536];
    while (recv(server.publisher, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {}
    while (recv(twin.publisher, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {}
}

static void turn(int wait) {
    struct epoll_event events[512];
    int count = epoll_wait(poller, events, 512, wait);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr) read_peer(events[i].data.ptr);
        else drain_publishers();
    }
}

/* MARK: Connections */

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
        for (int i = 0; i < ROUND; i++) {
            fds[i] = dial(i, port);
            if (!ask_upgrade(fds[i], o.path)) die("upgrade");
        }
        for (int i = 0; i < ROUND; i++) finish_handshake(fds[i]);
        for (int i = 0; i < ROUND; i++) hang_up(fds[i]);
    }
    usleep(300000);
}

static void connect_all(void) {
    /* What the kernel keeps for a reader that stops must not hide for long that it has stopped. */
    int small = 32 << 10;
    peers = calloc((size_t)o.count, sizeof *peers);
    for (int i = 0; i < o.count; i++) {
        peers[i].fd = dial(i, port);
        if (i < stopped_max)
            setsockopt(peers[i].fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        if (!ask_upgrade(peers[i].fd, o.path)) die("upgrade");
        if (i % 64 == 63 || i == o.count - 1)
            for (int j = i - i % 64; j <= i; j++) finish_handshake(peers[j].fd);
    }
    usleep(300000);
}

static void connect_publisher(Sender *to, const char *path) {
    to->publisher = dial(0, to->port);
    if (strcmp(to->mode, "post") != 0) {
        if (!ask_upgrade(to->publisher, path)) die("upgrade");
        finish_handshake(to->publisher);
    }
    watch(to->publisher, NULL);
}

static void subscribe_all(void) {
    static const char wish[] = "{\"action\":\"subscribe\",\"event_types\":[\"bench\"]}";
    for (int i = 0; i < o.count; i++) {
        if (strcmp(sender->mode, "omni2") == 0 && !send_text(peers[i].fd, wish, sizeof wish - 1))
            die("subscribe");
        watch(peers[i].fd, &peers[i]);
        if (i % 256 == 0) turn(0);
    }
    /* The twin first: it takes every connection of the server for a subscriber's. */
    if (twin.pid) connect_publisher(&twin, "/pub");
    connect_publisher(&server, o.publisher_path);
    for (uint64_t end = now() + 500000000u; now() < end;) turn(10);
}

/* MARK: Phases */

static int by_size(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static double percentile(double share) {
    if (seen.samples == 0) return 0;
    return samples[(size_t)((double)(seen.samples - 1) * share)] / 1000.0;
}

/* Waits until everybody who reads has all events, so that loss is loss. */
static void settle(uint64_t due) {
    for (uint64_t end = now() + 2000000000u; seen.deliveries < due && now() < end;) turn(50);
}

/* Until here nothing counts: connections are warm, and an event has the size that was asked for. */
static void calibrate(Sender *who) {
    memset(&seen, 0, sizeof seen);
    sender = who;
    for (int i = 0; i < 3; i++) {
        publish();
        settle(seen.published * (uint64_t)o.count);
        if (!who->payload_bytes) continue;
        who->filler += o.bytes - (int)who->payload_bytes;
        if (who->filler < 0) who->filler = 0;
    }
    if (seen.deliveries < seen.published * (uint64_t)o.count) {
        fprintf(stderr, "load: %llu of %llu first deliveries arrived\n",
            (unsigned long long)seen.deliveries, (unsigned long long)seen.published * o.count);
        exit(1);
    }
}

static void pump(double rate, int depth, double seconds, uint64_t readers) {
    uint64_t start = now(), end = start + (uint64_t)(seconds * 1e9);
    while (now() < end) {
        if (rate > 0) {
            uint64_t due = (uint64_t)((double)(now() - start) * rate / 1e9);
            while (seen.published < due) publish();
            turn(1);
        } else {
            while (seen.published - seen.deliveries / readers < (uint64_t)depth) publish();
            turn(100);
        }
    }
}

static void stop_readers(int count) {
    for (int i = 0; i < count; i++)
        if (peers[i].fd >= 0) epoll_ctl(poller, EPOLL_CTL_DEL, peers[i].fd, NULL);
}

/* The stopped read again, to the end of what is there for them. */
static void resume_readers(int count) {
    for (int i = 0; i < count; i++)
        if (peers[i].fd >= 0) watch(peers[i].fd, &peers[i]);
    for (uint64_t end = now() + 700000000u; now() < end;) turn(20);
}

static void phase(const char *text) {
    const char *whole = text;
    double rate = 0, seconds = 1;
    int depth = 0, stopped = 0, is_twins = strncmp(text, "twin:", 5) == 0;
    if (is_twins) text += 5;
    sender = is_twins ? &twin : &server;
    int is_known = sscanf(text, "flight:%d:%lf", &depth, &seconds) == 2
        || sscanf(text, "rate:%lf:%lf:%d", &rate, &seconds, &stopped) >= 2;
    if (!is_known || sender->publisher < 0 || stopped > stopped_max) {
        fprintf(stderr, "load: no such phase: %s\n", whole);
        exit(2);
    }
    memset(&seen, 0, sizeof seen);
    uint64_t readers = (uint64_t)(o.count - stopped);
    stop_readers(stopped);
    long memory = sender_memory();
    uint64_t cpu = sender_cpu(), start = now();
    pump(rate, depth, seconds, readers);
    double wall = (double)(now() - start) / 1e9, used = (double)(sender_cpu() - cpu) / 1e9;
    uint64_t counted = seen.deliveries, due = seen.published * readers;
    settle(due);
    long grown = sender_memory() - memory;
    long long missing = (long long)(due - seen.deliveries);
    qsort(samples, seen.samples, sizeof *samples, by_size);
    double p50 = percentile(0.5), p99 = percentile(0.99), longest = percentile(1);
    if (stopped) resume_readers(stopped);
    printf(
        "phase=%s events=%llu bytes=%llu per_s=%.0f per_cpu_s=%.0f core=%.3f p50=%.3f p99=%.3f "
        "max=%.3f missing=%lld lost=%llu disordered=%llu resyncs=%llu closed=%llu grown=%ld\n",
        whole, (unsigned long long)seen.published, (unsigned long long)sender->payload_bytes,
        (double)counted / wall, used > 0 ? (double)counted / used : 0, used / wall, p50, p99,
        longest, missing, (unsigned long long)seen.lost, (unsigned long long)seen.disordered,
        (unsigned long long)seen.resyncs, (unsigned long long)seen.closed, grown);
    fflush(stdout);
}

int main(int argc, char **argv) {
    for (int c; (c = getopt(argc, argv, "p:P:T:t:n:a:b:k:u:U:m:s:")) != -1;) {
        switch (c) {
        case 'p': server.port = port = atoi(optarg); break;
        case 'P': server.pid = atoi(optarg); break;
        case 'T': twin.port = atoi(optarg); break;
        case 't': twin.pid = atoi(optarg); break;
        case 'n': o.count = atoi(optarg); break;
        case 'a': addresses = atoi(optarg); break;
        case 'b': o.bytes = atoi(optarg); break;
        case 'k': token = optarg; break;
        case 'u': o.path = optarg; break;
        case 'U': o.publisher_path = optarg; break;
        case 'm': server.mode = optarg; break;
        case 's': stopped_max = atoi(optarg); break;
        default: return 2;
        }
    }
    raise_descriptor_limit();
    samples = malloc(sizeof *samples * SAMPLES);
    poller = epoll_create1(0);
    warm_up();
    long before = sender_memory();
    connect_all();
    long idle = sender_memory();
    subscribe_all();
    printf(
        "phase=idle connections=%d idle_bytes=%.1f subscribed_bytes=%.1f\n", o.count,
        (double)(idle - before) / o.count, (double)(sender_memory() - before) / o.count);
    fflush(stdout);
    if (twin.pid) calibrate(&twin);
    calibrate(&server);
    for (char line[128]; fgets(line, sizeof line, stdin);) {
        line[strcspn(line, "\n")] = 0;
        phase(line);
    }
    for (int i = 0; i < o.count; i++)
        if (peers[i].fd >= 0) hang_up(peers[i].fd);
    return 0;
}
