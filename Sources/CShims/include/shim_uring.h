#ifndef OMNI2_SHIM_URING_H
#define OMNI2_SHIM_URING_H

/* Before the first system header of the module: the other shims need the Linux names. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

/* fd_set has other member names under X/Open, and the Glibc module was built without: the compiler
 * refuses to see both. Nobody here uses them. */
#include <features.h>
#pragma push_macro("__USE_XOPEN")
#undef __USE_XOPEN
#include <sys/select.h>
#pragma pop_macro("__USE_XOPEN")

#include <errno.h>
#include <liburing.h>
#include <sys/mman.h>

/* Registers `entries` provided receive buffers (a power of two) as buffer group 0. The ring of
 * descriptors is anonymous memory; liburing 2.3 has no helper for it yet. */
static inline int omni2_uring_register_buffers(
    struct io_uring *ring, unsigned entries, struct io_uring_buf_ring **result) {
    size_t size = entries * sizeof(struct io_uring_buf);
    void *memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (memory == MAP_FAILED) return -errno;
    struct io_uring_buf_reg registration = {
        .ring_addr = (unsigned long)memory, .ring_entries = entries, .bgid = 0};
    int status = io_uring_register_buf_ring(ring, &registration, 0);
    if (status < 0) {
        munmap(memory, size);
        return status;
    }
    io_uring_buf_ring_init((struct io_uring_buf_ring *)memory);
    *result = (struct io_uring_buf_ring *)memory;
    return 0;
}

static inline void omni2_uring_return_buffer(
    struct io_uring_buf_ring *buffers, void *memory, unsigned size, unsigned short identifier,
    unsigned mask, int offset) {
    io_uring_buf_ring_add(buffers, memory, size, identifier, (int)mask, offset);
}

/* Names the buffer group a receive takes its memory from. */
static inline void omni2_uring_select_buffer(struct io_uring_sqe *sqe) {
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
}

/* No completion when all went well. */
static inline void omni2_uring_skip_success(struct io_uring_sqe *sqe) {
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

/* Submits what is queued and waits for one completion or the timeout (negative: none). */
static inline int omni2_uring_submit_and_wait(struct io_uring *ring, long long nanoseconds) {
    struct io_uring_cqe *cqe = 0;
    if (nanoseconds == 0) return io_uring_submit_and_get_events(ring);
    if (nanoseconds < 0) return io_uring_submit_and_wait(ring, 1);
    struct __kernel_timespec timeout = {
        .tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    return io_uring_submit_and_wait_timeout(ring, &cqe, 1, &timeout, 0);
}

#endif
