/*
 * The shared cache beside what else could answer: one process, one thread, pinned to cpu 0.
 *
 *   bench BACKEND ENTRIES BYTES [SOCKET]       "shm" takes its segment from descriptor 3
 *   bench shm ENTRIES BYTES churn              counts only rounds in which the writer wrote
 *
 * Prints lines "operation median-ns p99-ns". A figure is the median over short rounds, so that
 * whatever else runs on the machine falls out; p99 is of single calls, less the clock's own cost.
 * Every answer is copied out. Every get must be a hit; beside a writer at full speed one in a
 * hundred may meet an entry that is being replaced, which is a miss.
 */
#define OMNI2CACHE_HEADER_ONLY
#include "omni2cache.h"

#include <lmdb.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUND = 256, ROUNDS_MAX = 4000, SINGLES = 20000, BATCH = 16 };

typedef struct backend {
    const char *name;
    void (*open)(const char *where);
    void (*fill)(void);
    long (*get)(const uint8_t key[32]);
    unsigned (*get_batch)(const uint8_t (*keys)[32]); /* BATCH keys */
    void (*set)(const uint8_t key[32]);
} backend;

static uint64_t entries, state = 88172645463325252u;
static size_t value_bytes;
static char *value, *buffer;
static uint8_t keys[ROUND][32];

static void fail(const char *what) {
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static uint64_t mix(uint64_t *s) {
    uint64_t z = *s += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void make_key(uint64_t index, uint8_t key[32]) {
    for (int i = 0; i < 4; i++) {
        uint64_t word = mix(&index);
        memcpy(key + 8 * i, &word, 8);
    }
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- Shared memory ---- */

static omni2_cache *cache;
static int churn;

/* How far the writer has come: two stamps a put at most. */
static uint64_t writer_progress(void) {
    return churn ? omni2_load_relaxed(&cache->view.control->stamp) : 0;
}

static void shm_open_segment(const char *where) {
    churn = strcmp(where, "churn") == 0;
    int result = omni2_cache_open_descriptor(3, &cache);
    if (result != OMNI2_OK) fail(omni2_cache_strerror(result));
    /* The others filled their memory themselves and have it mapped. */
    omni2_view_populate(&cache->view, 3);
}
static long shm_get(const uint8_t key[32]) {
    return omni2_cache_get(cache, key, buffer, value_bytes, NULL);
}
static unsigned shm_get_batch(const uint8_t (*batch)[32]) {
    omni2_cache_out out[BATCH];
    for (int i = 0; i < BATCH; i++) {
        out[i].buffer = buffer + (size_t)i * value_bytes;
        out[i].capacity = value_bytes;
    }
    return omni2_cache_get_many(cache, batch, BATCH, out);
}

/* ---- LMDB ---- */

static MDB_env *environment;
static MDB_dbi database;
static MDB_txn *read_transaction;

static void lmdb_open(const char *where) {
    mdb_env_create(&environment);
    mdb_env_set_mapsize(environment, (size_t)entries * (value_bytes + 4096) * 2 + (64u << 20));
    if (mdb_env_open(environment, where, MDB_NOSYNC | MDB_WRITEMAP | MDB_NOSUBDIR, 0600) != 0)
        fail("lmdb");
}
static void lmdb_fill(void) {
    MDB_txn *transaction;
    mdb_txn_begin(environment, NULL, 0, &transaction);
    mdb_dbi_open(transaction, NULL, 0, &database);
    for (uint64_t i = 0; i < entries; i++) {
        uint8_t key[32];
        make_key(i, key);
        MDB_val k = {32, key}, v = {value_bytes, value};
        if (mdb_put(transaction, database, &k, &v, 0) != 0) fail("lmdb put");
        if (i % 20000 == 19999) {
            mdb_txn_commit(transaction);
            mdb_txn_begin(environment, NULL, 0, &transaction);
        }
    }
    mdb_txn_commit(transaction);
    mdb_txn_begin(environment, NULL, MDB_RDONLY, &read_transaction);
    mdb_txn_reset(read_transaction);
}
static long lmdb_lookup(const uint8_t key[32], char *to) {
    MDB_val k = {32, (void *)(uintptr_t)key}, v;
    if (mdb_get(read_transaction, database, &k, &v) != 0) return -1;
    memcpy(to, v.mv_data, v.mv_size);
    return (long)v.mv_size;
}
static long lmdb_get(const uint8_t key[32]) {
    mdb_txn_renew(read_transaction);
    long length = lmdb_lookup(key, buffer);
    mdb_txn_reset(read_transaction);
    return length;
}
static unsigned lmdb_get_batch(const uint8_t (*batch)[32]) {
    unsigned hits = 0;
    mdb_txn_renew(read_transaction);
    for (int i = 0; i < BATCH; i++)
        hits += lmdb_lookup(batch[i], buffer + (size_t)i * value_bytes) >= 0;
    mdb_txn_reset(read_transaction);
    return hits;
}
static void lmdb_set(const uint8_t key[32]) {
    MDB_txn *transaction;
    MDB_val k = {32, (void *)(uintptr_t)key}, v = {value_bytes, value};
    mdb_txn_begin(environment, NULL, 0, &transaction);
    mdb_put(transaction, database, &k, &v, 0);
    mdb_txn_commit(transaction);
}

/* ---- SQLite in memory ---- */

static sqlite3 *db;
static sqlite3_stmt *select_one, *replace_one;

static void sqlite_open(const char *where) {
    (void)where;
    sqlite3_open(":memory:", &db);
    sqlite3_exec(db, "create table c (k blob primary key, v blob) without rowid", 0, 0, 0);
    sqlite3_prepare_v2(db, "select v from c where k = ?", -1, &select_one, 0);
    sqlite3_prepare_v2(db, "insert or replace into c values (?, ?)", -1, &replace_one, 0);
}
static void sqlite_set(const uint8_t key[32]) {
    sqlite3_bind_blob(replace_one, 1, key, 32, SQLITE_STATIC);
    sqlite3_bind_blob(replace_one, 2, value, (int)value_bytes, SQLITE_STATIC);
    sqlite3_step(replace_one);
    sqlite3_reset(replace_one);
}
static void sqlite_fill(void) {
    sqlite3_exec(db, "begin", 0, 0, 0);
    for (uint64_t i = 0; i < entries; i++) {
        uint8_t key[32];
        make_key(i, key);
        sqlite_set(key);
    }
    sqlite3_exec(db, "commit", 0, 0, 0);
}
static long sqlite_get(const uint8_t key[32]) {
    long length = -1;
    sqlite3_bind_blob(select_one, 1, key, 32, SQLITE_STATIC);
    if (sqlite3_step(select_one) == SQLITE_ROW) {
        length = sqlite3_column_bytes(select_one, 0);
        memcpy(buffer, sqlite3_column_blob(select_one, 0), (size_t)length);
    }
    sqlite3_reset(select_one);
    return length;
}

/* ---- Servers behind Unix sockets ---- */

static int server;
static char *wire;
static size_t wire_capacity;

static void server_open(const char *where) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, where, sizeof address.sun_path - 1);
    server = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(server, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
    wire_capacity = (value_bytes + 256) * 64;
    wire = malloc(wire_capacity);
}
static void send_all(const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = write(server, bytes, count);
        if (sent <= 0) fail("write");
        bytes += sent;
        count -= (size_t)sent;
    }
}
static size_t receive_exactly(size_t count) {
    size_t held = 0;
    while (held < count) {
        ssize_t got = read(server, buffer + held, count - held);
        if (got <= 0) fail("read");
        held += (size_t)got;
    }
    return held;
}
/* An answer of `hit` bytes, unless its byte at `place` says that it is one of five. */
static int receive_answer(size_t hit, int place, char miss) {
    size_t held = 0;
    while (held < hit) {
        ssize_t got = read(server, buffer + held, hit - held);
        if (got <= 0) fail("read");
        held += (size_t)got;
        if (held >= 5 && buffer[place] == miss) return 0;
    }
    return 1;
}
static size_t hex_key(char *to, const uint8_t key[32]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        to[2 * i] = digits[key[i] >> 4];
        to[2 * i + 1] = digits[key[i] & 15];
    }
    return 64;
}

static size_t redis_header_bytes; /* "$200\r\n" */

static size_t redis_put_get(char *to, const uint8_t key[32]) {
    size_t n = (size_t)sprintf(to, "*2\r\n$3\r\nGET\r\n$32\r\n");
    memcpy(to + n, key, 32);
    memcpy(to + n + 32, "\r\n", 2);
    return n + 34;
}
static long redis_get(const uint8_t key[32]) {
    send_all(wire, redis_put_get(wire, key));
    /* A miss is "$-1\r\n". */
    return receive_answer(redis_header_bytes + value_bytes + 2, 1, '-') ? (long)value_bytes : -1;
}
static unsigned redis_get_batch(const uint8_t (*batch)[32]) {
    size_t n = 0;
    for (int i = 0; i < BATCH; i++) n += redis_put_get(wire + n, batch[i]);
    send_all(wire, n);
    receive_exactly((redis_header_bytes + value_bytes + 2) * BATCH);
    return BATCH;
}
static size_t redis_put_set(char *to, const uint8_t key[32]) {
    size_t n = (size_t)sprintf(to, "*3\r\n$3\r\nSET\r\n$32\r\n");
    memcpy(to + n, key, 32);
    n += 32;
    n += (size_t)sprintf(to + n, "\r\n$%zu\r\n", value_bytes);
    memcpy(to + n, value, value_bytes);
    memcpy(to + n + value_bytes, "\r\n", 2);
    return n + value_bytes + 2;
}
static void redis_set(const uint8_t key[32]) {
    send_all(wire, redis_put_set(wire, key));
    receive_exactly(5);
}
static void redis_fill(void) {
    char header[32];
    redis_header_bytes = (size_t)sprintf(header, "$%zu\r\n", value_bytes);
    for (uint64_t i = 0; i < entries;) {
        size_t n = 0;
        unsigned count = 0;
        for (; count < 32 && i < entries; count++, i++) {
            uint8_t key[32];
            make_key(i, key);
            n += redis_put_set(wire + n, key);
        }
        send_all(wire, n);
        receive_exactly(5 * count);
    }
}

/* "VALUE <64> 0 <bytes>\r\n<value>\r\nEND\r\n" */
static size_t memcached_header_bytes;

static long memcached_get(const uint8_t key[32]) {
    memcpy(wire, "get ", 4);
    hex_key(wire + 4, key);
    memcpy(wire + 68, "\r\n", 2);
    send_all(wire, 70);
    /* A miss is "END\r\n". */
    return receive_answer(memcached_header_bytes + value_bytes + 7, 0, 'E') ? (long)value_bytes
                                                                           : -1;
}
static unsigned memcached_get_batch(const uint8_t (*batch)[32]) {
    size_t n = 3;
    memcpy(wire, "get", 3);
    for (int i = 0; i < BATCH; i++) {
        wire[n++] = ' ';
        n += hex_key(wire + n, batch[i]);
    }
    memcpy(wire + n, "\r\n", 2);
    send_all(wire, n + 2);
    receive_exactly((memcached_header_bytes + value_bytes + 2) * BATCH + 5);
    return BATCH;
}
static size_t memcached_put_set(char *to, const uint8_t key[32]) {
    size_t n = 4;
    memcpy(to, "set ", 4);
    n += hex_key(to + n, key);
    n += (size_t)sprintf(to + n, " 0 0 %zu\r\n", value_bytes);
    memcpy(to + n, value, value_bytes);
    memcpy(to + n + value_bytes, "\r\n", 2);
    return n + value_bytes + 2;
}
static void memcached_set(const uint8_t key[32]) {
    send_all(wire, memcached_put_set(wire, key));
    receive_exactly(8); /* STORED\r\n */
}
static void memcached_fill(void) {
    char header[128];
    memcached_header_bytes = (size_t)sprintf(header, "VALUE %064d 0 %zu\r\n", 0, value_bytes);
    for (uint64_t i = 0; i < entries;) {
        size_t n = 0;
        unsigned count = 0;
        for (; count < 32 && i < entries; count++, i++) {
            uint8_t key[32];
            make_key(i, key);
            n += memcached_put_set(wire + n, key);
        }
        send_all(wire, n);
        receive_exactly(8 * count);
    }
}

/* ---- Measuring ---- */

static const backend backends[] = {
    {"shm", shm_open_segment, NULL, shm_get, shm_get_batch, NULL},
    {"lmdb", lmdb_open, lmdb_fill, lmdb_get, lmdb_get_batch, lmdb_set},
    {"sqlite", sqlite_open, sqlite_fill, sqlite_get, NULL, sqlite_set},
    {"redis", server_open, redis_fill, redis_get, redis_get_batch, redis_set},
    {"memcached", server_open, memcached_fill, memcached_get, memcached_get_batch, memcached_set},
};
static const backend *b;

static int ascending(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, c = *(const uint64_t *)right;
    return a < c ? -1 : a > c;
}

/* Fresh keys for a round, outside the timed part: existing ones, or ones never stored. */
static void draw_keys(int existing) {
    for (int i = 0; i < ROUND; i++)
        make_key(mix(&state) % entries + (existing ? 0 : entries + 1000000), keys[i]);
}

static uint64_t clock_cost(void) {
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 10000; i++) {
        uint64_t start = now_ns(), cost = now_ns() - start;
        if (cost < best) best = cost;
    }
    return best;
}

static long wanted;
static uint64_t gets, misses;

static void get_hit(int i) {
    gets++;
    misses += b->get(keys[i]) != wanted;
}
static void get_miss(int i) {
    if (b->get(keys[i]) >= 0) fail("a miss was a hit");
}
static void set_one(int i) { b->set(keys[i]); }
static void mixed(int i) {
    if (i % 10 == 0) b->set(keys[i]);
    else get_hit(i);
}
static void get_sixteen(int i) {
    gets += BATCH;
    misses += BATCH - b->get_batch((const uint8_t(*)[32])keys + i * BATCH);
}

static void measure(const char *operation, void (*one)(int), int existing, int per_round,
                    int lookups) {
    static uint64_t rounds[ROUNDS_MAX], singles[SINGLES];
    int count = 0;
    uint64_t cost = clock_cost(), end = now_ns() + (churn ? 3000000000u : 700000000u);
    while (count < ROUNDS_MAX && (now_ns() < end || count < 9)) {
        draw_keys(existing);
        uint64_t before = writer_progress(), start = now_ns();
        for (int i = 0; i < per_round; i++) one(i);
        uint64_t taken = now_ns() - start;
        /* A put takes less than 5 us: with fewer, the writer was not running all the time. */
        if (churn && writer_progress() - before < 1 + taken / 5000 && now_ns() < end) continue;
        rounds[count++] = taken;
    }
    qsort(rounds, (size_t)count, sizeof *rounds, ascending);
    int sampled = 0;
    end = now_ns() + 500000000u;
    while (sampled + per_round <= SINGLES && now_ns() < end) {
        draw_keys(existing);
        for (int i = 0; i < per_round; i++) {
            uint64_t start = now_ns();
            one(i);
            uint64_t taken = now_ns() - start;
            singles[sampled++] = taken > cost ? taken - cost : 0;
        }
    }
    qsort(singles, (size_t)sampled, sizeof *singles, ascending);
    printf("%s %.1f %llu\n", operation, (double)rounds[count / 2] / (per_round * lookups),
           (unsigned long long)singles[sampled * 99 / 100]);
    fflush(stdout);
}

int main(int count, char **words) {
    cpu_set_t cpus;
    if (count < 4) fail("see the first lines of bench.c");
    CPU_ZERO(&cpus);
    CPU_SET(0, &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
    entries = strtoull(words[2], NULL, 10);
    value_bytes = strtoull(words[3], NULL, 10);
    wanted = (long)value_bytes;
    value = malloc(value_bytes);
    buffer = malloc((value_bytes + 256) * 64);
    memset(value, 'A', value_bytes);
    memset(buffer, 0, (value_bytes + 256) * 64);
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++)
        if (strcmp(backends[i].name, words[1]) == 0) b = &backends[i];
    if (!b) fail("unknown backend");
    b->open(count > 4 ? words[4] : "");
    if (b->fill) b->fill();
    measure("get", get_hit, 1, ROUND, 1);
    if (b->get_batch) measure("get16", get_sixteen, 1, ROUND / BATCH, BATCH);
    measure("miss", get_miss, 0, ROUND, 1);
    if (b->set) {
        measure("set", set_one, 1, ROUND, 1);
        measure("mixed", mixed, 1, ROUND, 1);
    }
    if (misses * 100 > (strcmp(b->name, "shm") == 0 ? gets : 0)) fail("gets missed");
    return 0;
}
