/*
 * The torture test of the shared cache.
 *
 *   torture kill WRITER KILLS SECONDS [SEED]
 *       A writer at full speed (CacheTestWriter torture), eight readers; the writer is killed at
 *       random and recovered, readers are stopped at random for longer than entries live.
 *   torture crash WRITER SEED [FIRST STEP]
 *       The writer (built with crash points) dies at every shared store of a fixed piece of work,
 *       and again inside its recovery.
 *
 * Every value proves itself: its number, key, tool, expiry and a sum over all words. The board, a
 * page outside the cache, says for each tool which numbers no reader may see any more. Exit status
 * 0 only if nothing wrong was seen and everything that should happen did.
 */
#define OMNI2CACHE_HEADER_ONLY
#include "omni2cache.h"

#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { TOOLS = 16, KEYS = 4096, READERS = 8 };
enum { PUTS = 1, INVALIDATIONS = 2, REFUSED = 4, ACKNOWLEDGED = 16 };

/* What a reader found; summed at the end. */
struct findings {
    uint64_t gets, hits, torn, wrong_key, expired, invalidated, odd, slowest;
};

static uint64_t *board;
static struct findings *findings;
static int store[2]; /* the descriptor store: [0] ours, [1] the writer's end */
static int board_fd, segment_fd = -1;
static uint64_t seed = 1;

static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void make_key(uint64_t index, uint8_t key[32]) {
    uint64_t state = index;
    for (int i = 0; i < 4; i++) {
        uint64_t word = next_random(&state);
        memcpy(key + 8 * i, &word, 8);
    }
}

static void die(const char *format, ...) {
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    exit(1);
}

/* ---- Judging a value ---- */

static void judge(struct findings *f, const uint64_t *value, long length, uint64_t index,
                  uint64_t before, uint64_t acknowledged) {
    uint64_t words = (uint64_t)length / 8, sum = 0;
    if (length % 8 != 0 || words < 6 || value[4] != words) {
        f->torn++;
        return;
    }
    for (uint64_t i = 0; i < words - 1; i++) sum = (sum ^ value[i]) * UINT64_C(0x9e3779b97f4a7c15);
    if (sum != value[words - 1]) f->torn++;
    else if (value[1] != index || value[2] != index % TOOLS) f->wrong_key++;
    else if (before >= value[3]) f->expired++;
    else if (value[0] <= acknowledged) f->invalidated++;
}

static void look_up(omni2_view *view, struct findings *f, uint64_t index, uint64_t *buffer,
                    size_t capacity) {
    uint8_t key[32];
    make_key(index, key);
    uint64_t acknowledged = omni2_load_acquire(&board[ACKNOWLEDGED + index % TOOLS]);
    uint64_t before = omni2_boot_clock();
    long length = omni2_view_get(view, key, buffer, capacity, NULL);
    f->gets++;
    if (length >= 0) {
        f->hits++;
        judge(f, buffer, length, index, before, acknowledged);
    } else if (length != OMNI2_MISS) {
        f->odd++;
    }
}

static void read_forever(int number) {
    static uint64_t buffer[20000];
    struct findings *f = &findings[number];
    uint64_t state = seed * 1000 + (uint64_t)number;
    omni2_view view;
    setpriority(PRIO_PROCESS, 0, 10);
    int result = omni2_view_attach(&view, segment_fd);
    if (result != OMNI2_OK) die("reader: %s", omni2_cache_strerror(result));
    close(segment_fd);
    for (;;) look_up(&view, f, next_random(&state) % KEYS, buffer, sizeof buffer);
}

/* ---- Processes ---- */

static pid_t start_writer(char *const arguments[]) {
    pid_t pid = fork();
    if (pid != 0) return pid;
    int segment = segment_fd >= 0 ? fcntl(segment_fd, F_DUPFD, 20) : -1;
    int socket = fcntl(store[1], F_DUPFD, 20), page = fcntl(board_fd, F_DUPFD, 20);
    dup2(socket, 3);
    dup2(page, 4);
    if (segment >= 0) dup2(segment, 5);
    for (int fd = segment >= 0 ? 6 : 5; fd < 64; fd++) close(fd);
    execv(arguments[0], arguments);
    _exit(127);
}

/* The writer's next word on the store; keeps the descriptor of a new segment. 0: it is gone. */
static int hear(char *word, size_t capacity, int timeout_ms) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec piece = {word, capacity - 1};
    struct msghdr envelope = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes,
                              .msg_controllen = sizeof control.bytes};
    struct pollfd p = {store[0], POLLIN, 0};
    if (poll(&p, 1, timeout_ms) <= 0) return 0;
    ssize_t count = recvmsg(store[0], &envelope, MSG_CMSG_CLOEXEC);
    if (count <= 0) return 0;
    word[count] = 0;
    struct cmsghdr *head = CMSG_FIRSTHDR(&envelope);
    if (head) {
        if (segment_fd >= 0) close(segment_fd);
        memcpy(&segment_fd, CMSG_DATA(head), sizeof(int));
    }
    return 1;
}

static void open_store(void) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, store) != 0) die("socketpair");
}

static void say_go(void) { (void)!send(store[0], "g", 1, MSG_NOSIGNAL); }

static int count_descriptors(pid_t pid) {
    char path[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    if (!directory) return -1;
    while (readdir(directory)) count++;
    closedir(directory);
    return count;
}

static uint64_t *shared_page(int *fd) {
    *fd = memfd_create("board", MFD_CLOEXEC);
    if (ftruncate(*fd, 4096) != 0) die("board");
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
}

/* ---- Kills ---- */

struct census {
    uint64_t born[KEYS], expires[KEYS];
};

static unsigned take_census(omni2_view *view, struct census *census) {
    unsigned live = 0;
    for (uint64_t index = 0; index < KEYS; index++) {
        uint8_t key[32];
        omni2_cache_meta meta;
        make_key(index, key);
        int found = omni2_view_contains(view, key, &meta) == OMNI2_OK;
        census->born[index] = found ? meta.born : 0;
        census->expires[index] = found ? meta.expires : 0;
        live += (unsigned)found;
    }
    return live;
}

static struct findings sum_findings(int readers) {
    struct findings sum;
    memset(&sum, 0, sizeof sum);
    for (int i = 0; i < readers; i++) {
        sum.gets += findings[i].gets;
        sum.hits += findings[i].hits;
        sum.torn += findings[i].torn;
        sum.wrong_key += findings[i].wrong_key;
        sum.expired += findings[i].expired;
        sum.invalidated += findings[i].invalidated;
        sum.odd += findings[i].odd;
    }
    return sum;
}

static int report(struct findings sum) {
    printf("  gets %llu, hits checked %llu: torn %llu, wrong key %llu, expired %llu, "
           "invalidated or resurrected %llu, segment refused %llu\n",
           (unsigned long long)sum.gets, (unsigned long long)sum.hits,
           (unsigned long long)sum.torn, (unsigned long long)sum.wrong_key,
           (unsigned long long)sum.expired, (unsigned long long)sum.invalidated,
           (unsigned long long)sum.odd);
    return sum.torn == 0 && sum.wrong_key == 0 && sum.expired == 0 && sum.invalidated == 0 &&
           sum.odd == 0;
}

/* Readers must get on while the writer stands still in the middle of whatever it did. */
static int readers_progress(pid_t writer, const pid_t *readers, uint64_t *resume_at) {
    uint64_t before[READERS];
    int fine = 1;
    kill(writer, SIGSTOP);
    for (int i = 0; i < READERS; i++) {
        kill(readers[i], SIGCONT); /* those we had stopped ourselves */
        resume_at[i] = 0;
    }
    for (int i = 0; i < READERS; i++) before[i] = findings[i].gets;
    for (int wait = 0; wait < 100; wait++) {
        usleep(50000);
        fine = 1;
        for (int i = 0; i < READERS; i++) fine &= findings[i].gets > before[i];
        if (fine) break;
    }
    kill(writer, SIGCONT);
    return fine;
}

static int run_kills(char *program, unsigned kills, unsigned seconds) {
    char *arguments[] = {program, "torture", NULL};
    static struct census before, after;
    pid_t readers[READERS];
    uint64_t resume_at[READERS] = {0};
    uint64_t state = seed, live = 0, lost = 0;
    char word[256];
    unsigned done = 0;
    int first_descriptors = 0, last_descriptors = 0, progress = 0;
    omni2_view view;
    uint64_t end = omni2_monotonic_ms() + seconds * 1000;

    pid_t writer = start_writer(arguments);
    if (!hear(word, sizeof word, 10000)) die("the writer did not start");
    if (omni2_view_attach(&view, segment_fd) != OMNI2_OK) die("no view");
    for (int i = 0; i < READERS; i++) {
        readers[i] = fork();
        if (readers[i] == 0) read_forever(i);
    }
    say_go();
    usleep(200000);
    while (done < kills && omni2_monotonic_ms() < end) {
        usleep((useconds_t)(1000 + next_random(&state) % 12000));
        if (done % 500 == 250) progress += readers_progress(writer, readers, resume_at);
        int chosen = (int)(next_random(&state) % READERS);
        if (next_random(&state) % 4 == 0 && resume_at[chosen] == 0) {
            kill(readers[chosen], SIGSTOP);
            resume_at[chosen] = omni2_monotonic_ms() + 20 + next_random(&state) % 600;
        }
        for (int i = 0; i < READERS; i++) {
            if (resume_at[i] == 0 || omni2_monotonic_ms() < resume_at[i]) continue;
            kill(readers[i], SIGCONT);
            resume_at[i] = 0;
        }
        last_descriptors = count_descriptors(writer);
        if (done == 1) first_descriptors = last_descriptors;
        kill(writer, SIGKILL);
        waitpid(writer, NULL, 0);
        take_census(&view, &before);
        close(store[0]);
        close(store[1]);
        open_store();
        writer = start_writer(arguments);
        if (!hear(word, sizeof word, 10000) || strncmp(word, "recovered", 9) != 0)
            die("no recovery after kill %u (seed %llu)", done, (unsigned long long)seed);
        take_census(&view, &after);
        uint64_t checked = omni2_boot_clock();
        for (int i = 0; i < KEYS; i++) {
            if (before.born[i] == 0 || before.expires[i] <= checked) continue;
            live++;
            lost += after.born[i] == 0;
        }
        say_go();
        done++;
    }
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    for (int i = 0; i < READERS; i++) {
        kill(readers[i], SIGCONT);
        kill(readers[i], SIGKILL);
        waitpid(readers[i], NULL, 0);
    }
    struct stat status;
    fstat(segment_fd, &status);
    struct findings sum = sum_findings(READERS);
    double kept = live ? 100.0 * (double)(live - lost) / (double)live : 0;
    printf("  kills %u of %u (seed %llu), puts %llu, invalidations %llu, late fills refused %llu\n",
           done, kills, (unsigned long long)seed, (unsigned long long)board[PUTS],
           (unsigned long long)board[INVALIDATIONS], (unsigned long long)board[REFUSED]);
    printf("  live entries kept %.2f %% of %llu; descriptors of the writer %d -> %d; segment "
           "%lld KiB\n",
           kept, (unsigned long long)live, first_descriptors, last_descriptors,
           (long long)status.st_blocks / 2);
    int fine = report(sum);
    int enough = done == kills && sum.hits > 10000 && board[REFUSED] > 0;
    int lean = first_descriptors == last_descriptors && status.st_blocks / 2 < 8192;
    int moved = progress == (int)((done + 249) / 500);
    if (!enough) printf("  too little happened\n");
    if (!lean) printf("  something leaks\n");
    if (!moved) printf("  readers stood still while the writer was stopped\n");
    return fine && enough && lean && moved && kept >= 95.0;
}

/* ---- Crash points ---- */

static uint64_t most[OMNI2_STAT_COUNT]; /* of each statistic, over all runs */

/* Reads every key through a fresh view; returns a bit per key. */
static uint64_t survey(struct findings *f) {
    static uint64_t buffer[20000];
    omni2_view view;
    uint64_t found = 0;
    int result = omni2_view_attach(&view, segment_fd);
    if (result == OMNI2_E_STATE) return 0; /* died before it was live */
    if (result != OMNI2_OK) die("survey: %s", omni2_cache_strerror(result));
    for (uint64_t index = 0; index < 40; index++) {
        uint64_t hits = f->hits;
        look_up(&view, f, index, buffer, sizeof buffer);
        if (f->hits > hits) found |= UINT64_C(1) << index;
    }
    for (int i = 0; i < (int)OMNI2_STAT_COUNT; i++) {
        uint64_t value = omni2_view_statistic(&view, (enum omni2_statistic)i);
        if (value > most[i]) most[i] = value;
    }
    omni2_view_detach(&view);
    return found;
}

static void new_store(void) {
    close(store[0]);
    close(store[1]);
    open_store();
}

/* Runs a writer to its end or death. 1: it finished. `heard`: it got as far as its report. */
static int run_writer(char *const arguments[], int *heard) {
    char word[256];
    new_store();
    pid_t pid = start_writer(arguments);
    close(store[1]); /* so that its death is heard */
    store[1] = -1;
    int status, finished = 0;
    *heard = hear(word, sizeof word, 20000);
    if (*heard) {
        say_go();
        finished = hear(word, sizeof word, 20000) && strcmp(word, "done") == 0;
    }
    waitpid(pid, &status, 0);
    if (!finished && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
        die("the writer failed by itself: %s %s, status %x", arguments[1], arguments[2], status);
    return finished;
}

static int run_crashes(char *program, uint64_t first, uint64_t step) {
    struct findings *f = &findings[0];
    char seed_text[32], stores_text[32];
    char *work[] = {program, "crash", seed_text, stores_text, NULL};
    char *recover[] = {program, "recover", stores_text, NULL};
    uint64_t points = 0, recoveries = 0, inner = 0, lost = 0, state = seed;
    snprintf(seed_text, sizeof seed_text, "%llu", (unsigned long long)seed);
    for (uint64_t stores = first;; stores += step) {
        int heard;
        if (segment_fd >= 0) close(segment_fd);
        segment_fd = -1;
        memset(board, 0, 4096);
        snprintf(stores_text, sizeof stores_text, "%llu", (unsigned long long)stores);
        int finished = run_writer(work, &heard);
        if (!heard || segment_fd < 0) die("no segment at store %llu", (unsigned long long)stores);
        uint64_t expected = survey(f);
        points++;
        /* Die once or twice inside the recovery, then let one finish. */
        for (int round = 0; round < 3; round++) {
            uint64_t at = round == 2 ? UINT64_MAX : next_random(&state) % 140;
            snprintf(stores_text, sizeof stores_text, "%llu", (unsigned long long)at);
            int done = run_writer(recover, &heard);
            recoveries++;
            if (done) break; /* its own work came after the recovery */
            inner += !heard;
            uint64_t found = survey(f);
            if (!heard && found != expected) {
                printf("  store %llu: %llx before, %llx after a death in recovery\n",
                       (unsigned long long)stores, (unsigned long long)expected,
                       (unsigned long long)found);
                lost++;
            }
        }
        survey(f);
        if (finished) break;
    }
    printf("  died at %llu stores (seed %llu), recoveries %llu, of which died inside %llu, "
           "entries lost by recovery %llu\n",
           (unsigned long long)points, (unsigned long long)seed, (unsigned long long)recoveries,
           (unsigned long long)inner, (unsigned long long)lost);
    printf("  in one run up to: %llu stores, %llu replacements, %llu evictions, %llu relocations, "
           "%llu invalidations\n",
           (unsigned long long)most[OMNI2_STAT_STORES],
           (unsigned long long)most[OMNI2_STAT_REPLACEMENTS],
           (unsigned long long)most[OMNI2_STAT_EVICTIONS],
           (unsigned long long)most[OMNI2_STAT_RELOCATIONS],
           (unsigned long long)most[OMNI2_STAT_INVALIDATIONS]);
    int varied = most[OMNI2_STAT_EVICTIONS] > 0 && most[OMNI2_STAT_REPLACEMENTS] > 0 &&
                 most[OMNI2_STAT_RELOCATIONS] > 0;
    if (!varied) printf("  the work was too simple\n");
    int fine = report(*f);
    return fine && varied && lost == 0 && f->hits > points;
}

int main(int count, char **words) {
    int findings_fd;
    if (count < 4) die("see the first lines of torture.c");
    signal(SIGPIPE, SIG_IGN);
    board = shared_page(&board_fd);
    findings = (struct findings *)shared_page(&findings_fd);
    open_store();
    int fine;
    if (strcmp(words[1], "kill") == 0) {
        if (count > 5) seed = strtoull(words[5], NULL, 10);
        fine = run_kills(words[2], (unsigned)atoi(words[3]), (unsigned)atoi(words[4]));
    } else {
        seed = strtoull(words[3], NULL, 10);
        uint64_t first = count > 4 ? strtoull(words[4], NULL, 10) : 0;
        uint64_t step = count > 5 ? strtoull(words[5], NULL, 10) : 1;
        fine = run_crashes(words[2], first, step);
    }
    printf("  %s\n", fine ? "passed" : "FAILED");
    return !fine;
}
