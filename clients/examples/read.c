/* cc read.c $(pkg-config --cflags --libs omni2cache) && ./a.out time get_current_time '{}' */
#include <omni2cache.h>
#include <stdio.h>

int main(int count, char **words) {
    static char value[1 << 20];
    omni2_cache *cache;
    omni2_cache_meta meta;
    uint8_t key[32];
    if (count != 4) return 2;
    if (omni2_cache_key(key, words[1], words[2], words[3], strlen(words[3])) != OMNI2_OK) return 2;
    int result = omni2_cache_open(NULL, &cache);
    if (result != OMNI2_OK) {
        fprintf(stderr, "%s\n", omni2_cache_strerror(result));
        return 1;
    }
    long length = omni2_cache_get(cache, key, value, sizeof value, &meta);
    if (length >= 0)
        printf("%.*s (%.1f s left)\n", (int)length, value, (double)meta.time_left / 1e9);
    else
        puts("not in the cache: ask the daemon");
    omni2_cache_close(cache);
    return length < 0;
}
