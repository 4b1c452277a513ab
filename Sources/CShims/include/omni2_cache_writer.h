/*
 * omni2_cache_writer.h: the writer's half of omni2_cache.h. Every store into the segment is made
 * by a function of this file, in an order that stays right if the process dies between any two.
 * Only the daemon includes it; policy (who is evicted, where a value goes) is Swift.
 *
 * Build with OMNI2_CACHE_CRASH_POINTS and each shared store first passes omni2_crash_point(),
 * which a test uses to die there. OMNI2_CACHE_BREAK_* remove one protection each: the torture
 * test must fail with them.
 */
#ifndef OMNI2_CACHE_WRITER_H
#define OMNI2_CACHE_WRITER_H

#include "omni2_cache.h"
#include <signal.h>
#include <unistd.h>

#ifdef OMNI2_CACHE_CRASH_POINTS
/* Defined in omni2_cache.c. Counts down; at zero the process kills itself. */
void omni2_crash_point(void);
void omni2_crash_after(uint64_t stores);
uint64_t omni2_crash_points_passed(void);
#else
static inline void omni2_crash_point(void) {}
#endif

static inline void omni2_store_relaxed(uint64_t *p, uint64_t value) {
    omni2_crash_point();
    __atomic_store_n(p, value, __ATOMIC_RELAXED);
}
static inline void omni2_store_release(uint64_t *p, uint64_t value) {
    omni2_crash_point();
    __atomic_store_n(p, value, __ATOMIC_RELEASE);
}
static inline void omni2_store32_release(uint32_t *p, uint32_t value) {
    omni2_crash_point();
    __atomic_store_n(p, value, __ATOMIC_RELEASE);
}

/* Pointers into the writer's own mapping. */
typedef struct omni2_writer {
    unsigned char *base;
    omni2_control *control;
    uint64_t *statistics;
    uint64_t *index;
    omni2_descriptor *descriptors;
    uint64_t *server_stamps;
    uint64_t *tool_stamps;
    omni2_name *server_names;
    omni2_name *tool_names;
    unsigned char *values;
    uint64_t index_mask;
    uint64_t seed[2];
} omni2_writer;

static inline omni2_writer omni2_writer_over(void *base, const omni2_geometry *g) {
    omni2_writer w;
    unsigned char *bytes = (unsigned char *)base;
    w.base = bytes;
    w.control = (omni2_control *)(void *)(bytes + offsetof(omni2_header, control));
    w.statistics = (uint64_t *)(void *)(bytes + offsetof(omni2_header, statistics));
    w.index = (uint64_t *)(void *)(bytes + g->index_offset);
    w.descriptors = (omni2_descriptor *)(void *)(bytes + g->descriptor_offset);
    w.server_stamps = (uint64_t *)(void *)(bytes + g->stamps_offset);
    w.tool_stamps = w.server_stamps + g->server_count;
    w.server_names = (omni2_name *)(void *)(bytes + omni2_names_offset(g));
    w.tool_names = w.server_names + g->server_count;
    w.values = bytes + g->value_offset;
    w.index_mask = g->index_mask;
    w.seed[0] = g->seed[0];
    w.seed[1] = g->seed[1];
    return w;
}

/* Fills in everything that follows from the counts. Returns the size of the segment. */
static inline uint64_t omni2_geometry_plan(omni2_geometry *g, uint64_t entries, uint32_t servers,
                                           uint32_t tools, uint64_t value_bytes, uint64_t id,
                                           uint64_t seed0, uint64_t seed1) {
    uint64_t buckets = 2;
    memset(g, 0, sizeof *g);
    while (buckets * OMNI2_BUCKET_SLOTS * 2 < entries * 5) buckets *= 2; /* at most 40 % full */
    g->magic = OMNI2_CACHE_MAGIC;
    g->major = OMNI2_CACHE_MAJOR;
    g->minor = OMNI2_CACHE_MINOR;
    g->header_bytes = OMNI2_HEADER_BYTES;
    g->segment_id = id;
    g->seed[0] = seed0;
    g->seed[1] = seed1;
    g->index_mask = buckets - 1;
    g->descriptor_count = entries;
    g->server_count = servers;
    g->tool_count = tools;
    g->value_units = (value_bytes + OMNI2_UNIT_BYTES - 1) / OMNI2_UNIT_BYTES;
    g->index_offset = OMNI2_HEADER_BYTES;
    g->descriptor_offset = g->index_offset + buckets * OMNI2_BUCKET_BYTES;
    g->stamps_offset = g->descriptor_offset + entries * OMNI2_DESCRIPTOR_BYTES;
    uint64_t end = omni2_names_offset(g) + ((uint64_t)servers + tools) * OMNI2_NAME_BYTES;
    g->value_offset = (end + OMNI2_VALUE_ALIGNMENT - 1) & ~(uint64_t)(OMNI2_VALUE_ALIGNMENT - 1);
    uint64_t values = g->value_units * OMNI2_UNIT_BYTES;
    values = (values + OMNI2_VALUE_ALIGNMENT - 1) & ~(uint64_t)(OMNI2_VALUE_ALIGNMENT - 1);
    g->value_units = values / OMNI2_UNIT_BYTES;
    g->segment_bytes = g->value_offset + values;
    g->checksum = omni2_geometry_checksum(g);
    return g->segment_bytes;
}

static inline void omni2_writer_format(void *base, const omni2_geometry *g) {
    omni2_crash_point();
    memcpy(base, g, sizeof *g);
}

static inline void omni2_writer_set_state(const omni2_writer *w, enum omni2_segment_state state) {
    omni2_store32_release(&w->control->state, (uint32_t)state);
}
static inline uint32_t omni2_writer_state(const omni2_writer *w) {
    return omni2_load32_acquire(&w->control->state);
}
static inline void omni2_writer_take_over(const omni2_writer *w, uint32_t pid) {
    omni2_store32_release(&w->control->writer_pid, pid);
    omni2_store_release(&w->control->epoch, omni2_load_relaxed(&w->control->epoch) + 1);
}
static inline void omni2_writer_set_heartbeat(const omni2_writer *w, uint64_t now) {
    omni2_store_relaxed(&w->control->heartbeat, now);
}
/* Before a stamp is used, everybody must be able to see that it is: a successor reads this. */
static inline void omni2_writer_set_stamp(const omni2_writer *w, uint64_t next) {
    omni2_store_release(&w->control->stamp, next);
}
static inline void omni2_writer_set_statistic(const omni2_writer *w, uint32_t which,
                                              uint64_t value) {
    omni2_store_relaxed(&w->statistics[which], value);
}

/* Invalidation is one store; once it returned, no lookup that starts later finds older entries. */
static inline void omni2_writer_invalidate_all(const omni2_writer *w, uint64_t stamp) {
    omni2_store_release(&w->control->invalid_all, stamp);
}
static inline void omni2_writer_invalidate_server(const omni2_writer *w, uint16_t server,
                                                  uint64_t stamp) {
    omni2_store_release(&w->server_stamps[server], stamp);
}
static inline void omni2_writer_invalidate_tool(const omni2_writer *w, uint16_t tool,
                                                uint64_t stamp) {
    omni2_store_release(&w->tool_stamps[tool], stamp);
}

static inline uint64_t omni2_location(uint32_t unit, uint32_t length) {
    return (uint64_t)unit | (uint64_t)length << 32;
}
static inline uint64_t omni2_meta(uint32_t crc, uint16_t server, uint16_t tool) {
    return (uint64_t)crc | (uint64_t)server << 32 | (uint64_t)tool << 48;
}

/* Bytes of a value, into an extent that no live descriptor names. */
static inline void omni2_writer_fill(const omni2_writer *w, uint32_t unit, const void *bytes,
                                     uint32_t length) {
    unsigned char *to = w->values + (uint64_t)unit * OMNI2_UNIT_BYTES;
    omni2_crash_point();
#ifdef OMNI2_CACHE_CRASH_POINTS
    uint32_t half = length / 2;
    memcpy(to, bytes, half);
    omni2_crash_point();
    memcpy(to + half, (const unsigned char *)bytes + half, length - half);
#else
    memcpy(to, bytes, length);
#endif
}

/* The same from inside the value area. */
static inline void omni2_writer_move(const omni2_writer *w, uint32_t to, uint32_t from,
                                     uint32_t length) {
    omni2_writer_fill(w, to, w->values + (uint64_t)from * OMNI2_UNIT_BYTES, length);
}

/* Freed results may be secrets: readers can see every byte of the mapping. */
static inline void omni2_writer_scrub(const omni2_writer *w, uint32_t unit, uint32_t units) {
    omni2_crash_point();
    memset(w->values + (uint64_t)unit * OMNI2_UNIT_BYTES, 0, (size_t)units * OMNI2_UNIT_BYTES);
}

/*
 * Ends a descriptor's current life. After the fence, whatever is stored next (its fields, its
 * extent's bytes) can only be seen by a reader that will also see the changed version word.
 */
static inline void omni2_writer_drop(const omni2_writer *w, uint32_t descriptor) {
#ifdef OMNI2_CACHE_BREAK_WRITER_FENCE
    /* A control of the torture test. Without the fence this store may become visible after the
       ones that follow it; x86 never does that by itself, so the control does. */
    (void)w;
    (void)descriptor;
#else
    omni2_store_relaxed(&w->descriptors[descriptor].born, 0);
    omni2_fence_release();
#endif
}

/* Begins a new life: the descriptor was dropped, the value lies at `location`. */
static inline void omni2_writer_publish(const omni2_writer *w, uint32_t descriptor,
                                        const omni2_key *key, uint64_t location, uint64_t expires,
                                        uint64_t meta, uint64_t born) {
    omni2_descriptor *d = &w->descriptors[descriptor];
    for (int i = 0; i < 4; i++) omni2_store_relaxed(&d->key[i], key->word[i]);
    omni2_store_relaxed(&d->location, location);
    omni2_store_relaxed(&d->expires, expires);
    omni2_store_relaxed(&d->meta, meta);
    omni2_store_release(&d->born, born);
}

static inline void omni2_writer_set_slot(const omni2_writer *w, uint64_t position, uint64_t slot) {
    omni2_store_release(&w->index[position], slot);
}
static inline uint64_t omni2_writer_slot(const omni2_writer *w, uint64_t position) {
    return omni2_load_relaxed(&w->index[position]);
}
static inline uint64_t omni2_slot(uint32_t tag, uint32_t descriptor) {
    return (uint64_t)tag << 32 | descriptor;
}
static inline uint64_t omni2_writer_hash(const omni2_writer *w, const omni2_key *key) {
    return omni2_hash(w->seed, key);
}

/* The writer reads its own descriptors: nobody else stores there. */
static inline omni2_descriptor omni2_writer_read(const omni2_writer *w, uint32_t descriptor) {
    const omni2_descriptor *d = &w->descriptors[descriptor];
    omni2_descriptor copy;
    copy.born = omni2_load_acquire(&d->born);
    for (int i = 0; i < 4; i++) copy.key[i] = omni2_load_relaxed(&d->key[i]);
    copy.location = omni2_load_relaxed(&d->location);
    copy.expires = omni2_load_relaxed(&d->expires);
    copy.meta = omni2_load_relaxed(&d->meta);
    return copy;
}
static inline int omni2_key_equal(const omni2_descriptor *d, const omni2_key *key) {
    return ((d->key[0] ^ key->word[0]) | (d->key[1] ^ key->word[1]) | (d->key[2] ^ key->word[2]) |
            (d->key[3] ^ key->word[3])) == 0;
}

/* The descriptor that holds `key`, or -1. */
static inline int64_t omni2_writer_find(const omni2_writer *w, const omni2_key *key,
                                        uint64_t hash) {
    uint32_t tag = omni2_tag(hash);
    uint64_t bucket = omni2_bucket_first(hash, w->index_mask);
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < OMNI2_BUCKET_SLOTS; i++) {
            uint64_t slot = w->index[bucket * OMNI2_BUCKET_SLOTS + (uint64_t)i];
            if ((uint32_t)(slot >> 32) == tag && slot != 0 &&
                omni2_key_equal(&w->descriptors[(uint32_t)slot], key))
                return (int64_t)(uint32_t)slot;
        }
        bucket = omni2_bucket_other(bucket, tag, w->index_mask);
    }
    return -1;
}

static inline void omni2_writer_set_name(omni2_name *name, uint64_t born, uint32_t parent,
                                         const void *text, uint32_t length) {
    omni2_store_relaxed(&name->born, 0);
    omni2_fence_release();
    omni2_crash_point();
    __atomic_store_n(&name->parent, parent, __ATOMIC_RELAXED);
    __atomic_store_n(&name->length, length, __ATOMIC_RELAXED);
    omni2_crash_point();
    memcpy(name->text, text, length < sizeof name->text ? length : sizeof name->text);
    omni2_store_release(&name->born, born);
}
static inline omni2_name *omni2_writer_server_name(const omni2_writer *w, uint32_t server) {
    return &w->server_names[server];
}
static inline omni2_name *omni2_writer_tool_name(const omni2_writer *w, uint32_t tool) {
    return &w->tool_names[tool];
}
static inline const unsigned char *omni2_name_text(const omni2_name *name) { return name->text; }

static inline int omni2_hello_is_valid(omni2_hello hello) {
    return hello.magic == OMNI2_HELLO_MAGIC && hello.protocol == OMNI2_PROTOCOL;
}
static inline omni2_welcome omni2_welcome_make(void) {
    omni2_welcome w;
    memset(&w, 0, sizeof w);
    w.magic = OMNI2_WELCOME_MAGIC;
    w.protocol = OMNI2_PROTOCOL;
    w.major = OMNI2_CACHE_MAJOR;
    w.minor = OMNI2_CACHE_MINOR;
    w.incompat = 0;
    return w;
}

/* Reads and clears one byte that a reader may write at any time. */
static inline int omni2_touch_take(void *byte) {
    unsigned char *touch = (unsigned char *)byte;
    if (__atomic_load_n(touch, __ATOMIC_RELAXED) == 0) return 0;
    __atomic_store_n(touch, 0, __ATOMIC_RELAXED);
    return 1;
}
static inline uint64_t omni2_area_counter(const omni2_reader_area *area, uint32_t which) {
    return omni2_load_relaxed(&area->counters[which]);
}

/* CRC-32C, in hardware where the processor has it (omni2_cache.c). */
uint32_t omni2_crc32c(const void *bytes, size_t count);
uint32_t omni2_crc32c_software(const void *bytes, size_t count);

static inline uint64_t omni2_reader_magic(void) { return OMNI2_READER_MAGIC; }

/* ---- System calls that Swift cannot spell ----------------------------------------------------- */

/* A close-on-exec, never-executable, 0600 memfd of `bytes`, sealed against shrinking, growing and
   further seals. Returns the descriptor or -errno. */
int omni2_memfd(const char *name, uint64_t bytes);
/* The seals, or -errno. */
int omni2_seals(int fd);
/* A read-only re-open of the same memfd, or -errno. */
int omni2_reopen_read_only(int fd);
/* Maps a shared descriptor read-write, kept out of forks and core dumps. 0 or -errno. */
int omni2_map(int fd, uint64_t bytes, void **address);
/* Takes memory for a range, or gives it back. 0 or -errno. */
int omni2_reserve(int fd, uint64_t offset, uint64_t bytes);
int omni2_release(int fd, uint64_t offset, uint64_t bytes);
/* Makes one huge page of the small ones in each 2 MiB. Contents stay. Blocks. 0 or -errno. */
int omni2_merge_pages(void *address, uint64_t bytes);
/* Size of a file in bytes, or -errno. */
int64_t omni2_file_bytes(int fd);
int omni2_process_is_gone(int32_t pid);
/* Reads a small file whole. Bytes, or -errno. */
long omni2_read_file(const char *path, void *buffer, size_t capacity);
/* One message, without blocking. Bytes or -errno. */
long omni2_receive(int socket, void *buffer, size_t capacity);
/* One message with up to two descriptors (-1: none). Returns bytes or -errno. Never blocks. */
long omni2_send_with_descriptors(int socket, const void *message, size_t count, int fd0, int fd1);
/* uid and pid of the peer; 0 or -errno. */
int omni2_peer(int socket, uint32_t *uid, uint32_t *gid, int32_t *pid);

#endif
