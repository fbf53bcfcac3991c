#include "io/worker.h"
#include "base/alloc.h"
#include "base/lock.h"
#include "base/status.h"
#include "io/thread.h"
#include <stdatomic.h>

/* Hooks and callbacks of the application run here, so it is no small stack; pages that
 * are never touched cost nothing. */
#define WORKER_STACK_LEN ((size_t)1024 * 1024)

struct srt_worker {
    struct srt_lock lock; /* guards all below */
    struct srt_cond cond; /* something was queued, or the state changed */
    struct srt_list queue;
    pthread_t thread;
    int started;
    int busy;
    int ending; /* once the queue is empty */
    int left;   /* nobody waits for it: the thread frees the worker */
    int ended;  /* the thread touches nothing any more */
    char name[16];
    pthread_t self;                /* set by the thread, before runs */
    atomic_int runs;               /* any thread may read these two */
    _Atomic int64_t busy_since_ms; /* 0: no job runs */
};

int srt_worker_new(struct srt_worker **out, const char *name)
{
    struct srt_worker *worker = srt_alloc(sizeof(*worker));

    *out = worker;
    if (worker == NULL)
        return SECRETRT_ERR_NOMEM;
    srt_lock_init(&worker->lock);
    srt_cond_init(&worker->cond);
    srt_list_init(&worker->queue);
    srt_text_copy(worker->name, sizeof(worker->name), name);
    return 0;
}

static void worker_free(struct srt_worker *worker)
{
    srt_cond_wipe(&worker->cond);
    srt_lock_wipe(&worker->lock);
    srt_free(worker);
}

static struct srt_job *worker_pop(struct srt_list *queue)
{
    struct srt_job *job = NULL;

    if (!srt_list_empty(queue)) {
        job = SRT_CONTAINER(queue->next, struct srt_job, link);
        srt_list_remove(&job->link);
    }
    return job;
}

static void worker_run(struct srt_worker *worker, struct srt_job *job)
{
    worker->busy = 1;
    atomic_store_explicit(&worker->busy_since_ms, srt_mono_ms(), memory_order_release);
    srt_lock_give(&worker->lock);
    job->run(job);
    srt_lock_take(&worker->lock);
    atomic_store_explicit(&worker->busy_since_ms, 0, memory_order_release);
    worker->busy = 0;
}

static void *worker_main(void *arg)
{
    struct srt_worker *worker = arg;
    struct srt_job *job;
    int left;

    worker->self = pthread_self();
    atomic_store_explicit(&worker->runs, 1, memory_order_release);
    srt_lock_take(&worker->lock);
    while ((job = worker_pop(&worker->queue)) != NULL || !worker->ending) {
        if (job != NULL)
            worker_run(worker, job);
        else
            srt_cond_wait(&worker->cond, &worker->lock);
    }
    worker->ended = 1;
    left = worker->left;
    srt_cond_signal_all(&worker->cond);
    srt_lock_give(&worker->lock);
    if (left)
        worker_free(worker);
    return NULL;
}

int srt_worker_post(struct srt_worker *worker, struct srt_job *job)
{
    int rc = 0;

    srt_lock_take(&worker->lock);
    if (!worker->started) {
        rc = srt_thread_start(&worker->thread, worker->name, WORKER_STACK_LEN,
                              worker_main, worker);
        worker->started = rc == 0;
    }
    if (rc == 0) {
        srt_list_append(&worker->queue, &job->link);
        srt_cond_signal_all(&worker->cond);
    }
    srt_lock_give(&worker->lock);
    return rc;
}

int srt_worker_is_self(const struct srt_worker *worker)
{
    return atomic_load_explicit(&worker->runs, memory_order_acquire) &&
           pthread_equal(worker->self, pthread_self());
}

int64_t srt_worker_busy_ms(const struct srt_worker *worker)
{
    int64_t since_ms =
        atomic_load_explicit(&worker->busy_since_ms, memory_order_acquire);

    return since_ms == 0 ? 0 : srt_mono_ms() - since_ms + 1;
}

/* The wait of srt_worker_end: 1 once the thread is past its last job. A thread that
 * runs nothing and has nothing queued ends by itself: no limit for that. */
static int worker_await_nolock(struct srt_worker *worker, int64_t timeout_ms)
{
    int64_t until_ms = srt_mono_ms() + timeout_ms;

    while (!worker->ended) {
        if (!worker->busy && srt_list_empty(&worker->queue))
            srt_cond_wait(&worker->cond, &worker->lock);
        else if (!srt_cond_wait_until(&worker->cond, &worker->lock, until_ms))
            return worker->ended;
    }
    return 1;
}

static void worker_drop(struct srt_list *queue, void (*drop)(struct srt_job *job))
{
    struct srt_job *job;

    while ((job = worker_pop(queue)) != NULL) {
        if (drop != NULL)
            drop(job);
    }
}

static void worker_take_queue(struct srt_list *out, struct srt_list *queue)
{
    struct srt_job *job;

    srt_list_init(out);
    while ((job = worker_pop(queue)) != NULL)
        srt_list_append(out, &job->link);
}

int srt_worker_end(struct srt_worker *worker, int64_t timeout_ms,
                   void (*drop)(struct srt_job *job))
{
    int self = srt_worker_is_self(worker);
    struct srt_list rest;
    int joins;

    srt_lock_take(&worker->lock);
    worker->ending = 1;
    srt_cond_signal_all(&worker->cond);
    joins = !worker->started || (!self && worker_await_nolock(worker, timeout_ms));
    worker_take_queue(&rest, &worker->queue);
    worker->left = !joins;
    if (worker->started && !joins)
        (void)pthread_detach(worker->thread);
    srt_lock_give(&worker->lock);
    /* From here on a thread that was left behind may have freed the worker. */
    if (joins) {
        if (worker->started)
            (void)pthread_join(worker->thread, NULL);
        worker_free(worker);
    }
    worker_drop(&rest, drop);
    return joins || self ? 0 : SECRETRT_ERR_TIMEOUT;
}

void srt_worker_abandon(struct srt_worker *worker)
{
    srt_free(worker); /* its lock may be held by a thread that is not here */
}

void srt_worker_hold(struct srt_worker *worker)
{
    srt_lock_take(&worker->lock);
}

void srt_worker_release(struct srt_worker *worker)
{
    srt_lock_give(&worker->lock);
}
