#include "io/loop.h"
#include "base/alloc.h"
#include "base/heap.h"
#include "base/lock.h"
#include "base/status.h"
#include "io/clock.h"
#include "io/descriptor.h"
#include "io/flight.h"
#include "io/thread.h"
#include "io/worker.h"
#include "mem/wipe.h"
#include <errno.h>
#include <stdatomic.h>

/* curl and a TLS handshake; name resolution has threads of its own. */
#define LOOP_STACK_LEN ((size_t)256 * 1024)

enum {
    LOOP_FD_WAKE = 0,
    LOOP_FD_TIMER, /* the turn's deadline */
    LOOP_FD_WALL,  /* the wall clock was set; -1 where the kernel can't tell */
    LOOP_FDS
};

struct srt_loop {
    struct srt_env env;
    struct srt_flights *flights;
    int fd[LOOP_FDS];
    atomic_int woken; /* 1: the loop knows already, or will before it sleeps */

    struct srt_lock lock; /* guards what follows, up to stop */
    struct srt_cond cond; /* a round ended, or nobody wants to hold the loop */
    struct srt_list jobs;
    unsigned holders; /* threads that wait for the end of the round */
    int in_round;
    int started;
    int stop;

    pthread_t thread;
    int64_t (*turn)(void *self);
    void *turn_self;
    int64_t armed_ms; /* what the timer is set to */
};

/* ---- struct srt_env ---- */

static int64_t loop_boot_ms(void *self)
{
    (void)self;
    return srt_clock_boot_ms();
}

static int64_t loop_wall_ms(void *self)
{
    (void)self;
    return srt_clock_wall_ms();
}

static void loop_random(void *self, void *out, size_t len)
{
    (void)self;
    srt_clock_random(out, len);
}

static int loop_send(void *self, struct srt_transfer *transfer)
{
    struct srt_loop *loop = self;

    return srt_flights_send(loop->flights, transfer);
}

static void loop_abort(void *self, struct srt_transfer *transfer)
{
    struct srt_loop *loop = self;

    srt_flights_abort(loop->flights, transfer);
}

const struct srt_env *srt_loop_env(struct srt_loop *loop)
{
    return &loop->env;
}

/* ---- from other threads ---- */

void srt_loop_wake(struct srt_loop *loop)
{
    if (atomic_exchange_explicit(&loop->woken, 1, memory_order_acq_rel) == 0)
        srt_fd_signal(loop->fd[LOOP_FD_WAKE]);
}

static void loop_wake(void *self)
{
    srt_loop_wake(self);
}

void srt_loop_post(struct srt_loop *loop, struct srt_job *job)
{
    srt_lock_take(&loop->lock);
    srt_list_append(&loop->jobs, &job->link);
    srt_lock_give(&loop->lock);
    srt_loop_wake(loop);
}

void srt_loop_hold(struct srt_loop *loop)
{
    srt_lock_take(&loop->lock);
    loop->holders++;
    while (loop->in_round && !pthread_equal(loop->thread, pthread_self()))
        srt_cond_wait(&loop->cond, &loop->lock);
    loop->holders--;
    srt_flights_hold(loop->flights);
}

void srt_loop_release(struct srt_loop *loop)
{
    srt_flights_release(loop->flights);
    srt_cond_signal_all(&loop->cond);
    srt_lock_give(&loop->lock);
}

/* ---- the thread ---- */

/* 0: the loop has to end. */
static int loop_round_begin(struct srt_loop *loop)
{
    int stop;

    srt_lock_take(&loop->lock);
    while (loop->holders > 0)
        srt_cond_wait(&loop->cond, &loop->lock);
    loop->in_round = 1;
    stop = loop->stop;
    srt_lock_give(&loop->lock);
    return !stop;
}

static void loop_round_end(struct srt_loop *loop)
{
    srt_lock_take(&loop->lock);
    loop->in_round = 0;
    srt_cond_signal_all(&loop->cond);
    srt_lock_give(&loop->lock);
}

static struct srt_job *loop_job(struct srt_loop *loop)
{
    struct srt_job *job = NULL;

    srt_lock_take(&loop->lock);
    if (!srt_list_empty(&loop->jobs)) {
        job = SRT_CONTAINER(loop->jobs.next, struct srt_job, link);
        srt_list_remove(&job->link);
    }
    srt_lock_give(&loop->lock);
    return job;
}

static void loop_run_jobs(struct srt_loop *loop)
{
    struct srt_job *job;

    while ((job = loop_job(loop)) != NULL)
        job->run(job);
}

static void loop_arm(struct srt_loop *loop, int64_t at_ms)
{
    if (at_ms == loop->armed_ms)
        return;
    srt_fd_timer_set(loop->fd[LOOP_FD_TIMER], at_ms);
    loop->armed_ms = at_ms;
}

/* 1: something other than a transfer ended the sleep, so a turn is due. */
static int loop_sleep(struct srt_loop *loop)
{
    unsigned n = loop->fd[LOOP_FD_WALL] >= 0 ? LOOP_FDS : LOOP_FD_WALL;
    int ready[LOOP_FDS] = {0};
    unsigned i;
    int due = 0;

    srt_flights_poll(loop->flights, loop->fd, ready, n);
    for (i = 0; i < n; i++) {
        if (ready[i])
            srt_fd_drain(loop->fd[i]);
        due = due || ready[i];
    }
    if (ready[LOOP_FD_TIMER])
        loop->armed_ms = SRT_NEVER;
    /* After the drain: who finds it 1 has been heard, who finds it 0 signals anew. */
    if (ready[LOOP_FD_WAKE])
        (void)atomic_exchange_explicit(&loop->woken, 0, memory_order_acq_rel);
    return due;
}

static void *loop_main(void *arg)
{
    struct srt_loop *loop = arg;
    int64_t next_ms = SRT_NEVER;
    int due = 1;

    while (loop_round_begin(loop)) {
        loop_run_jobs(loop);
        srt_flights_advance(loop->flights);
        due = srt_flights_deliver(loop->flights) || due;
        if (due)
            next_ms = loop->turn(loop->turn_self);
        srt_flights_advance(loop->flights); /* what the turn has sent */
        loop_arm(loop, next_ms);
        srt_scrub(); /* it sleeps for long, and a core dump shows what it has moved */
        loop_round_end(loop);
        due = loop_sleep(loop);
    }
    /* Here, where every signal is blocked: closing a TLS connection may raise SIGPIPE.
     */
    srt_flights_close(loop->flights);
    loop_round_end(loop);
    return NULL;
}

/* ---- its life ---- */

int srt_loop_new(struct srt_loop **out, struct secretrt_error *err)
{
    struct srt_loop *loop = srt_alloc(sizeof(*loop));
    int rc = 0;

    *out = NULL;
    if (loop == NULL)
        return srt_nomem(err);
    srt_lock_init(&loop->lock);
    srt_cond_init(&loop->cond);
    srt_list_init(&loop->jobs);
    loop->armed_ms = SRT_NEVER;
    loop->env = (struct srt_env){.self = loop,
                                 .boot_ms = loop_boot_ms,
                                 .wall_ms = loop_wall_ms,
                                 .random = loop_random,
                                 .send = loop_send,
                                 .abort = loop_abort};
    loop->fd[LOOP_FD_WAKE] = srt_fd_event();
    loop->fd[LOOP_FD_TIMER] = srt_fd_timer(CLOCK_BOOTTIME);
    loop->fd[LOOP_FD_WALL] = srt_fd_wall_watch();
    if (loop->fd[LOOP_FD_WAKE] < 0 || loop->fd[LOOP_FD_TIMER] < 0) {
        int os_errno = errno;

        rc = srt_fail(err, SECRETRT_ERR_UNAVAILABLE,
                      "no descriptor for the renewal thread");
        if (err != NULL)
            err->os_errno = os_errno;
    }
    if (rc == 0)
        rc = srt_flights_new(&loop->flights, loop_wake, loop, err);
    if (rc != 0) {
        srt_loop_free(loop);
        return rc;
    }
    *out = loop;
    return 0;
}

int srt_loop_start(struct srt_loop *loop, int64_t (*turn)(void *self), void *self,
                   struct secretrt_error *err)
{
    int rc;

    srt_lock_take(&loop->lock);
    loop->turn = turn;
    loop->turn_self = self;
    rc = srt_thread_start(&loop->thread, "secretrt", LOOP_STACK_LEN, loop_main, loop);
    loop->started = rc == 0;
    srt_lock_give(&loop->lock);
    if (rc == SECRETRT_ERR_NOMEM)
        return srt_nomem(err);
    return rc == 0 ? 0 : srt_fail(err, rc, "no renewal thread can be started");
}

void srt_loop_stop(struct srt_loop *loop)
{
    int joins;
    int self;

    srt_lock_take(&loop->lock);
    self = loop->started && pthread_equal(loop->thread, pthread_self());
    joins = loop->started && !self;
    loop->stop = 1;
    if (joins)
        loop->started = 0;
    srt_lock_give(&loop->lock);
    if (self || joins)
        srt_loop_wake(loop);
    if (joins)
        (void)pthread_join(loop->thread, NULL);
}

void srt_loop_run_posted(struct srt_loop *loop)
{
    loop_run_jobs(loop);
}

static void loop_close_fds(struct srt_loop *loop)
{
    size_t i;

    for (i = 0; i < LOOP_FDS; i++)
        srt_fd_close(&loop->fd[i]);
}

void srt_loop_free(struct srt_loop *loop)
{
    if (loop == NULL)
        return;
    srt_loop_stop(loop);
    srt_flights_free(loop->flights);
    loop_close_fds(loop);
    srt_cond_wipe(&loop->cond);
    srt_lock_wipe(&loop->lock);
    srt_free(loop);
}

/* The lock and the condition are left as the fork caught them: nobody takes them again.
 */
void srt_loop_abandon(struct srt_loop *loop)
{
    if (loop == NULL)
        return;
    srt_flights_abandon(loop->flights);
    loop_close_fds(loop);
    srt_free(loop);
}

int srt_loop_hygiene(const struct srt_loop *loop)
{
    return srt_flights_hygiene(loop->flights);
}
