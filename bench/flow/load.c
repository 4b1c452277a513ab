/* One keep-alive connection, one request after the other: how long each took.
 *
 *     load PORT TOKEN COUNT        prints the median, the mean and p99 in microseconds
 *
 * The request is a cached tool call over REST, the shortest that goes through every gate. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static int answer(int peer) {
    char buffer[8192];
    size_t have = 0;
    for (;;) {
        ssize_t count = read(peer, buffer + have, sizeof buffer - 1 - have);
        if (count <= 0) return -1;
        have += (size_t)count;
        buffer[have] = 0;
        char *end = strstr(buffer, "\r\n\r\n");
        char *length = strcasestr(buffer, "content-length:");
        if (!end || !length) continue;
        size_t whole = (size_t)(end + 4 - buffer) + strtoul(length + 15, 0, 10);
        if (have >= whole) return strncmp(buffer, "HTTP/1.1 200", 12) ? -1 : 0;
    }
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int count = atoi(argv[3]), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(peer, (struct sockaddr *)&address, sizeof address)) return perror("connect"), 1;
    const char *body = "{\"server\":\"counting\",\"tool\":\"count\",\"arguments\":{\"key\":\"a\"}}";
    char request[1024];
    int size = snprintf(
        request, sizeof request,
        "POST /api/v1/mcp/tools/call HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
        "Content-Length: %zu\r\n\r\n%s", argv[2], strlen(body), body);
    double *spent = malloc(sizeof *spent * (size_t)count), sum = 0;
    for (int index = 0; index < count; index++) {
        double begin = now();
        if (write(peer, request, (size_t)size) != size || answer(peer)) return fputs("failed\n", stderr), 1;
        sum += spent[index] = now() - begin;
        usleep(900); /* paced: what happens behind the request's back happens in between */
    }
    qsort(spent, (size_t)count, sizeof *spent, ascending);
    printf("%.2f %.2f %.2f\n", spent[count / 2], sum / count, spent[count * 99 / 100]);
    return 0;
}
