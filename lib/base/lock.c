#include "base/lock.h"
#include <assert.h>
#include <errno.h>
#include <time.h>

/* None of these can fail on a lock that is well-formed: a failure is our own mistake.
 */
static void lock_check(int rc)
{
    assert(rc == 0);
    (void)rc;
}

void srt_lock_init(struct srt_lock *lock)
{
    lock_check(pthread_mutex_init(&lock->mutex, NULL));
}

void srt_lock_wipe(struct srt_lock *lock)
{
    lock_check(pthread_mutex_destroy(&lock->mutex));
}

void srt_lock_take(struct srt_lock *lock)
{
    lock_check(pthread_mutex_lock(&lock->mutex));
}

void srt_lock_give(struct srt_lock *lock)
{
    lock_check(pthread_mutex_unlock(&lock->mutex));
}

void srt_cond_init(struct srt_cond *cond)
{
    pthread_condattr_t attr;

    lock_check(pthread_condattr_init(&attr));
    lock_check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
    lock_check(pthread_cond_init(&cond->cond, &attr));
    lock_check(pthread_condattr_destroy(&attr));
}

void srt_cond_wipe(struct srt_cond *cond)
{
    lock_check(pthread_cond_destroy(&cond->cond));
}

void srt_cond_signal_all(struct srt_cond *cond)
{
    lock_check(pthread_cond_broadcast(&cond->cond));
}

void srt_cond_wait(struct srt_cond *cond, struct srt_lock *lock)
{
    lock_check(pthread_cond_wait(&cond->cond, &lock->mutex));
}

int srt_cond_wait_until(struct srt_cond *cond, struct srt_lock *lock, int64_t until_ms)
{
    struct timespec until = {0, 0};
    int rc;

    if (until_ms == INT64_MAX) {
        srt_cond_wait(cond, lock);
        return 1;
    }
    if (until_ms > 0) {
        until.tv_sec = (time_t)(until_ms / 1000);
        until.tv_nsec = (long)(until_ms % 1000) * 1000000L;
    }
    rc = pthread_cond_timedwait(&cond->cond, &lock->mutex, &until);
    assert(rc == 0 || rc == ETIMEDOUT);
    return rc != ETIMEDOUT;
}

int64_t srt_mono_ms(void)
{
    struct timespec now = {0, 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
