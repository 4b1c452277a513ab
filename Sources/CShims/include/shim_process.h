#ifndef OMNI2_SHIM_PROCESS_H
#define OMNI2_SHIM_PROCESS_H

#include <sys/epoll.h>
#include <sys/types.h>

/* What a child is started with. Descriptors become its 0, 1 and 2; no other one is inherited. */
struct omni2_child {
    const char *path;        /* of the program; a name without '/' is not searched for */
    char *const *arguments;
    char *const *environment;
    const char *directory;   /* null: the parent's */
    int input;
    int output;
    int error;
};

/* Starts the child as the leader of its own process group, killed when the calling thread ends.
 * Returns its process id, or -errno of the step that failed, exec included. */
int omni2_child_start(const struct omni2_child *child);

/* Waits for nothing: 1 when the child has ended, with `status` as CLD_EXITED (`is_signal` 0) or
 * as the signal that ended it. With `reaps` the process id is free afterwards. */
int omni2_child_ended(pid_t process, int reaps, int *status, int *is_signal);

/* SIGKILL by the handle of pidfd_open. */
int omni2_process_kill(int handle);

/* pipe2 with close-on-exec, which glibc keeps behind _GNU_SOURCE. */
int omni2_pipe(int *ends);

/* One entry of an epoll set, whose C form hides its data in a packed union. */
int omni2_epoll_change(int set, int operation, int descriptor, unsigned events, unsigned tag);

/* Fills the two arrays with what is ready now; returns how many, or -errno. */
int omni2_epoll_ready(int set, unsigned *tags, unsigned *events, int capacity);

#endif
