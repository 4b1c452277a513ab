#ifndef OMNI2_SHIM_TERMINAL_H
#define OMNI2_SHIM_TERMINAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Columns and rows of the terminal; ENOTTY where there is none. */
static inline int omni2_terminal_size(int descriptor, unsigned *columns, unsigned *rows) {
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) < 0) return -errno;
    *columns = size.ws_col;
    *rows = size.ws_row;
    return 0;
}

/* Keys come one by one and are not shown; a read returns at once. `before` is how it was. */
static inline int omni2_terminal_take_keys(int descriptor, struct termios *before) {
    if (tcgetattr(descriptor, before) < 0) return -errno;
    struct termios now = *before;
    now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    now.c_cc[VMIN] = 0;
    now.c_cc[VTIME] = 0;
    return tcsetattr(descriptor, TCSANOW, &now) < 0 ? -errno : 0;
}

static inline int omni2_terminal_restore(int descriptor, const struct termios *before) {
    return tcsetattr(descriptor, TCSANOW, before) < 0 ? -errno : 0;
}

/* Starts a program that a person works with: in our process group, so that it has the terminal, with
 * `input` as its standard input. Found by PATH; -errno where it is not there. */
static inline int omni2_foreground_start(
    const char *program, char *const *arguments, char *const *environment, int input) {
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    sigset_t standard;
    sigemptyset(&standard);
    sigaddset(&standard, SIGINT);
    sigaddset(&standard, SIGQUIT);
    sigaddset(&standard, SIGPIPE);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigdefault(&attributes, &standard);
    posix_spawn_file_actions_init(&actions);
    if (input != 0) posix_spawn_file_actions_adddup2(&actions, input, 0);
    pid_t process;
    int status = posix_spawnp(&process, program, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return status != 0 ? -status : process;
}

/* While such a program runs, its keys for "interrupt" are not meant for us. */
static inline void omni2_interrupts_ignored(int ignored) {
    signal(SIGINT, ignored ? SIG_IGN : SIG_DFL);
    signal(SIGQUIT, ignored ? SIG_IGN : SIG_DFL);
}

#endif
