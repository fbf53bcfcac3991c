/* A value per thread with a function called at the thread's end: the second file, with
 * lock.h, that names pthread_*. */
#ifndef SRT_BASE_THREADKEY_H
#define SRT_BASE_THREADKEY_H

#include <pthread.h>

struct srt_thread_key {
    pthread_key_t key;
};

/* leave is called with each ending thread's value unless that is NULL. 0 or ERR_NOMEM.
 */
int srt_thread_key_init(struct srt_thread_key *key, void (*leave)(void *value));
int srt_thread_key_set(struct srt_thread_key *key, void *value); /* 0 or ERR_NOMEM */

#endif
