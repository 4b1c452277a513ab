/*
 * omni2-cache: the result cache for shell scripts.
 *
 *   omni2-cache get SERVER TOOL [JSON]     value on standard output
 *   omni2-cache get KEY
 *   omni2-cache contains SERVER TOOL [JSON]
 *   omni2-cache key SERVER TOOL [JSON]     the key, hexadecimal
 *   omni2-cache stats
 *
 * JSON "-" is read from standard input. Exit status: 0 found, 1 not in the cache, 2 wrong usage,
 * 3 the cache cannot be reached.
 */
#include "omni2cache.h"

#include <stdio.h>
#include <stdlib.h>

enum { EXIT_FOUND = 0, EXIT_MISS = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3 };

static int usage(void) {
    fputs("usage: omni2-cache [-s SOCKET] get|contains|key SERVER TOOL [JSON|-]\n"
          "       omni2-cache [-s SOCKET] get|contains KEY\n"
          "       omni2-cache [-s SOCKET] stats\n",
          stderr);
    return EXIT_USAGE;
}

static char *read_input(size_t *count) {
    size_t capacity = 65536, held = 0;
    char *bytes = malloc(capacity);
    while (bytes) {
        held += fread(bytes + held, 1, capacity - held, stdin);
        if (held < capacity) break;
        capacity *= 2;
        char *grown = realloc(bytes, capacity);
        if (!grown) free(bytes);
        bytes = grown;
    }
    *count = held;
    return bytes;
}

static int parse_key(const char *text, uint8_t key[32]) {
    if (strlen(text) != 64 || strspn(text, "0123456789abcdefABCDEF") != 64) return 0;
    for (int i = 0; i < 32; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], 0};
        key[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return 1;
}

/* The key that the arguments behind the verb name. */
static int derive(int count, char **words, uint8_t key[32]) {
    if (count == 1) return parse_key(words[0], key);
    if (count != 2 && count != 3) return 0;
    const char *json = count == 3 ? words[2] : "{}";
    char *input = NULL;
    size_t length = strlen(json);
    if (strcmp(json, "-") == 0) json = input = read_input(&length);
    int result = json ? omni2_cache_key(key, words[0], words[1], json, length) : OMNI2_E_MEMORY;
    free(input);
    if (result != OMNI2_OK) fputs("omni2-cache: the arguments are not JSON\n", stderr);
    return result == OMNI2_OK;
}

static int print_value(omni2_cache *cache, const uint8_t key[32]) {
    size_t capacity = 65536;
    char *buffer = malloc(capacity);
    omni2_cache_meta meta;
    long length = OMNI2_MISS;
    while (buffer) {
        length = omni2_cache_get(cache, key, buffer, capacity, &meta);
        if (length != OMNI2_TOO_SMALL) break;
        capacity = (size_t)meta.length + 65536;
        free(buffer);
        buffer = malloc(capacity);
    }
    if (length >= 0) fwrite(buffer, 1, (size_t)length, stdout);
    free(buffer);
    return length >= 0 ? EXIT_FOUND : EXIT_MISS;
}

static void print_statistics(omni2_cache *cache) {
    static const char *const names[OMNI2_STAT_COUNT] = {
        "hits", "misses", "stale_hits", "stores", "replacements", "evictions", "expirations",
        "invalidations", "refused_outdated", "refused_too_large", "refused_no_space",
        "relocations", "index_moves", "second_chances", "reader_hits", "reader_misses",
        "reader_expired", "reader_invalid", "attaches", "attaches_refused", "recovered",
        "recovery_dropped", "entries", "entries_max", "bytes_used", "bytes_reserved", "bytes_max",
        "readers"};
    omni2_cache_counters c;
    omni2_cache_stats(cache, &c);
    for (int i = 0; i < OMNI2_STAT_COUNT; i++)
        printf("%s %llu\n", names[i], (unsigned long long)c.published[i]);
    printf("segment %016llx\nepoch %llu\nheartbeat_age_seconds %.3f\n",
           (unsigned long long)c.segment_id, (unsigned long long)c.epoch,
           (double)c.heartbeat_age / 1e9);
}

int main(int count, char **words) {
    omni2_cache_opts opts = {NULL, 0, 0};
    uint8_t key[32];
    if (count > 2 && strcmp(words[1], "-s") == 0) {
        opts.socket_path = words[2];
        words += 2;
        count -= 2;
    }
    if (count < 2) return usage();
    const char *verb = words[1];
    int wants_stats = strcmp(verb, "stats") == 0;
    if (!wants_stats && !derive(count - 2, words + 2, key)) return usage();
    if (strcmp(verb, "key") == 0) {
        for (int i = 0; i < 32; i++) printf("%02x", key[i]);
        putchar('\n');
        return EXIT_FOUND;
    }
    omni2_cache *cache;
    if (strcmp(verb, "get") != 0) opts.flags = OMNI2_OPEN_SILENT;
    int result = omni2_cache_open(&opts, &cache);
    if (result != OMNI2_OK) {
        fprintf(stderr, "omni2-cache: %s\n", omni2_cache_strerror(result));
        return EXIT_UNREACHABLE;
    }
    int status = EXIT_USAGE;
    if (wants_stats) {
        print_statistics(cache);
        status = EXIT_FOUND;
    } else if (strcmp(verb, "get") == 0) {
        status = print_value(cache, key);
    } else if (strcmp(verb, "contains") == 0) {
        status = omni2_cache_contains(cache, key, NULL) == OMNI2_OK ? EXIT_FOUND : EXIT_MISS;
    } else {
        usage();
    }
    omni2_cache_close(cache);
    return status;
}
