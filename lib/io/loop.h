/* The renewal thread's loop: one curl_multi, one timer, one wake-up, asleep in one
 * poll. It makes no call that can block. It is the real struct srt_env. */
#ifndef SRT_IO_LOOP_H
#define SRT_IO_LOOP_H

#include "base/env.h"
#include <secretrt/error.h>
#include <stdint.h>

struct srt_loop;

/* No thread yet, no network. ERR_UNSUPPORTED: a libcurl without a threaded resolver or
 * without TLS. */
int srt_loop_new(struct srt_loop **out, struct secretrt_error *err);
/* send() and abort() of it belong to the loop's thread, or to the caller's while it
 * does not run. abort() of what is not in flight does nothing. */
const struct srt_env *srt_loop_env(struct srt_loop *loop);

/* Starts the thread. turn() does what is due and answers the next deadline (boot clock,
 * SRT_NEVER: none); it is called after every wake-up, finished transfer, clock change.
 * done() of transfers and turn() run on this thread, one at a time. */
int srt_loop_start(struct srt_loop *loop, int64_t (*turn)(void *self), void *self,
                   struct secretrt_error *err);
void srt_loop_wake(struct srt_loop *loop); /* any thread */
/* Runs a closure on the loop's thread before the next turn, for completions of workers.
 * Never fails: the job is linked in. */
struct srt_job;
void srt_loop_post(struct srt_loop *loop, struct srt_job *job);
/* Ends the thread after its present turn and joins it; what is in flight is given up
 * there. Idempotent; on the loop's own thread it only asks for the end. */
void srt_loop_stop(struct srt_loop *loop);
/* After stop: what was posted too late for the thread, on the caller's. */
void srt_loop_run_posted(struct srt_loop *loop);
void srt_loop_free(struct srt_loop *loop); /* NULL ok; stops it */

/* pthread_atfork: hold waits for the end of the present turn, release lets it go on;
 * between them nothing is posted, by any thread. */
void srt_loop_hold(struct srt_loop *loop);
void srt_loop_release(struct srt_loop *loop);
/* In a forked child, instead of stop and free: closes the inherited descriptors without
 * a word to the peers (no TLS close) and leaves curl's memory behind. */
void srt_loop_abandon(struct srt_loop *loop);

/* 1: the measured no-copy recipe is in force for TLS buffers; 0: reduced hygiene. */
int srt_loop_hygiene(const struct srt_loop *loop);

#endif
