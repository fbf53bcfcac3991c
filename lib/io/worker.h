/* A thread that runs jobs one after the other, for what may block: files, audit writes,
 * hooks, callbacks. It starts with its first job, all signals blocked. */
#ifndef SRT_IO_WORKER_H
#define SRT_IO_WORKER_H

#include "base/list.h"
#include <stdint.h>

struct srt_worker;

struct srt_job {
    struct srt_list link;
    void (*run)(
        struct srt_job *job); /* on the worker, no lock held; may free the job */
};

int srt_worker_new(struct srt_worker **out,
                   const char *name); /* at most 15 bytes; 0 or ERR_NOMEM */
/* 0; ERR_NOMEM or ERR_UNAVAILABLE when no thread can be started (the job is not taken).
 */
int srt_worker_post(struct srt_worker *worker, struct srt_job *job);
int srt_worker_is_self(const struct srt_worker *worker); /* 1: called on its thread */
/* How long the job that runs now has been running; 0: none. */
int64_t srt_worker_busy_ms(const struct srt_worker *worker);
/* Runs what is queued, for at most timeout_ms, then ends the thread and frees the
 * worker. 0; ERR_TIMEOUT: a job is stuck: the thread is left behind, detached, with the
 * worker's memory, and jobs not yet run are handed to drop (NULL ok). Called on the
 * worker's own thread: it frees itself after the running job. */
int srt_worker_end(struct srt_worker *worker, int64_t timeout_ms,
                   void (*drop)(struct srt_job *job));
void srt_worker_abandon(
    struct srt_worker *worker); /* in a forked child: the thread is not here; frees
                                   nothing that it may hold */
/* pthread_atfork: no job is being queued between hold and release. */
void srt_worker_hold(struct srt_worker *worker);
void srt_worker_release(struct srt_worker *worker);

#endif
