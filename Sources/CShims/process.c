#define _GNU_SOURCE
#include "shim_linux.h"
#include "shim_process.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Why not posix_spawn: it cannot ask for the parent-death signal, without which a daemon that is
 * killed leaves its children behind. The child below borrows the parent's memory until it calls
 * exec, as posix_spawn's does: it makes system calls, writes `failure`, and nothing else. */

static void report(volatile int *failure) {
    *failure = errno;
    _exit(127);
}

static void reset_signals(void) {
    struct sigaction standard = {.sa_handler = SIG_DFL};
    /* Refused for the two that nobody can change and the two that belong to the C library. */
    for (int number = 1; number < NSIG; number++) sigaction(number, &standard, 0);
}

static void become(const struct omni2_child *child, pid_t parent, volatile int *failure) {
    if (setpgid(0, 0) < 0) report(failure);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) report(failure);
    /* The parent may have ended before the call above; then nobody would send the signal. */
    if (getppid() != parent) _exit(127);
    if (dup2(child->input, 0) < 0 || dup2(child->output, 1) < 0 || dup2(child->error, 2) < 0)
        report(failure);
    /* Everything else of ours is close-on-exec; this holds for what libraries opened as well. */
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    if (child->directory && chdir(child->directory) < 0) report(failure);
    reset_signals();
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, 0);
    execve(child->path, child->arguments, child->environment);
    report(failure);
}

int omni2_child_start(const struct omni2_child *child) {
    volatile int failure = 0;
    pid_t parent = getpid();
    sigset_t all, before;
    sigfillset(&all);
    /* No handler of ours may run in the child while it uses our memory. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t process = vfork();
    if (process == 0) become(child, parent, &failure);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, 0);
    if (process < 0) return -error;
    if (failure == 0) return process;
    waitpid(process, 0, 0);
    return -failure;
}

int omni2_child_ended(pid_t process, int reaps, int *status, int *is_signal) {
    siginfo_t info = {0};
    int options = WEXITED | WNOHANG | (reaps ? 0 : WNOWAIT);
    if (waitid(P_PID, (id_t)process, &info, options) < 0) return -errno;
    if (info.si_pid == 0) return 0;
    *status = info.si_status;
    *is_signal = info.si_code != CLD_EXITED;
    return 1;
}

int omni2_process_kill(int handle) {
    return syscall(SYS_pidfd_send_signal, handle, SIGKILL, 0, 0) < 0 ? -errno : 0;
}

int omni2_pipe(int *ends) { return pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0; }

int omni2_epoll_change(int set, int operation, int descriptor, unsigned events, unsigned tag) {
    struct epoll_event event = {.events = events, .data.u32 = tag};
    return epoll_ctl(set, operation, descriptor, &event) < 0 ? -errno : 0;
}

int omni2_epoll_ready(int set, unsigned *tags, unsigned *events, int capacity) {
    struct epoll_event ready[64];
    int count = epoll_wait(set, ready, capacity < 64 ? capacity : 64, 0);
    if (count < 0) return -errno;
    for (int i = 0; i < count; i++) {
        tags[i] = ready[i].data.u32;
        events[i] = ready[i].events;
    }
    return count;
}

void omni2_trim_heap(void) { malloc_trim(0); }
