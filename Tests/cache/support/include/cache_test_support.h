/* Socket calls for the cache's tests that Swift cannot spell. */
#ifndef CACHE_TEST_SUPPORT_H
#define CACHE_TEST_SUPPORT_H

/* A listening SOCK_SEQPACKET socket at `path`, or -errno. */
int cache_test_listen(const char *path);
/* Waits up to a second: 1 the listener, 2 standard input, 0 neither. */
int cache_test_wait(int listener);
/* The next connection, or -errno. */
int cache_test_accept(int listener);
/* One message and up to two descriptors (-1 where none came). Bytes, or -errno. */
long cache_test_receive(int socket, void *message, unsigned long capacity, int *descriptors);
void cache_test_say(const char *line);

#endif
