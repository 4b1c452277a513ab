/*
 * omni2cache.h: libomni2cache, reading omni2-native's result cache from any process of this host.
 *
 *     omni2_cache *cache;
 *     uint8_t key[32];
 *     char answer[65536];
 *     if (omni2_cache_open(NULL, &cache) == OMNI2_OK &&
 *         omni2_cache_key(key, "time", "get_current_time", "{\"timezone\":\"UTC\"}", 18) == OMNI2_OK) {
 *         long length = omni2_cache_get(cache, key, answer, sizeof answer, NULL);
 *         if (length >= 0) fwrite(answer, 1, (size_t)length, stdout);
 *     }
 *
 * A lookup takes tens of nanoseconds, never blocks and never disturbs the daemon. The only calls
 * that may wait are omni2_cache_open and a lookup that finds its segment replaced: both for at most
 * the configured deadline (200 ms), after which everything is a miss for a second.
 *
 * Link with -lomni2cache, or define OMNI2CACHE_HEADER_ONLY before including for a build without
 * the library. A handle belongs to one thread at a time; open one per thread.
 */
#ifndef OMNI2CACHE_H
#define OMNI2CACHE_H

#include "omni2_cache.h"

#ifdef OMNI2CACHE_HEADER_ONLY
#define OMNI2CACHE_API static inline
#else
#define OMNI2CACHE_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct omni2_cache omni2_cache;

enum {
    /* open succeeds without a daemon; lookups miss, and attach once it is there */
    OMNI2_OPEN_LAZY = 1u,
    /* leave no trace: no recency, no counters for the daemon */
    OMNI2_OPEN_SILENT = 2u,
    /* map all pages when attaching (about a millisecond per 16 MiB): steady lookups from the start */
    OMNI2_OPEN_POPULATE = 4u
};

typedef struct omni2_cache_opts {
    const char *socket_path; /* NULL: $OMNI2_CACHE_SOCKET, else /run/omni2/cache.sock */
    uint32_t timeout_ms;     /* 0: 200; the total for one attach */
    uint32_t flags;
} omni2_cache_opts;

typedef struct omni2_cache_counters {
    /* this handle's own */
    uint64_t hits, misses, expired, invalid, retries, corrupt;
    /* the daemon's, as published in the segment (enum omni2_statistic) */
    uint64_t published[OMNI2_STAT_COUNT];
    uint64_t segment_id;
    uint64_t epoch;
    uint64_t heartbeat_age; /* nanoseconds */
} omni2_cache_counters;

/* OMNI2_OK, or an OMNI2_E_… (then *cache is NULL). Never takes longer than the deadline. */
OMNI2CACHE_API int omni2_cache_open(const omni2_cache_opts *opts, omni2_cache **cache);

/* Over a segment descriptor that came another way (inherited, tests). Does not keep `fd`. */
OMNI2CACHE_API int omni2_cache_open_descriptor(int fd, omni2_cache **cache);

/*
 * Length of the value (0 is one), OMNI2_MISS, or OMNI2_TOO_SMALL (meta->length says how long).
 * After anything but a length the buffer's content is unspecified. omni2_cache_status tells why
 * everything misses, if it does.
 */
OMNI2CACHE_API long omni2_cache_get(omni2_cache *cache, const uint8_t key[32], void *buffer,
                                    size_t capacity, omni2_cache_meta *meta);

/* Any number of keys; cheaper together than alone. Returns how many hits; see omni2_cache_out. */
OMNI2CACHE_API unsigned omni2_cache_get_many(omni2_cache *cache, const uint8_t (*keys)[32],
                                             unsigned count, omni2_cache_out *out);

/* OMNI2_OK or OMNI2_MISS, without the value; meta->time_left says how long it lives. */
OMNI2CACHE_API int omni2_cache_contains(omni2_cache *cache, const uint8_t key[32],
                                        omni2_cache_meta *meta);

OMNI2CACHE_API int omni2_cache_stats(omni2_cache *cache, omni2_cache_counters *counters);

/* OMNI2_OK while attached to a live segment, else why not. */
OMNI2CACHE_API int omni2_cache_status(const omni2_cache *cache);
/* What a code means, in a sentence. Never NULL. */
OMNI2CACHE_API const char *omni2_cache_strerror(int code);

OMNI2CACHE_API void omni2_cache_close(omni2_cache *cache);

/*
 * The key of a call that is shared by all callers: SHA-256 of "server:tool:arguments", the
 * arguments as Python's json.dumps(…, sort_keys=True) writes them. `json` is any JSON text of the
 * arguments; OMNI2_E_ARGUMENT if it is not JSON.
 */
OMNI2CACHE_API int omni2_cache_key(uint8_t key[32], const char *server, const char *tool,
                                   const char *json, size_t length);

/* The native key: scope "shared", "role:…" or "user:…", every part with its length. */
OMNI2CACHE_API int omni2_cache_key_native(uint8_t key[32], const char *scope, const char *epoch,
                                          const char *server, const char *tool, const char *json,
                                          size_t length);

/* The canonical form alone. Returns its length, and writes it if it fits; or OMNI2_E_ARGUMENT. */
OMNI2CACHE_API long omni2_cache_canonical(const char *json, size_t length, char *out,
                                          size_t capacity);

#ifdef __cplusplus
}
#endif

#ifdef OMNI2CACHE_HEADER_ONLY
#include "omni2cache_client.h"
#include "omni2cache_key.h"
#endif

#endif
