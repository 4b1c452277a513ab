#ifndef OMNI2_SHIM_REDIS_H
#define OMNI2_SHIM_REDIS_H

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <hiredis/sds.h>

/* hiredis asks through these to be called when its socket is ready; `gone` says that it has freed
 * the context. */
typedef void (*omni2_redis_hook)(void *owner);

static inline void omni2_redis_attach(
    redisAsyncContext *context, void *owner, omni2_redis_hook add_read,
    omni2_redis_hook remove_read, omni2_redis_hook add_write, omni2_redis_hook remove_write,
    omni2_redis_hook gone) {
    context->data = owner;
    context->ev.data = owner;
    context->ev.addRead = add_read;
    context->ev.delRead = remove_read;
    context->ev.addWrite = add_write;
    context->ev.delWrite = remove_write;
    context->ev.cleanup = gone;
}

/* The owner goes first: nothing is to be told to it any more. */
static inline void omni2_redis_detach(redisAsyncContext *context) {
    context->data = 0;
    context->ev.data = 0;
    context->ev.addRead = 0;
    context->ev.delRead = 0;
    context->ev.addWrite = 0;
    context->ev.delWrite = 0;
    context->ev.cleanup = 0;
    context->onDisconnect = 0;
}

static inline void *omni2_redis_owner(const redisAsyncContext *context) { return context->data; }

static inline int omni2_redis_descriptor(const redisAsyncContext *context) {
    return context->c.fd;
}

static inline const char *omni2_redis_problem(const redisAsyncContext *context) {
    return context->err ? context->errstr : 0;
}

/* Bytes that wait to be written. */
static inline size_t omni2_redis_unsent(const redisAsyncContext *context) {
    return sdslen(context->c.obuf);
}

/* A silent peer is noticed. */
static inline int omni2_redis_keep_alive(redisAsyncContext *context) {
    return redisEnableKeepAlive(&context->c);
}

#endif
