/* Clients that come back: N dashboards whose connections end again and again, and who go on from the
 * last event they saw. What each of them gets is checked event by event.
 *
 *   storm -p PORT -k TOKEN -n CLIENTS [-l LIFE_MS] [-w AWAY_MS] [-W LONG_AWAY_MS] [-x SEED]
 *
 * Connections live for LIFE_MS on average (0: for good) and end by a reset or without a close frame.
 * Mostly the client is back within AWAY_MS; one in sixteen stays away for LONG_AWAY_MS. Somebody else
 * publishes events of the type `storm` with data {"n": 1, 2, 3…}.
 *
 * Says `ready` when all are connected for the first time. Takes from standard input `stay` (from now
 * on connections are kept), `end N` (N is the last event: wait until everybody has it, 30 s at most)
 * or end of file. Then prints one line of key=value pairs and ends. A gap is an event that is not the
 * successor of the one before, unless a snapshot marked as resync stands between them and the next
 * event is the first one behind that snapshot. Loopback only. */
#define _GNU_SOURCE
#include "client.h"
#include <fcntl.h>

enum { READ = 1 << 18, DIALS = 256, EVENTS = 1 << 16, WAIT_SECONDS = 30 };

enum State { AWAY, CONNECTING, ASKED, LISTENING };

typedef struct {
    int fd;
    enum State state;
    uint64_t at;         /* when the state is to end */
    uint64_t sequence;   /* the last event seen, of any kind */
    uint64_t last;       /* its number, 0 while none of ours was seen since `snapshot` */
    uint64_t snapshot;   /* the sequence number of the last snapshot */
    uint32_t held;
    unsigned char *hold;
    int has_come, wants_resume;
} Client;

typedef struct {
    uint64_t snapshot, number;
} Join;

static Client *clients;
static int count = 1000, poller, dialing;
static uint64_t life_ms = 1000, away_ms = 200, long_away_ms = 4000, seed = 1, final_number;
static int stays, has_ended, is_ready;
static uint64_t connects, resumed, resyncs, gaps, repeats, refused, broken, events, unmarked;
/* The sequence number of each event, from whoever saw it first. */
static uint64_t sequence_of[EVENTS];
static Join *joins;
static size_t join_count, join_room;

static uint64_t random_below(uint64_t limit) {
    seed += 0x9E3779B97F4A7C15u;
    uint64_t z = seed;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return limit ? (z ^ z >> 31) % limit : 0;
}

static uint64_t in_ms(uint64_t ms) { return now() + ms * 1000000u; }

static void watch(Client *client, uint32_t what) {
    struct epoll_event event = {.events = what, .data.ptr = client};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, client->fd, &event) < 0
        && epoll_ctl(poller, EPOLL_CTL_ADD, client->fd, &event) < 0)
        die("epoll_ctl");
}

/* MARK: A connection's life */

static void go_away(Client *client, int politely) {
    if (client->state == CONNECTING || client->state == ASKED) dialing -= 1;
    if (politely) close(client->fd);
    else hang_up(client->fd);
    free(client->hold);
    client->hold = NULL;
    client->held = 0;
    client->fd = -1;
    client->state = AWAY;
    client->at = in_ms(random_below(16) == 0 ? long_away_ms : random_below(away_ms + 1));
}

static void come(Client *client) {
    int index = (int)(client - clients), one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) die("socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7F000002u + (uint32_t)(index % addresses));
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0) die("bind");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect");
    client->fd = fd;
    client->state = CONNECTING;
    client->at = in_ms(20000);
    dialing += 1;
    connects += 1;
    watch(client, EPOLLOUT);
}

static void ask(Client *client) {
    char path[128];
    if (client->has_come)
        snprintf(path, sizeof path, "/ws?event_types=storm&since=%llu",
            (unsigned long long)client->sequence);
    else
        snprintf(path, sizeof path, "/ws?event_types=storm");
    client->wants_resume = client->has_come;
    if (!ask_upgrade(client->fd, path)) {
        broken += 1;
        return go_away(client, 0);
    }
    client->state = ASKED;
    watch(client, EPOLLIN);
}

/* MARK: What it is told */

static void joined(Client *client, uint64_t number) {
    if (join_count == join_room) {
        join_room = join_room ? 2 * join_room : 1024;
        joins = realloc(joins, join_room * sizeof *joins);
        if (!joins) die("realloc");
    }
    joins[join_count++] = (Join){client->snapshot, number};
}

static void text(Client *client, const unsigned char *payload, size_t bytes) {
    /* Ours puts type, time and number in front; the rest is looked at no further. */
    size_t near = bytes < 220 ? bytes : 220;
    uint64_t sequence = number_after(payload, near, "\"seq\":", 6);
    if (memmem(payload, near, "\"initial_status\"", 16)) {
        int is_marked = memmem(payload, near, "\"resync\":true", 13) != NULL;
        if (is_marked) resyncs += 1;
        else if (client->has_come) unmarked += 1;
        client->has_come = 1;
        client->wants_resume = 0;
        client->snapshot = client->sequence = sequence;
        client->last = 0;
        return;
    }
    if (memmem(payload, near, "\"resumed\"", 9)) {
        resumed += 1;
        client->wants_resume = 0;
        return;
    }
    if (sequence) client->sequence = sequence;
    uint64_t number = number_after(payload, near, "\"n\":", 4);
    if (!number) return;
    events += 1;
    if (number < EVENTS && !sequence_of[number]) sequence_of[number] = sequence;
    if (!client->last) joined(client, number);
    else if (number <= client->last) repeats += 1;
    else if (number != client->last + 1) gaps += 1;
    client->last = number;
}

/* Until everybody has come once nobody leaves. */
static uint64_t end_of_life(void) {
    return life_ms && !stays && is_ready ? in_ms(1 + random_below(2 * life_ms)) : UINT64_MAX;
}

/* The bytes of the answer to the upgrade; 0 while it is not complete. */
static size_t answered(Client *client, unsigned char *bytes, size_t have) {
    unsigned char *end = memmem(bytes, have, "\r\n\r\n", 4);
    if (!end) return 0;
    if (have < 12 || memcmp(bytes, "HTTP/1.1 101", 12) != 0) {
        refused += 1;
        go_away(client, 1);
        return 0;
    }
    client->state = LISTENING;
    client->at = end_of_life();
    dialing -= 1;
    return (size_t)(end + 4 - bytes);
}

static void keep(Client *client, const unsigned char *bytes, size_t rest) {
    free(client->hold);
    client->hold = NULL;
    client->held = (uint32_t)rest;
    if (rest == 0) return;
    client->hold = malloc(rest);
    if (!client->hold) die("malloc");
    memcpy(client->hold, bytes, rest);
}

static void hear(Client *client) {
    static unsigned char bytes[READ];
    if (client->held) memcpy(bytes, client->hold, client->held);
    ssize_t got = recv(client->fd, bytes + client->held, READ - client->held, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        broken += 1;
        return go_away(client, 0);
    }
    size_t have = client->held + (size_t)got, position = 0, head = 0;
    if (client->state == ASKED) {
        position = answered(client, bytes, have);
        if (client->state == AWAY) return;
    }
    while (client->state == LISTENING) {
        size_t size = frame_size(bytes + position, have - position, &head);
        if (size == 0 || position + size > have) break;
        if ((bytes[position] & 0x0F) == 1) text(client, bytes + position + head, size - head);
        if ((bytes[position] & 0x0F) == 8) {
            broken += 1;
            return go_away(client, 1);
        }
        position += size;
    }
    keep(client, bytes + position, have - position);
}

/* MARK: All of them */

static void look_at_clocks(void) {
    static int first;
    uint64_t time = now();
    /* Each time somebody else is the first who may dial. */
    first = (first + 997) % count;
    for (int i = 0; i < count; i++) {
        Client *client = &clients[(first + i) % count];
        if (client->at > time) continue;
        switch (client->state) {
        case AWAY:
            /* A backlog is finite: so many at a time are enough for any server. */
            if (dialing < DIALS) come(client);
            break;
        case CONNECTING:
        case ASKED:
            broken += 1;
            go_away(client, 0);
            break;
        case LISTENING:
            if (stays) client->at = UINT64_MAX;
            else go_away(client, (int)random_below(2));
        }
    }
}

static void turn(int wait) {
    struct epoll_event ready[512];
    int found = epoll_wait(poller, ready, 512, wait);
    for (int i = 0; i < found; i++) {
        Client *client = ready[i].data.ptr;
        if (client->state == CONNECTING) ask(client);
        else if (client->state != AWAY) hear(client);
    }
}

static void take_orders(void) {
    static char line[128];
    static size_t held;
    ssize_t got = read(0, line + held, sizeof line - 1 - held);
    if (got == 0) has_ended = 1;
    if (got <= 0) return;
    held += (size_t)got;
    line[held] = 0;
    for (char *end; (end = strchr(line, '\n'));) {
        *end = 0;
        if (strcmp(line, "stay") == 0) stays = 1;
        unsigned long long number;
        if (sscanf(line, "end %llu", &number) == 1) {
            stays = has_ended = 1;
            final_number = number;
        }
        held -= (size_t)(end + 1 - line);
        memmove(line, end + 1, held + 1);
    }
}

static int complete(void) {
    int done = 0;
    for (int i = 0; i < count; i++) {
        /* Whoever came last may have the last event in its snapshot already. */
        const Client *client = &clients[i];
        int is_behind_it = final_number < EVENTS && sequence_of[final_number]
            && !client->last && client->snapshot >= sequence_of[final_number];
        if (client->state == LISTENING && !client->wants_resume && client->has_come
            && (client->last == final_number || is_behind_it))
            done += 1;
    }
    return done;
}

static int connected(void) {
    int done = 0;
    for (int i = 0; i < count; i++) done += clients[i].has_come;
    return done;
}

/* Between a snapshot and the first event behind it there must be none. */
static uint64_t hidden_gaps(void) {
    uint64_t hidden = 0;
    for (size_t i = 0; i < join_count; i++) {
        uint64_t number = joins[i].number;
        if (number >= EVENTS) continue;
        if (sequence_of[number] <= joins[i].snapshot) hidden += 1;
        else if (number > 1 && sequence_of[number - 1] > joins[i].snapshot) hidden += 1;
    }
    return hidden;
}

int main(int argc, char **argv) {
    for (int c; (c = getopt(argc, argv, "p:k:n:a:l:w:W:x:")) != -1;) {
        switch (c) {
        case 'p': port = atoi(optarg); break;
        case 'k': token = optarg; break;
        case 'n': count = atoi(optarg); break;
        case 'a': addresses = atoi(optarg); break;
        case 'l': life_ms = strtoull(optarg, NULL, 10); break;
        case 'w': away_ms = strtoull(optarg, NULL, 10); break;
        case 'W': long_away_ms = strtoull(optarg, NULL, 10); break;
        case 'x': seed = strtoull(optarg, NULL, 10); break;
        default: return 2;
        }
    }
    raise_descriptor_limit();
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    clients = calloc((size_t)count, sizeof *clients);
    poller = epoll_create1(0);
    for (int i = 0; i < count; i++) clients[i].fd = -1;
    uint64_t deadline = UINT64_MAX, looked = 0;
    int done = 0;
    while (done < count && now() < deadline) {
        turn(5);
        if (now() - looked < 5000000u) continue;
        looked = now();
        look_at_clocks();
        take_orders();
        if (!is_ready && connected() == count) {
            is_ready = 1;
            for (int i = 0; i < count; i++)
                if (clients[i].state == LISTENING) clients[i].at = end_of_life();
            puts("ready");
            fflush(stdout);
        }
        if (!has_ended) continue;
        if (deadline == UINT64_MAX) deadline = in_ms(WAIT_SECONDS * 1000);
        if (final_number == 0) break;
        done = complete();
    }
    printf(
        "clients=%d complete=%d connects=%llu resumed=%llu resyncs=%llu gaps=%llu hidden=%llu "
        "unmarked=%llu repeats=%llu refused=%llu broken=%llu events=%llu\n",
        count, done, (unsigned long long)connects, (unsigned long long)resumed,
        (unsigned long long)resyncs, (unsigned long long)gaps, (unsigned long long)hidden_gaps(),
        (unsigned long long)unmarked, (unsigned long long)repeats, (unsigned long long)refused,
        (unsigned long long)broken, (unsigned long long)events);
    for (int i = 0; i < count; i++)
        if (clients[i].fd >= 0) hang_up(clients[i].fd);
    return 0;
}
