#include "io/thread.h"
#include <errno.h>
#include <secretrt/error.h>
#include <signal.h>

static int thread_create(pthread_t *out, size_t stack_len, void *(*run)(void *),
                         void *arg)
{
    pthread_attr_t attr;
    int rc = pthread_attr_init(&attr);

    if (rc != 0)
        return rc;
    rc = pthread_attr_setstacksize(&attr, stack_len);
    if (rc == 0)
        rc = pthread_create(out, &attr, run, arg);
    (void)pthread_attr_destroy(&attr);
    /* A host with much static thread-local storage, which is taken from the stack. */
    return rc == EINVAL ? pthread_create(out, NULL, run, arg) : rc;
}

int srt_thread_start(pthread_t *out, const char *name, size_t stack_len,
                     void *(*run)(void *), void *arg)
{
    sigset_t all;
    sigset_t before;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited by the new thread */
    rc = thread_create(out, stack_len, run, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return rc == ENOMEM ? SECRETRT_ERR_NOMEM : SECRETRT_ERR_UNAVAILABLE;
    (void)pthread_setname_np(*out, name);
    return 0;
}
