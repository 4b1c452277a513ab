#define _GNU_SOURCE
#include "cache_test_support.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int cache_test_listen(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 64) != 0)
        return -errno;
    return fd;
}

int cache_test_wait(int listener) {
    struct pollfd p[2] = {{listener, POLLIN, 0}, {0, POLLIN, 0}};
    if (poll(p, 2, 1000) <= 0) return 0;
    return p[0].revents ? 1 : 2;
}

int cache_test_accept(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

long cache_test_receive(int socket, void *message, unsigned long capacity, int *descriptors) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec piece = {message, capacity};
    struct msghdr envelope = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes,
                              .msg_controllen = sizeof control.bytes};
    ssize_t count = recvmsg(socket, &envelope, MSG_CMSG_CLOEXEC);
    if (count < 0) return -errno;
    struct cmsghdr *head = CMSG_FIRSTHDR(&envelope);
    if (head) memcpy(descriptors, CMSG_DATA(head), head->cmsg_len - CMSG_LEN(0));
    return count;
}

void cache_test_say(const char *line) {
    puts(line);
    fflush(stdout);
}
