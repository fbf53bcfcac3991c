/* How the threads of this room start: named, deaf to every signal of the host program.
 */
#ifndef SRT_IO_THREAD_H
#define SRT_IO_THREAD_H

#include <pthread.h>
#include <stddef.h>

/* name: at most 15 bytes. 0, ERR_NOMEM, or ERR_UNAVAILABLE: no more threads allowed. */
int srt_thread_start(pthread_t *out, const char *name, size_t stack_len,
                     void *(*run)(void *), void *arg);

#endif
