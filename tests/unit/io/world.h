/* A running loop, and requests that a test makes through it and waits for. */
#ifndef SRT_TESTS_IO_WORLD_H
#define SRT_TESTS_IO_WORLD_H

#include "base/heap.h"
#include "base/lock.h"
#include "engine/wire.h"
#include "io/loop.h"
#include "io/worker.h"
#include <secretrt/error.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORLD_PATIENCE_MS 20000

struct world {
    struct srt_loop *loop;
    struct srt_lock lock; /* guards what follows */
    struct srt_cond cond;
    int turns;
    int64_t next_ms; /* what turn() answers once */
    int64_t turned_at_ms;
};

struct fetch {
    struct srt_job job;
    struct srt_transfer transfer;
    struct world *world;
    int begun;
    int done;
    int times; /* that done() was called */
    int gives_up;
};

static inline int64_t world_turn(void *self)
{
    struct world *world = self;
    int64_t next_ms;

    srt_lock_take(&world->lock);
    world->turns++;
    world->turned_at_ms = srt_loop_env(world->loop)->boot_ms(world->loop);
    next_ms = world->next_ms;
    if (next_ms <= world->turned_at_ms)
        next_ms = world->next_ms = SRT_NEVER;
    srt_cond_signal_all(&world->cond);
    srt_lock_give(&world->lock);
    return next_ms;
}

static inline struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    srt_lock_init(&world->lock);
    srt_cond_init(&world->cond);
    world->next_ms = SRT_NEVER;
    assert_int_equal(srt_loop_new(&world->loop, NULL), 0);
    return world;
}

static inline struct world *world_start(void)
{
    struct world *world = world_new();

    assert_int_equal(srt_loop_start(world->loop, world_turn, world, NULL), 0);
    return world;
}

static inline void world_free(struct world *world)
{
    srt_loop_stop(world->loop);
    srt_loop_free(world->loop);
    srt_cond_wipe(&world->cond);
    srt_lock_wipe(&world->lock);
    free(world);
}

static inline int world_turns(struct world *world)
{
    int turns;

    srt_lock_take(&world->lock);
    turns = world->turns;
    srt_lock_give(&world->lock);
    return turns;
}

static inline void world_await_turns(struct world *world, int turns)
{
    int64_t until_ms = srt_mono_ms() + WORLD_PATIENCE_MS;

    srt_lock_take(&world->lock);
    while (world->turns < turns)
        assert_true(srt_cond_wait_until(&world->cond, &world->lock, until_ms));
    srt_lock_give(&world->lock);
}

static inline void fetch_done(struct srt_transfer *transfer)
{
    struct fetch *fetch = transfer->owner;

    srt_lock_take(&fetch->world->lock);
    fetch->done = 1;
    fetch->times++;
    srt_cond_signal_all(&fetch->world->cond);
    srt_lock_give(&fetch->world->lock);
}

static inline struct fetch *fetch_new(struct world *world, enum srt_request_kind kind,
                                      const char *target)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));

    assert_non_null(fetch);
    fetch->world = world;
    fetch->transfer.owner = fetch;
    fetch->transfer.done = fetch_done;
    fetch->transfer.request.kind = kind;
    fetch->transfer.request.method = "GET";
    fetch->transfer.request.timeout_ms = 10000;
    srt_buf_text_add(&fetch->transfer.request.target, target);
    return fetch;
}

static inline struct fetch *fetch_http(struct world *world, const char *method,
                                       int port, const char *path)
{
    struct fetch *fetch = fetch_new(world, SRT_REQUEST_HTTP, path);

    fetch->transfer.request.method = method;
    fetch->transfer.request.idempotent = 1;
    srt_buf_format(&fetch->transfer.request.base, "http://127.0.0.1:%d", port);
    return fetch;
}

static inline void fetch_run(struct srt_job *job)
{
    struct fetch *fetch = SRT_CONTAINER(job, struct fetch, job);
    const struct srt_env *env = srt_loop_env(fetch->world->loop);
    int rc = 0;

    if (fetch->gives_up)
        env->abort(env->self, &fetch->transfer);
    else
        rc = env->send(env->self, &fetch->transfer);
    if (rc != 0)
        abort();
    srt_lock_take(&fetch->world->lock);
    fetch->begun++;
    srt_cond_signal_all(&fetch->world->cond);
    srt_lock_give(&fetch->world->lock);
}

static inline void fetch_begin(struct fetch *fetch)
{
    fetch->job.run = fetch_run;
    srt_loop_post(fetch->world->loop, &fetch->job);
}

static inline void fetch_abort(struct fetch *fetch)
{
    int64_t until_ms = srt_mono_ms() + WORLD_PATIENCE_MS;
    struct world *world = fetch->world;

    srt_lock_take(&world->lock);
    while (fetch->begun < 1)
        assert_true(srt_cond_wait_until(&world->cond, &world->lock, until_ms));
    fetch->gives_up = 1;
    srt_lock_give(&world->lock);
    srt_loop_post(world->loop, &fetch->job);
    srt_lock_take(&world->lock);
    while (fetch->begun < 2)
        assert_true(srt_cond_wait_until(&world->cond, &world->lock, until_ms));
    srt_lock_give(&world->lock);
}

static inline struct srt_reply *fetch_await(struct fetch *fetch)
{
    int64_t until_ms = srt_mono_ms() + WORLD_PATIENCE_MS;
    struct world *world = fetch->world;

    srt_lock_take(&world->lock);
    while (!fetch->done || fetch->begun < 1)
        assert_true(srt_cond_wait_until(&world->cond, &world->lock, until_ms));
    srt_lock_give(&world->lock);
    return &fetch->transfer.reply;
}

static inline struct srt_reply *fetch_now(struct fetch *fetch)
{
    fetch_begin(fetch);
    return fetch_await(fetch);
}

static inline void fetch_free(struct fetch *fetch)
{
    assert_null(fetch->transfer.io);
    srt_request_wipe(&fetch->transfer.request);
    srt_reply_wipe(&fetch->transfer.reply);
    free(fetch);
}

#endif
