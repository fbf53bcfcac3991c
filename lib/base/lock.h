/* Thin wrappers: the only place, with io/, that names pthread_*. A condition waits on
 * CLOCK_MONOTONIC. */
#ifndef SRT_BASE_LOCK_H
#define SRT_BASE_LOCK_H

#include <pthread.h>
#include <stdint.h>

struct srt_lock {
    pthread_mutex_t mutex;
};

struct srt_cond {
    pthread_cond_t cond;
};

#define SRT_LOCK_INIT                                                                  \
    {                                                                                  \
        PTHREAD_MUTEX_INITIALIZER                                                      \
    }

void srt_lock_init(struct srt_lock *lock);
void srt_lock_wipe(struct srt_lock *lock);
void srt_lock_take(struct srt_lock *lock);
void srt_lock_give(struct srt_lock *lock);

void srt_cond_init(struct srt_cond *cond);
void srt_cond_wipe(struct srt_cond *cond);
void srt_cond_signal_all(struct srt_cond *cond);
void srt_cond_wait(struct srt_cond *cond, struct srt_lock *lock);
/* until_ms on srt_mono_ms(); 1 when it woke, 0 when the time had come. */
int srt_cond_wait_until(struct srt_cond *cond, struct srt_lock *lock, int64_t until_ms);
int64_t srt_mono_ms(void); /* CLOCK_MONOTONIC, for waits of callers only */

#endif
