/*
 * omni2_cache.h: the shared-memory result cache of omni2-native, as its readers see it.
 *
 * One writer (the daemon) keeps tool results in a sealed memfd; any number of sibling processes
 * map it read-only and look results up without a system call, a lock, a store into the segment or
 * a wait. This header is the contract: the layout, every atomic access, and the reader's hot path.
 * C11 and C++11, nothing but libc. The daemon compiles the same inline code.
 *
 * THE SEGMENT (little-endian, fixed width, offsets instead of pointers)
 *
 *   header       4096 bytes: identity and geometry (written once), one mutable line, statistics
 *   index        buckets of 64 bytes = 8 slots of { tag : 32 | descriptor : 32 }, 0 = empty
 *   descriptors  64 bytes each: born, key, location, expiry, checksum, server, tool
 *   stamps       u64 per server, then u64 per tool: "entries born up to here are invalid"
 *   names        192 bytes per server, then per tool: what the small numbers stand for
 *   values       units of 64 bytes, starting at a multiple of 2 MiB
 *
 * THE VERSION WORD. `born` is the stamp of the put that wrote the descriptor: 64 bits, taken from
 * one counter, never used twice, 0 while the descriptor is free or being rewritten. Equal `born`
 * before and after the copy therefore proves that nothing in between was rewritten, reused or
 * relocated: torn reads, reuse (ABA) and invalidation are all decided by this one word.
 *
 *   writer: born = 0 | fence(release) | fields, value | born = stamp (release) | slot (release)
 *   reader: s = born (acquire) | fields, value | fence(acquire) | born == s ?
 *
 * Index slots are hints: a stale one leads to a descriptor that fails the key or the version check,
 * so the index needs no version of its own and no repair after a crash.
 *
 * AN ENTRY IS VALID while born > max(invalid_all, stamp of its server, stamp of its tool) and
 * CLOCK_BOOTTIME (read after the copy) is before `expires`.
 *
 * WHO MAY TRUST WHAT. The reader copies the geometry once, verifies it, and checks every offset it
 * takes from shared memory against that private copy. Whatever the segment contains, a lookup ends
 * after a bounded number of steps inside the mapping; anything odd is a miss.
 *
 * A view (and a handle) belongs to one thread at a time.
 */
#ifndef OMNI2_CACHE_H
#define OMNI2_CACHE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
#define OMNI2_STATIC_ASSERT(condition, text) static_assert(condition, text)
extern "C" {
#else
#define OMNI2_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#if !defined(__linux__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || !defined(__LP64__)
#error "the omni2 cache layout is for 64-bit little-endian Linux"
#endif

/* ---- 1. Layout ------------------------------------------------------------------------------ */

#define OMNI2_CACHE_MAGIC UINT64_C(0x31434d48534e4d4f) /* "OMNSHMC1" */
#define OMNI2_CACHE_MAJOR 1u
#define OMNI2_CACHE_MINOR 0u
/* Features a reader must know to read the segment at all; unknown bits mean: do not touch. */
#define OMNI2_CACHE_INCOMPAT_KNOWN 0u

enum {
    OMNI2_HEADER_BYTES = 4096,
    OMNI2_BUCKET_SLOTS = 8,
    OMNI2_BUCKET_BYTES = 64,
    OMNI2_DESCRIPTOR_BYTES = 64,
    OMNI2_NAME_BYTES = 192,
    OMNI2_UNIT_BYTES = 64,
    OMNI2_VALUE_ALIGNMENT = 2 * 1024 * 1024,
    OMNI2_KEY_BYTES = 32,
    OMNI2_ATTEMPTS_MAX = 8,
    OMNI2_BATCH_MAX = 16,
    OMNI2_PREFETCH_FROM = 1024, /* bytes of a value */
    OMNI2_PREFETCH_MAX = 4096,
    OMNI2_STATISTICS_MAX = 64
};

/* A heartbeat older than this means that the segment lost its writer. */
#define OMNI2_ORPHANED_AFTER_NS UINT64_C(15000000000)

enum omni2_segment_state {
    OMNI2_STATE_INITIAL = 0, /* being laid out; not readable yet */
    OMNI2_STATE_LIVE = 1,    /* readable */
    OMNI2_STATE_RETIRED = 2  /* a successor exists, or the daemon stopped for good */
};

/* Written once before the state becomes LIVE, covered by `checksum`, never changed afterwards. */
typedef struct omni2_geometry {
    uint64_t magic;
    uint32_t major, minor;
    uint32_t header_bytes, incompat;
    uint32_t compat, reserved;
    uint64_t segment_bytes;
    uint64_t segment_id;       /* random; names the segment in the descriptor store */
    uint64_t seed[2];          /* random; keys the index hash */
    uint64_t index_offset;
    uint64_t index_mask;       /* buckets - 1; buckets is a power of two, at least 2 */
    uint64_t descriptor_offset;
    uint64_t descriptor_count;
    uint64_t stamps_offset;
    uint32_t server_count, tool_count;
    uint64_t value_offset;
    uint64_t value_units;
    uint64_t checksum;         /* omni2_geometry_checksum over the 128 bytes above */
} omni2_geometry;

/* The one mutable line of the header, read on every lookup. */
typedef struct omni2_control {
    uint32_t state;            /* enum omni2_segment_state */
    uint32_t writer_pid;
    uint64_t epoch;            /* counts writers: +1 at every recovery */
    uint64_t heartbeat;        /* CLOCK_BOOTTIME, nanoseconds, renewed at least every 5 s */
    uint64_t stamp;            /* every stamp used so far is smaller */
    uint64_t invalid_all;      /* entries born up to here are invalid */
    uint64_t reserved[3];
} omni2_control;

/* Published statistics: the writer's own counters, exact, relaxed. Append only. */
enum omni2_statistic {
    OMNI2_STAT_HITS = 0,          /* the daemon's own lookups */
    OMNI2_STAT_MISSES,            /* includes expired and invalidated */
    OMNI2_STAT_STALE_HITS,        /* answered past the expiry, on request */
    OMNI2_STAT_STORES,            /* new keys */
    OMNI2_STAT_REPLACEMENTS,      /* existing keys with a new value */
    OMNI2_STAT_EVICTIONS,         /* live entries that made room */
    OMNI2_STAT_EXPIRATIONS,       /* entries reclaimed because their time was over */
    OMNI2_STAT_INVALIDATIONS,     /* entries that were live when they were invalidated */
    OMNI2_STAT_REFUSED_OUTDATED,  /* fills that began before an invalidation */
    OMNI2_STAT_REFUSED_TOO_LARGE,
    OMNI2_STAT_REFUSED_NO_SPACE,
    OMNI2_STAT_RELOCATIONS,       /* values moved to join free space */
    OMNI2_STAT_INDEX_MOVES,       /* slots moved to their other bucket */
    OMNI2_STAT_SECOND_CHANCES,    /* evictions deferred because a reader had used the entry */
    OMNI2_STAT_READER_HITS,       /* summed over reader areas */
    OMNI2_STAT_READER_MISSES,
    OMNI2_STAT_READER_EXPIRED,    /* of the misses: found, but past expiry */
    OMNI2_STAT_READER_INVALID,    /* of the misses: found, but invalidated */
    OMNI2_STAT_ATTACHES,          /* readers welcomed */
    OMNI2_STAT_ATTACHES_REFUSED,
    OMNI2_STAT_RECOVERED,         /* entries kept by the last recovery */
    OMNI2_STAT_RECOVERY_DROPPED,  /* entries dropped by the last recovery */
    OMNI2_STAT_ENTRIES,           /* gauges from here on */
    OMNI2_STAT_ENTRIES_MAX,
    OMNI2_STAT_BYTES_USED,        /* units in use * 64 */
    OMNI2_STAT_BYTES_RESERVED,    /* value memory taken from the kernel */
    OMNI2_STAT_BYTES_MAX,
    OMNI2_STAT_READERS,           /* reader areas held */
    OMNI2_STAT_COUNT
};

typedef struct omni2_header {
    omni2_geometry geometry;
    unsigned char reserved_1[192 - sizeof(omni2_geometry)];
    omni2_control control;
    uint64_t statistics[OMNI2_STATISTICS_MAX];
    unsigned char reserved_2[OMNI2_HEADER_BYTES - 256 - 8 * OMNI2_STATISTICS_MAX];
} omni2_header;

typedef struct omni2_descriptor {
    uint64_t born;             /* version word, see above */
    uint64_t key[4];           /* the 32 key bytes, loaded as they lie in memory */
    uint64_t location;         /* first unit : 32 | length in bytes : 32 (unit in the low half) */
    uint64_t expires;          /* CLOCK_BOOTTIME of the daemon, nanoseconds */
    uint64_t meta;             /* CRC-32C of the value : 32 | server : 16 | tool : 16, low first */
} omni2_descriptor;

/* What a server or tool number stands for. Same version protocol as a descriptor. */
typedef struct omni2_name {
    uint64_t born;
    uint32_t parent;           /* tools: the server's number; servers: 0xffffffff */
    uint32_t length;           /* of the name in bytes; beyond `text` the rest is missing */
    unsigned char text[176];
} omni2_name;

/* What a reader counts. `expired` and `invalid` are also misses. */
enum omni2_counter {
    OMNI2_COUNT_HITS = 0,
    OMNI2_COUNT_MISSES,
    OMNI2_COUNT_EXPIRED,
    OMNI2_COUNT_INVALID,
    OMNI2_COUNT_RETRIES,       /* attempts repeated because the writer was in the way */
    OMNI2_COUNT_CORRUPT,       /* descriptors that pointed outside the segment */
    OMNI2_COUNTERS
};

/*
 * A reader's own area: a second memfd, writable, shared only with the daemon. It can influence
 * recency and the summed counters, nothing else: the daemon reads bytes as yes/no and adds
 * clamped differences of the counters.
 */
typedef struct omni2_reader_area {
    uint64_t magic;            /* OMNI2_READER_MAGIC */
    uint64_t descriptor_count; /* touch bytes that follow the first 4096 bytes */
    uint64_t counters[OMNI2_COUNTERS];
    unsigned char reserved[OMNI2_HEADER_BYTES - 64];
    /* unsigned char touch[descriptor_count]; */
} omni2_reader_area;

#define OMNI2_READER_MAGIC UINT64_C(0x3144524d48534d4f)

OMNI2_STATIC_ASSERT(offsetof(omni2_geometry, segment_bytes) == 32, "layout");
OMNI2_STATIC_ASSERT(offsetof(omni2_geometry, index_offset) == 64, "layout");
OMNI2_STATIC_ASSERT(offsetof(omni2_geometry, checksum) == 128, "layout");
OMNI2_STATIC_ASSERT(offsetof(omni2_header, control) == 192, "layout");
OMNI2_STATIC_ASSERT(offsetof(omni2_header, statistics) == 256, "layout");
OMNI2_STATIC_ASSERT(sizeof(omni2_control) == 64, "layout");
OMNI2_STATIC_ASSERT(sizeof(omni2_header) == OMNI2_HEADER_BYTES, "layout");
OMNI2_STATIC_ASSERT(sizeof(omni2_descriptor) == OMNI2_DESCRIPTOR_BYTES, "layout");
OMNI2_STATIC_ASSERT(sizeof(omni2_name) == OMNI2_NAME_BYTES, "layout");
OMNI2_STATIC_ASSERT(sizeof(omni2_reader_area) == OMNI2_HEADER_BYTES, "layout");
OMNI2_STATIC_ASSERT((int)OMNI2_STAT_COUNT <= (int)OMNI2_STATISTICS_MAX, "layout");

/* ---- 2. Attaching over the socket ------------------------------------------------------------ */

/*
 * SOCK_SEQPACKET, one message each way: HELLO, then WELCOME with the descriptors attached
 * (the segment O_RDONLY; the reader area read-write if OMNI2_WELCOME_AREA is set). The daemon
 * closes the connection afterwards. A refusal is a WELCOME with a status and no descriptor.
 */
#define OMNI2_CACHE_SOCKET "/run/omni2/cache.sock"
#define OMNI2_HELLO_MAGIC UINT64_C(0x4f4c4c4548324d4f)
#define OMNI2_WELCOME_MAGIC UINT64_C(0x454d4f434c45574f)
#define OMNI2_PROTOCOL 1u

enum { OMNI2_HELLO_WANTS_AREA = 1u };  /* omni2_hello.features */
enum { OMNI2_WELCOME_AREA = 1u };      /* omni2_welcome.flags */

enum omni2_welcome_status {
    OMNI2_WELCOME_OK = 0,
    OMNI2_WELCOME_PROTOCOL = 1,   /* HELLO not understood */
    OMNI2_WELCOME_VERSION = 2,    /* no common layout major */
    OMNI2_WELCOME_SAME_USER = 3,  /* peer runs as the daemon's own uid, which could write */
    OMNI2_WELCOME_FORBIDDEN = 4,  /* policy refuses the peer */
    OMNI2_WELCOME_UNAVAILABLE = 5 /* no segment at the moment */
};

typedef struct omni2_hello {
    uint64_t magic;
    uint32_t protocol;
    uint32_t features;
    uint64_t majors;           /* bit n: layout major n understood */
    uint64_t clock;            /* the reader's CLOCK_BOOTTIME, nanoseconds */
} omni2_hello;

typedef struct omni2_welcome {
    uint64_t magic;
    uint32_t protocol;
    uint32_t status;           /* enum omni2_welcome_status */
    uint32_t major, minor;
    uint32_t compat, incompat;
    uint64_t segment_id;
    uint64_t clock;            /* the daemon's CLOCK_BOOTTIME, nanoseconds */
    uint32_t flags, reserved;
} omni2_welcome;

OMNI2_STATIC_ASSERT(sizeof(omni2_hello) == 32, "layout");
OMNI2_STATIC_ASSERT(sizeof(omni2_welcome) == 56, "layout");

/* ---- 3. Results ------------------------------------------------------------------------------ */

enum omni2_cache_result {
    OMNI2_OK = 0,
    /* Answers of a lookup. */
    OMNI2_MISS = -1,           /* not there, expired, invalidated, or busy: ask the daemon */
    OMNI2_TOO_SMALL = -2,      /* there, but longer than the buffer: meta->length says how long */
    OMNI2_RETIRED = -3,        /* the segment has a successor: attach again */
    OMNI2_ORPHANED = -4,       /* the writer's heartbeat is too old to trust invalidations */
    OMNI2_CLOCK = -5,          /* this process's boot clock and the daemon's do not agree */
    /* Why a segment cannot be used. */
    OMNI2_E_ARGUMENT = -20,
    OMNI2_E_CONNECT = -21,     /* no daemon behind the socket, or no permission: see errno */
    OMNI2_E_TIMEOUT = -22,     /* the daemon did not answer before the deadline */
    OMNI2_E_PROTOCOL = -23,    /* what answered is not the cache */
    OMNI2_E_REFUSED = -24,     /* the daemon refuses this process */
    OMNI2_E_SAME_USER = -25,   /* refused: readers must not run as the daemon's own user */
    OMNI2_E_SEALS = -26,       /* not a memfd, or it could be truncated under us */
    OMNI2_E_TRUNCATED = -27,   /* smaller than its header claims */
    OMNI2_E_MAGIC = -28,       /* not a cache segment */
    OMNI2_E_VERSION = -29,     /* layout major or an incompatible feature we do not know */
    OMNI2_E_GEOMETRY = -30,    /* header damaged */
    OMNI2_E_STATE = -31,       /* not live */
    OMNI2_E_MAP = -32,         /* mmap failed: see errno */
    OMNI2_E_MEMORY = -33,
    OMNI2_E_UNAVAILABLE = -34, /* the daemon has no segment now */
    OMNI2_E_BACKOFF = -35      /* attaching failed less than a second ago; not tried again yet */
};

typedef struct omni2_cache_meta {
    uint32_t length;
    uint32_t crc32c;
    uint16_t server, tool;     /* numbers, see the name table */
    uint32_t reserved;
    uint64_t born;
    uint64_t expires;          /* the daemon's CLOCK_BOOTTIME, nanoseconds */
    uint64_t time_left;        /* nanoseconds until expiry, at the moment of the lookup */
} omni2_cache_meta;

/* ---- 4. Atomic accesses ---------------------------------------------------------------------- */

/*
 * __atomic builtins and not <stdatomic.h>: the same source is C, C++ and, through clang, Swift.
 * Only 4 and 8 byte accesses: a 16-byte atomic load may compile to a store (cmpxchg16b) and dies
 * on a read-only page.
 */
static inline uint64_t omni2_load_relaxed(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline uint64_t omni2_load_acquire(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline uint32_t omni2_load32_acquire(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void omni2_fence_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
static inline void omni2_fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }

/*
 * The copy races with the writer on purpose; the version check throws away what was torn.
 * Define OMNI2_CACHE_WORD_COPY for a copy that is free of data races in the language's terms too.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OMNI2_NO_TSAN __attribute__((no_sanitize("thread")))
#define OMNI2_CACHE_WORD_COPY 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) && !defined(OMNI2_CACHE_WORD_COPY)
#define OMNI2_CACHE_WORD_COPY 1
#endif

static inline void omni2_copy_out(void *to, const unsigned char *from, size_t count) {
#ifdef OMNI2_CACHE_WORD_COPY
    unsigned char *out = (unsigned char *)to;
    size_t i = 0;
    for (; i + 8 <= count; i += 8) { /* values start at multiples of 64 */
        uint64_t word = omni2_load_relaxed((const uint64_t *)(const void *)(from + i));
        memcpy(out + i, &word, 8);
    }
    for (; i < count; i++) out[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
#else
    /* Long values come from memory, not from a cache: ask for the lines at once. */
    if (count > OMNI2_PREFETCH_FROM)
        for (size_t at = 0; at < count && at < OMNI2_PREFETCH_MAX; at += 64)
            __builtin_prefetch(from + at);
    memcpy(to, from, count);
#endif
}

/* ---- 5. Geometry ----------------------------------------------------------------------------- */

__extension__ typedef unsigned __int128 omni2_u128;

static inline uint64_t omni2_mix(uint64_t a, uint64_t b) {
    omni2_u128 product = (omni2_u128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t omni2_geometry_checksum(const omni2_geometry *g) {
    uint64_t words[16];
    uint64_t sum = UINT64_C(0x9e3779b97f4a7c15);
    memcpy(words, g, sizeof words);
    for (int i = 0; i < 16; i++) {
        sum = omni2_mix(sum ^ words[i], UINT64_C(0xd6e8feb86659fd93) + (uint64_t)i) + words[i];
    }
    return sum;
}

/* True if [offset, offset + count * size) lies in the segment behind the header. */
static inline int omni2_range_fits(const omni2_geometry *g, uint64_t offset, uint64_t count,
                                   uint64_t size) {
    return offset >= OMNI2_HEADER_BYTES && offset % 64 == 0 && offset <= g->segment_bytes &&
           count <= (g->segment_bytes - offset) / size;
}

/* Names lie directly behind the stamps. */
static inline uint64_t omni2_names_offset(const omni2_geometry *g) {
    uint64_t stamps = (uint64_t)g->server_count + g->tool_count;
    return (g->stamps_offset + stamps * 8 + 63) & ~UINT64_C(63);
}

/* Judges a private copy of the header's geometry against the real size of the file. */
static inline int omni2_geometry_check(const omni2_geometry *g, uint64_t file_bytes) {
    if (g->magic != OMNI2_CACHE_MAGIC) return OMNI2_E_MAGIC;
    if (g->major != OMNI2_CACHE_MAJOR) return OMNI2_E_VERSION;
    if (g->incompat & ~OMNI2_CACHE_INCOMPAT_KNOWN) return OMNI2_E_VERSION;
    if (g->checksum != omni2_geometry_checksum(g)) return OMNI2_E_GEOMETRY;
    if (g->segment_bytes > file_bytes) return OMNI2_E_TRUNCATED;
    if (g->header_bytes != OMNI2_HEADER_BYTES) return OMNI2_E_GEOMETRY;
    uint64_t buckets = g->index_mask + 1;
    if (buckets < 2 || (buckets & g->index_mask) != 0) return OMNI2_E_GEOMETRY;
    if (g->descriptor_count == 0 || g->descriptor_count > UINT32_MAX) return OMNI2_E_GEOMETRY;
    if (g->value_units > UINT32_MAX) return OMNI2_E_GEOMETRY;
    if (g->server_count > 65535 || g->tool_count > 65535) return OMNI2_E_GEOMETRY;
    uint64_t stamps = (uint64_t)g->server_count + g->tool_count;
    if (!omni2_range_fits(g, g->index_offset, buckets, OMNI2_BUCKET_BYTES) ||
        !omni2_range_fits(g, g->descriptor_offset, g->descriptor_count, OMNI2_DESCRIPTOR_BYTES) ||
        !omni2_range_fits(g, g->stamps_offset, stamps, 8) ||
        !omni2_range_fits(g, omni2_names_offset(g), stamps, OMNI2_NAME_BYTES) ||
        !omni2_range_fits(g, g->value_offset, g->value_units, OMNI2_UNIT_BYTES))
        return OMNI2_E_GEOMETRY;
    return OMNI2_OK;
}

/* ---- 6. View: one mapping, with everything a lookup needs in private memory -------------------- */

typedef struct omni2_view {
    const omni2_control *control;
    const uint64_t *index;
    const omni2_descriptor *descriptors;
    const uint64_t *server_stamps;
    const uint64_t *tool_stamps;
    const unsigned char *values;
    unsigned char *touch;         /* NULL: this reader leaves no recency */
    int64_t clock_offset;         /* the daemon's boot clock minus ours, nanoseconds */
    omni2_geometry geometry;
    uint64_t epoch;               /* the writer that was there when we attached */
    void *base;
    void *area;                   /* mapping of the reader area, or NULL */
    uint64_t base_bytes, area_bytes;
    uint64_t quiet_misses;        /* misses since the heartbeat was last looked at */
    uint64_t counters[OMNI2_COUNTERS]; /* this view's own, mirrored into the reader area */
} omni2_view;

static inline uint64_t omni2_boot_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static inline uint64_t omni2_view_clock(const omni2_view *v) {
    return omni2_boot_clock() + (uint64_t)v->clock_offset;
}

/* Points the view into a mapping whose geometry was checked. */
static inline void omni2_view_lay(omni2_view *v, void *base, const omni2_geometry *g) {
    unsigned char *bytes = (unsigned char *)base;
    v->geometry = *g;
    v->base = base;
    v->base_bytes = g->segment_bytes;
    v->control = (const omni2_control *)(const void *)(bytes + offsetof(omni2_header, control));
    v->index = (const uint64_t *)(const void *)(bytes + g->index_offset);
    v->descriptors = (const omni2_descriptor *)(const void *)(bytes + g->descriptor_offset);
    v->server_stamps = (const uint64_t *)(const void *)(bytes + g->stamps_offset);
    v->tool_stamps = v->server_stamps + g->server_count;
    v->values = bytes + g->value_offset;
}

/*
 * Maps a segment at a multiple of 2 MiB, so that the mapping can use the huge pages that the
 * daemon had it made of. Fails as mmap does.
 */
static inline void *omni2_map_segment(int fd, uint64_t bytes, int protection) {
    const uint64_t huge = OMNI2_VALUE_ALIGNMENT;
    if (bytes < huge) return mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t span = (bytes + page - 1) / page * page;
    void *room = mmap(NULL, span + huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                      -1, 0);
    if (room == MAP_FAILED) return MAP_FAILED;
    uint64_t before = (huge - (uint64_t)(uintptr_t)room % huge) % huge;
    unsigned char *at = (unsigned char *)room + before;
    void *base = mmap(at, bytes, protection, MAP_SHARED | MAP_FIXED, fd, 0);
    if (base == MAP_FAILED) {
        int error = errno;
        munmap(room, span + huge);
        errno = error;
        return MAP_FAILED;
    }
    if (before > 0) munmap(room, before);
    munmap(at + span, huge - before);
    return base;
}

/*
 * Maps a segment handed over as a descriptor. The descriptor stays the caller's: close it right
 * away, a mapping needs none. Refuses what could be truncated under the mapping (SIGBUS).
 */
static inline int omni2_view_attach(omni2_view *v, int fd) {
    struct stat status;
    omni2_geometry g;
    memset(v, 0, sizeof *v);
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK)) return OMNI2_E_SEALS;
    if (fstat(fd, &status) != 0) return OMNI2_E_MAP;
    if (status.st_size < (off_t)OMNI2_HEADER_BYTES) return OMNI2_E_TRUNCATED;
    void *header = mmap(NULL, OMNI2_HEADER_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if (header == MAP_FAILED) return OMNI2_E_MAP;
    memcpy(&g, header, sizeof g);
    munmap(header, OMNI2_HEADER_BYTES);
    int verdict = omni2_geometry_check(&g, (uint64_t)status.st_size);
    if (verdict != OMNI2_OK) return verdict;
    void *base = omni2_map_segment(fd, g.segment_bytes, PROT_READ);
    if (base == MAP_FAILED) return OMNI2_E_MAP;
    omni2_view_lay(v, base, &g);
    if (omni2_load32_acquire(&v->control->state) != OMNI2_STATE_LIVE) {
        munmap(base, g.segment_bytes);
        memset(v, 0, sizeof *v);
        return OMNI2_E_STATE;
    }
    v->epoch = omni2_load_relaxed(&v->control->epoch);
    return OMNI2_OK;
}

/*
 * Maps everything that has memory behind it at once, so that no lookup pays for a page's first
 * touch. Holes are left alone: reading one would take memory. `fd` as for omni2_view_attach.
 */
static inline void omni2_view_populate(const omni2_view *v, int fd) {
    off_t at = 0;
    for (int ranges = 0; ranges < 65536; ranges++) {
        off_t data = lseek(fd, at, SEEK_DATA);
        off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
        if (hole < 0 || (uint64_t)hole > v->base_bytes) return;
        /* MADV_POPULATE_READ, Linux 5.14; without it pages are mapped as they are touched. */
        if (madvise((unsigned char *)v->base + data, (size_t)(hole - data), 22) != 0) return;
        at = hole;
    }
}

/* Maps the reader area; without one, recency and counters stay private to this process. */
static inline int omni2_view_attach_area(omni2_view *v, int fd) {
    struct stat status;
    uint64_t bytes = OMNI2_HEADER_BYTES + v->geometry.descriptor_count;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK)) return OMNI2_E_SEALS;
    if (fstat(fd, &status) != 0 || (uint64_t)status.st_size < bytes) return OMNI2_E_TRUNCATED;
    void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (area == MAP_FAILED) return OMNI2_E_MAP;
    if (((const omni2_reader_area *)area)->magic != OMNI2_READER_MAGIC) {
        munmap(area, bytes);
        return OMNI2_E_MAGIC;
    }
    v->area = area;
    v->area_bytes = bytes;
    v->touch = (unsigned char *)area + OMNI2_HEADER_BYTES;
    return OMNI2_OK;
}

static inline void omni2_view_detach(omni2_view *v) {
    if (v->base) munmap(v->base, v->base_bytes);
    if (v->area) munmap(v->area, v->area_bytes);
    memset(v, 0, sizeof *v);
}

/* ---- 7. Lookup ------------------------------------------------------------------------------- */

static inline void omni2_count(omni2_view *v, enum omni2_counter which) {
    uint64_t value = ++v->counters[which];
    if (v->area)
        __atomic_store_n(&((omni2_reader_area *)v->area)->counters[which], value,
                         __ATOMIC_RELAXED);
}

typedef struct omni2_key {
    uint64_t word[4];
} omni2_key;

static inline omni2_key omni2_key_load(const uint8_t key[32]) {
    omni2_key k;
    memcpy(k.word, key, 32);
    return k;
}

/*
 * Keyed, because whoever chooses tool arguments chooses keys; the seed is random per segment.
 * The low half picks the bucket, the high half is the tag.
 */
static inline uint64_t omni2_hash(const uint64_t seed[2], const omni2_key *k) {
    return omni2_mix(k->word[0] ^ seed[0], k->word[1] ^ seed[1]) ^
           omni2_mix(k->word[2] ^ seed[1], k->word[3] ^ (seed[0] | 1));
}
static inline uint32_t omni2_tag(uint64_t hash) { return (uint32_t)(hash >> 32) | 1u; }
static inline uint64_t omni2_bucket_first(uint64_t hash, uint64_t mask) { return hash & mask; }
/* Its own inverse, and computable without the key: a slot can move knowing only its tag. */
static inline uint64_t omni2_bucket_other(uint64_t bucket, uint32_t tag, uint64_t mask) {
    return (bucket ^ ((((uint64_t)tag * UINT64_C(0x9e3779b97f4a7c15)) >> 32) | 1)) & mask;
}

/* Everything about one entry that was seen under one version word. */
typedef struct omni2_found {
    const omni2_descriptor *descriptor;
    uint64_t born, location, expires, meta;
} omni2_found;

static inline uint32_t omni2_location_unit(uint64_t location) { return (uint32_t)location; }
static inline uint32_t omni2_location_length(uint64_t location) { return (uint32_t)(location >> 32); }
static inline uint32_t omni2_meta_crc(uint64_t meta) { return (uint32_t)meta; }
static inline uint16_t omni2_meta_server(uint64_t meta) { return (uint16_t)(meta >> 32); }
static inline uint16_t omni2_meta_tool(uint64_t meta) { return (uint16_t)(meta >> 48); }

/* True if the version word still stands: what was read since it was loaded belongs together. */
static inline int omni2_unchanged(const omni2_found *f) {
#ifdef OMNI2_CACHE_BREAK_RECHECK /* a control of the torture test: it must find torn values */
    return f->born != 0;
#else
    omni2_fence_acquire();
    return omni2_load_relaxed(&f->descriptor->born) == f->born;
#endif
}

static inline int omni2_in_bounds(const omni2_view *v, const omni2_found *f) {
    uint64_t units = ((uint64_t)omni2_location_length(f->location) + 63) / 64;
    return omni2_location_unit(f->location) + units <= v->geometry.value_units &&
           omni2_meta_server(f->meta) < v->geometry.server_count &&
           omni2_meta_tool(f->meta) < v->geometry.tool_count;
}

static inline int omni2_is_invalid(const omni2_view *v, const omni2_found *f) {
    return f->born <= omni2_load_acquire(&v->control->invalid_all) ||
           f->born <= omni2_load_acquire(&v->server_stamps[omni2_meta_server(f->meta)]) ||
           f->born <= omni2_load_acquire(&v->tool_stamps[omni2_meta_tool(f->meta)]);
}

enum omni2_probe { OMNI2_PROBE_FOUND, OMNI2_PROBE_ABSENT, OMNI2_PROBE_BUSY, OMNI2_PROBE_BAD };

/* One pass over the two buckets of a key. Touches at most two index lines and 16 descriptors. */
static inline enum omni2_probe omni2_probe_once(const omni2_view *v, const omni2_key *key,
                                                uint64_t hash, omni2_found *f) {
    uint32_t tag = omni2_tag(hash);
    uint64_t bucket = omni2_bucket_first(hash, v->geometry.index_mask);
    enum omni2_probe verdict = OMNI2_PROBE_ABSENT;
    for (int side = 0; side < 2; side++) {
        const uint64_t *slots = v->index + bucket * OMNI2_BUCKET_SLOTS;
        for (int i = 0; i < OMNI2_BUCKET_SLOTS; i++) {
            uint64_t slot = omni2_load_relaxed(&slots[i]);
            if ((uint32_t)(slot >> 32) != tag) continue;
            uint32_t number = (uint32_t)slot;
            if (number >= v->geometry.descriptor_count) continue;
            const omni2_descriptor *d = &v->descriptors[number];
            uint64_t born = omni2_load_acquire(&d->born);
            if (born == 0) {
                verdict = OMNI2_PROBE_BUSY;
                continue;
            }
            if (omni2_load_relaxed(&d->key[0]) != key->word[0] ||
                omni2_load_relaxed(&d->key[1]) != key->word[1] ||
                omni2_load_relaxed(&d->key[2]) != key->word[2] ||
                omni2_load_relaxed(&d->key[3]) != key->word[3])
                continue;
            f->descriptor = d;
            f->born = born;
            f->location = omni2_load_relaxed(&d->location);
            f->expires = omni2_load_relaxed(&d->expires);
            f->meta = omni2_load_relaxed(&d->meta);
            if (omni2_in_bounds(v, f)) return OMNI2_PROBE_FOUND;
            /* Fields of two different puts can disagree; of one put they never do. */
            verdict = omni2_unchanged(f) ? OMNI2_PROBE_BAD : OMNI2_PROBE_BUSY;
            if (verdict == OMNI2_PROBE_BAD) return verdict;
        }
        bucket = omni2_bucket_other(bucket, tag, v->geometry.index_mask);
    }
    return verdict;
}

/*
 * Copies the value out; everything but the clock is decided here. `buffer` NULL only asks whether
 * the entry is there. Returns OMNI2_OK, OMNI2_TOO_SMALL or OMNI2_MISS; counts the reasons of a
 * miss, not the miss itself.
 */
static inline int omni2_view_take(omni2_view *v, const omni2_key *key, uint64_t hash,
                                  void *buffer, size_t capacity, omni2_found *f) {
    for (int attempt = 0; attempt < OMNI2_ATTEMPTS_MAX; attempt++) {
        enum omni2_probe probe = omni2_probe_once(v, key, hash, f);
        if (probe == OMNI2_PROBE_ABSENT) return OMNI2_MISS;
        if (probe == OMNI2_PROBE_BAD) {
            omni2_count(v, OMNI2_COUNT_CORRUPT);
            return OMNI2_MISS;
        }
        if (probe == OMNI2_PROBE_FOUND) {
            if (omni2_is_invalid(v, f)) {
                if (omni2_unchanged(f)) {
                    omni2_count(v, OMNI2_COUNT_INVALID);
                    return OMNI2_MISS;
                }
            } else {
                uint32_t length = omni2_location_length(f->location);
                if (buffer && length <= capacity) {
                    omni2_copy_out(buffer,
                                   v->values + (uint64_t)omni2_location_unit(f->location) *
                                                   OMNI2_UNIT_BYTES,
                                   length);
                }
                if (omni2_unchanged(f))
                    return buffer && length > capacity ? OMNI2_TOO_SMALL : OMNI2_OK;
            }
        }
        omni2_count(v, OMNI2_COUNT_RETRIES);
    }
    return OMNI2_MISS;
}

/* A heartbeat from the future means that the clocks are not the same clock. */
static inline int omni2_view_liveness(const omni2_view *v, uint64_t now) {
    uint64_t beat = omni2_load_relaxed(&v->control->heartbeat);
    if (now > beat + OMNI2_ORPHANED_AFTER_NS) return OMNI2_ORPHANED;
    if (beat > now + OMNI2_ORPHANED_AFTER_NS) return OMNI2_CLOCK;
    return OMNI2_OK;
}

static inline int omni2_view_miss(omni2_view *v) {
    omni2_count(v, OMNI2_COUNT_MISSES);
    /* A view that only misses must notice, too, that its writer is gone. */
    if (++v->quiet_misses < 64) return OMNI2_MISS;
    v->quiet_misses = 0;
    int liveness = omni2_view_liveness(v, omni2_view_clock(v));
    return liveness == OMNI2_OK ? OMNI2_MISS : liveness;
}

/*
 * The clock is read after the copy: a process stopped in between for longer than the TTL finds
 * out here. Returns OMNI2_OK and fills `meta`, or a miss.
 */
static inline int omni2_view_settle(omni2_view *v, const omni2_found *f, uint64_t now,
                                    omni2_cache_meta *meta) {
    int liveness = omni2_view_liveness(v, now);
    if (liveness != OMNI2_OK) {
        omni2_count(v, OMNI2_COUNT_MISSES);
        return liveness;
    }
    if (now >= f->expires) {
        omni2_count(v, OMNI2_COUNT_EXPIRED);
        omni2_count(v, OMNI2_COUNT_MISSES);
        return OMNI2_MISS;
    }
    omni2_count(v, OMNI2_COUNT_HITS);
    if (v->touch) {
        unsigned char *touch = &v->touch[f->descriptor - v->descriptors];
        if (__atomic_load_n(touch, __ATOMIC_RELAXED) == 0)
            __atomic_store_n(touch, 1, __ATOMIC_RELAXED);
    }
    if (meta) {
        meta->length = omni2_location_length(f->location);
        meta->crc32c = omni2_meta_crc(f->meta);
        meta->server = omni2_meta_server(f->meta);
        meta->tool = omni2_meta_tool(f->meta);
        meta->reserved = 0;
        meta->born = f->born;
        meta->expires = f->expires;
        meta->time_left = f->expires - now;
    }
    return OMNI2_OK;
}

static inline int omni2_view_is_live(const omni2_view *v) {
    return omni2_load32_acquire(&v->control->state) == OMNI2_STATE_LIVE;
}

/*
 * Looks `key` up and copies the value into `buffer`. Never blocks, never enters the kernel beyond
 * the clock. Returns the length (0 is a length), OMNI2_MISS, OMNI2_TOO_SMALL (meta->length says
 * how long), or OMNI2_RETIRED, OMNI2_ORPHANED, OMNI2_CLOCK: misses that ask for a new attach.
 * After anything but a length the buffer's content is unspecified.
 */
static inline long omni2_view_get(omni2_view *v, const uint8_t key[32], void *buffer,
                                  size_t capacity, omni2_cache_meta *meta) {
    omni2_found f;
    omni2_key k = omni2_key_load(key);
    if (!omni2_view_is_live(v)) {
        omni2_count(v, OMNI2_COUNT_MISSES);
        return OMNI2_RETIRED;
    }
    unsigned char none;
    int taken = omni2_view_take(v, &k, omni2_hash(v->geometry.seed, &k), buffer ? buffer : &none,
                                buffer ? capacity : 0, &f);
    if (taken == OMNI2_MISS) return omni2_view_miss(v);
    int settled = omni2_view_settle(v, &f, omni2_view_clock(v), meta);
    if (settled != OMNI2_OK) return settled;
    return taken == OMNI2_OK ? (long)omni2_location_length(f.location) : (long)OMNI2_TOO_SMALL;
}

/* Like omni2_view_get without the value: OMNI2_OK, OMNI2_MISS, or a miss that asks to attach. */
static inline int omni2_view_contains(omni2_view *v, const uint8_t key[32],
                                      omni2_cache_meta *meta) {
    omni2_found f;
    omni2_key k = omni2_key_load(key);
    if (!omni2_view_is_live(v)) {
        omni2_count(v, OMNI2_COUNT_MISSES);
        return OMNI2_RETIRED;
    }
    if (omni2_view_take(v, &k, omni2_hash(v->geometry.seed, &k), NULL, 0, &f) == OMNI2_MISS)
        return omni2_view_miss(v);
    return omni2_view_settle(v, &f, omni2_view_clock(v), meta);
}

/* One key of a batch, and what became of it. */
typedef struct omni2_cache_out {
    void *buffer;
    size_t capacity;
    long result;               /* as omni2_view_get */
    omni2_cache_meta meta;
} omni2_cache_out;

/* The first descriptor that a key's buckets name: where a prefetch pays. Only a guess. */
static inline const omni2_descriptor *omni2_guess(const omni2_view *v, uint64_t hash) {
    uint32_t tag = omni2_tag(hash);
    uint64_t bucket = omni2_bucket_first(hash, v->geometry.index_mask);
    const uint64_t *slots = v->index + bucket * OMNI2_BUCKET_SLOTS;
    for (int i = 0; i < OMNI2_BUCKET_SLOTS; i++) {
        uint64_t slot = omni2_load_relaxed(&slots[i]);
        if ((uint32_t)(slot >> 32) == tag && (uint32_t)slot < v->geometry.descriptor_count)
            return &v->descriptors[(uint32_t)slot];
    }
    return NULL;
}

/*
 * Up to OMNI2_BATCH_MAX keys at once. The three dependent memory accesses of each lookup (bucket,
 * descriptor, value) overlap with those of the others, and the clock is read once, after the last
 * copy. Returns how many hits.
 */
static inline unsigned omni2_view_get_batch(omni2_view *v, const uint8_t (*keys)[32], unsigned n,
                                            omni2_cache_out *out) {
    omni2_key k[OMNI2_BATCH_MAX];
    uint64_t hash[OMNI2_BATCH_MAX];
    const omni2_descriptor *guess[OMNI2_BATCH_MAX];
    omni2_found f[OMNI2_BATCH_MAX];
    int taken[OMNI2_BATCH_MAX];
    unsigned hits = 0;
    if (!omni2_view_is_live(v)) {
        for (unsigned i = 0; i < n; i++) {
            omni2_count(v, OMNI2_COUNT_MISSES);
            out[i].result = OMNI2_RETIRED;
        }
        return 0;
    }
    for (unsigned i = 0; i < n; i++) {
        k[i] = omni2_key_load(keys[i]);
        hash[i] = omni2_hash(v->geometry.seed, &k[i]);
        __builtin_prefetch(v->index + omni2_bucket_first(hash[i], v->geometry.index_mask) *
                                          OMNI2_BUCKET_SLOTS);
    }
    for (unsigned i = 0; i < n; i++) {
        guess[i] = omni2_guess(v, hash[i]);
        if (guess[i]) __builtin_prefetch(guess[i]);
    }
    for (unsigned i = 0; i < n; i++) {
        if (!guess[i]) continue;
        uint64_t location = omni2_load_relaxed(&guess[i]->location);
        if (omni2_location_unit(location) >= v->geometry.value_units) continue;
        const unsigned char *value =
            v->values + (uint64_t)omni2_location_unit(location) * OMNI2_UNIT_BYTES;
        uint32_t length = omni2_location_length(location);
        for (uint32_t at = 0; at < OMNI2_PREFETCH_FROM && at < length; at += 64)
            __builtin_prefetch(value + at);
    }
    unsigned char none;
    for (unsigned i = 0; i < n; i++) {
        void *buffer = out[i].buffer ? out[i].buffer : &none;
        taken[i] = omni2_view_take(v, &k[i], hash[i], buffer,
                                   out[i].buffer ? out[i].capacity : 0, &f[i]);
    }
    uint64_t now = omni2_view_clock(v);
    for (unsigned i = 0; i < n; i++) {
        if (taken[i] == OMNI2_MISS) {
            out[i].result = omni2_view_miss(v);
            continue;
        }
        int settled = omni2_view_settle(v, &f[i], now, &out[i].meta);
        if (settled != OMNI2_OK) {
            out[i].result = settled;
        } else if (taken[i] == OMNI2_TOO_SMALL) {
            out[i].result = OMNI2_TOO_SMALL;
        } else {
            out[i].result = (long)omni2_location_length(f[i].location);
            hits++;
        }
    }
    return hits;
}

/* Any number of keys, in batches. */
static inline unsigned omni2_view_get_many(omni2_view *v, const uint8_t (*keys)[32], unsigned n,
                                           omni2_cache_out *out) {
    unsigned hits = 0;
    for (unsigned done = 0; done < n; done += OMNI2_BATCH_MAX) {
        unsigned count = n - done < OMNI2_BATCH_MAX ? n - done : (unsigned)OMNI2_BATCH_MAX;
        hits += omni2_view_get_batch(v, keys + done, count, out + done);
    }
    return hits;
}

/* The writer's published statistic; relaxed, so two of them may be one operation apart. */
static inline uint64_t omni2_view_statistic(const omni2_view *v, enum omni2_statistic which) {
    const omni2_header *header = (const omni2_header *)v->base;
    return omni2_load_relaxed(&header->statistics[which]);
}

#ifdef __cplusplus
}
#endif

#endif
