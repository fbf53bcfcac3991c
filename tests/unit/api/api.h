/* What the tests of api/ share: clients on made-up secrets, threads, forked children.
 */
#ifndef TEST_API_H
#define TEST_API_H

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <secretrt/secretrt.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define API_PATIENCE_MS 20000

#define API_CONFIG                                                                     \
    "{\"secrets\": {"                                                                  \
    "\"db\": {\"sources\": [\"env://?username=API_USER&password=API_PASSWORD\"]},"     \
    "\"one\": {\"sources\": [\"env://API_ONE\"]},"                                     \
    "\"gone\": {\"sources\": [\"env://API_GONE\"]}}}"

static inline void api_environment(void)
{
    (void)setenv("API_USER", "user-0", 1);
    (void)setenv("API_PASSWORD", "CANARY-0", 1);
    (void)setenv("API_ONE", "CANARY-one", 1);
    (void)unsetenv("API_GONE");
    (void)unsetenv("SECRETRT_CONFIG");
}

static inline struct secretrt_client *api_open_with(const char *config,
                                                    struct secretrt_options *options)
{
    struct secretrt_client *client = NULL;
    struct secretrt_error err;

    options->config = config;
    if (secretrt_open(&client, options, &err) != 0)
        fail_msg("secretrt_open: %s", err.message);
    return client;
}

static inline struct secretrt_client *api_open(const char *config)
{
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;

    return api_open_with(config, &options);
}

static inline struct secretrt_secret *api_secret(struct secretrt_client *client,
                                                 const char *name)
{
    struct secretrt_secret *secret = NULL;
    struct secretrt_error err;

    if (secretrt_secret_open(&secret, client, name, &err) != 0)
        fail_msg("secretrt_secret_open: %s", err.message);
    return secret;
}

static inline struct secretrt_value *api_read(struct secretrt_secret *secret)
{
    struct secretrt_value *value = NULL;
    struct secretrt_error err;

    if (secretrt_secret_read(&value, secret, &err) != 0)
        fail_msg("secretrt_secret_read: %s", err.message);
    return value;
}

/* The next event of this kind; others are passed over. */
static inline struct secretrt_event api_event(struct secretrt_client *client, int kind)
{
    struct secretrt_event event = SECRETRT_EVENT_INIT;

    do
        assert_int_equal(secretrt_event_next(&event, client, API_PATIENCE_MS), 0);
    while (event.kind != kind);
    return event;
}

static inline int api_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

/* ---- a place where one thread waits for another ---- */

struct api_gate {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int count;
};

#define API_GATE_INIT                                                                  \
    {                                                                                  \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0                         \
    }

static inline void api_pass(struct api_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->count++;
    pthread_cond_broadcast(&gate->cond);
    pthread_mutex_unlock(&gate->lock);
}

static inline void api_await(struct api_gate *gate, int count)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->count < count)
        pthread_cond_wait(&gate->cond, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static inline int api_count(struct api_gate *gate)
{
    int count;

    pthread_mutex_lock(&gate->lock);
    count = gate->count;
    pthread_mutex_unlock(&gate->lock);
    return count;
}

static inline pthread_t api_thread(void *(*run)(void *), void *arg)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, run, arg), 0);
    return thread;
}

static inline int64_t api_now_ms(void)
{
    struct timespec now = {0, 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- children ---- */

/* The child's assert: CMocka's would go on in the parent's test. */
#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
            _exit(1);                                                                  \
        }                                                                              \
    } while (0)

static inline pid_t api_fork(void (*body)(void *data), void *data)
{
    pid_t pid = -1;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        (void)alarm(60);
        body(data);
        _exit(0);
    }
    return pid;
}

static inline void api_join(pid_t pid)
{
    int status = -1;

    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("the child ended with wait status %#x", (unsigned)status);
}

static inline void api_child(void (*body)(void *data), void *data)
{
    api_join(api_fork(body, data));
}

#endif
