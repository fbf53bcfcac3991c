/* A running loop, and requests that a test makes through it and waits for. */
#ifndef SRT_TESTS_IO_RIG_H
#define SRT_TESTS_IO_RIG_H

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

#define RIG_PATIENCE_MS 20000

struct rig {
    struct srt_loop *loop;
    struct srt_lock lock; /* guards what follows */
    struct srt_cond cond;
    int turns;
    int64_t next_ms;      /* what turn() answers until it is reached */
    int answers_the_past; /* or, once, a deadline that is over */
    int64_t turned_at_ms;
};

struct fetch {
    struct srt_job job;
    struct srt_transfer transfer;
    struct rig *rig;
    int rc; /* of send */
    int begun;
    int done;
    int times; /* that done() was called */
    int gives_up;
};

static inline int64_t rig_turn(void *self)
{
    struct rig *rig = self;
    int64_t next_ms;

    srt_lock_take(&rig->lock);
    rig->turns++;
    rig->turned_at_ms = srt_loop_env(rig->loop)->boot_ms(rig->loop);
    next_ms = rig->next_ms;
    if (next_ms <= rig->turned_at_ms)
        next_ms = rig->next_ms = SRT_NEVER;
    if (rig->answers_the_past)
        next_ms = rig->turned_at_ms;
    rig->answers_the_past = 0;
    srt_cond_signal_all(&rig->cond);
    srt_lock_give(&rig->lock);
    return next_ms;
}

static inline struct rig *rig_new(void)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    assert_non_null(rig);
    srt_lock_init(&rig->lock);
    srt_cond_init(&rig->cond);
    rig->next_ms = SRT_NEVER;
    assert_int_equal(srt_loop_new(&rig->loop, NULL), 0);
    return rig;
}

static inline struct rig *rig_start(void)
{
    struct rig *rig = rig_new();

    assert_int_equal(srt_loop_start(rig->loop, rig_turn, rig, NULL), 0);
    return rig;
}

static inline void rig_free(struct rig *rig)
{
    srt_loop_stop(rig->loop);
    srt_loop_free(rig->loop);
    srt_cond_wipe(&rig->cond);
    srt_lock_wipe(&rig->lock);
    free(rig);
}

static inline int rig_turns(struct rig *rig)
{
    int turns;

    srt_lock_take(&rig->lock);
    turns = rig->turns;
    srt_lock_give(&rig->lock);
    return turns;
}

static inline void rig_await_turns(struct rig *rig, int turns)
{
    int64_t until_ms = srt_mono_ms() + RIG_PATIENCE_MS;

    srt_lock_take(&rig->lock);
    while (rig->turns < turns && srt_cond_wait_until(&rig->cond, &rig->lock, until_ms))
        continue;
    turns -= rig->turns;
    srt_lock_give(&rig->lock);
    assert_true(turns <= 0);
}

static inline void fetch_done(struct srt_transfer *transfer)
{
    struct fetch *fetch = transfer->owner;

    srt_lock_take(&fetch->rig->lock);
    fetch->done = 1;
    fetch->times++;
    srt_cond_signal_all(&fetch->rig->cond);
    srt_lock_give(&fetch->rig->lock);
}

static inline struct fetch *fetch_new(struct rig *rig, enum srt_request_kind kind,
                                      const char *target)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));

    assert_non_null(fetch);
    fetch->rig = rig;
    fetch->transfer.owner = fetch;
    fetch->transfer.done = fetch_done;
    fetch->transfer.request.kind = kind;
    fetch->transfer.request.method = "GET";
    fetch->transfer.request.timeout_ms = 10000;
    srt_buf_text_add(&fetch->transfer.request.target, target);
    return fetch;
}

static inline struct fetch *fetch_http(struct rig *rig, const char *method, int port,
                                       const char *path)
{
    struct fetch *fetch = fetch_new(rig, SRT_REQUEST_HTTP, path);

    fetch->transfer.request.method = method;
    fetch->transfer.request.idempotent = 1;
    srt_buf_format(&fetch->transfer.request.base, "http://127.0.0.1:%d", port);
    return fetch;
}

static inline void fetch_run(struct srt_job *job)
{
    struct fetch *fetch = SRT_CONTAINER(job, struct fetch, job);
    const struct srt_env *env = srt_loop_env(fetch->rig->loop);
    int rc = 0;

    if (fetch->gives_up)
        env->abort(env->self, &fetch->transfer);
    else
        rc = env->send(env->self, &fetch->transfer);
    srt_lock_take(&fetch->rig->lock);
    fetch->rc = rc;
    fetch->done = fetch->done || rc != 0;
    fetch->begun++;
    srt_cond_signal_all(&fetch->rig->cond);
    srt_lock_give(&fetch->rig->lock);
}

static inline void fetch_begin(struct fetch *fetch)
{
    fetch->job.run = fetch_run;
    srt_loop_post(fetch->rig->loop, &fetch->job);
}

static inline void fetch_abort(struct fetch *fetch)
{
    int64_t until_ms = srt_mono_ms() + RIG_PATIENCE_MS;
    struct rig *rig = fetch->rig;

    srt_lock_take(&rig->lock);
    while (fetch->begun < 1)
        assert_true(srt_cond_wait_until(&rig->cond, &rig->lock, until_ms));
    fetch->gives_up = 1;
    srt_lock_give(&rig->lock);
    srt_loop_post(rig->loop, &fetch->job);
    srt_lock_take(&rig->lock);
    while (fetch->begun < 2)
        assert_true(srt_cond_wait_until(&rig->cond, &rig->lock, until_ms));
    srt_lock_give(&rig->lock);
}

static inline struct srt_reply *fetch_await(struct fetch *fetch)
{
    int64_t until_ms = srt_mono_ms() + RIG_PATIENCE_MS;
    struct rig *rig = fetch->rig;

    srt_lock_take(&rig->lock);
    while (!fetch->done || fetch->begun < 1)
        assert_true(srt_cond_wait_until(&rig->cond, &rig->lock, until_ms));
    srt_lock_give(&rig->lock);
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
