/* The thread that runs jobs one after the other. */
#include "base/lock.h"
#include "io/worker.h"
#include <secretrt/error.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include <cmocka.h>

#define JOBS 100

/* What the jobs of one test share. */
struct board {
    struct srt_worker *worker;
    struct srt_lock lock; /* guards what follows */
    struct srt_cond cond;
    int order[JOBS];
    int ran;
    int dropped;
    int open; /* the gate that a blocking job waits at */
    int entered;
    int left;
    int is_self;
    int signals_blocked;
    char name[16];
};

struct board_job {
    struct srt_job job;
    struct board *board;
    int number;
};

static void board_lock(struct board *b)
{
    srt_lock_take(&b->lock);
}

static void board_unlock(struct board *b)
{
    srt_cond_signal_all(&b->cond);
    srt_lock_give(&b->lock);
}

static struct board *board_of(struct srt_job *job, int *number)
{
    struct board_job *mine = SRT_CONTAINER(job, struct board_job, job);
    struct board *board = mine->board;

    *number = mine->number;
    free(mine);
    return board;
}

static void run_note(struct srt_job *job)
{
    int number = 0;
    struct board *b = board_of(job, &number);
    sigset_t blocked;

    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    board_lock(b);
    b->is_self = srt_worker_is_self(b->worker);
    b->signals_blocked =
        sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGINT);
    (void)prctl(PR_GET_NAME, b->name);
    b->order[b->ran++] = number;
    board_unlock(b);
}

static void run_wait(struct srt_job *job)
{
    int number = 0;
    struct board *b = board_of(job, &number);

    board_lock(b);
    b->entered = 1;
    srt_cond_signal_all(&b->cond);
    while (!b->open)
        srt_cond_wait(&b->cond, &b->lock);
    b->left = 1;
    board_unlock(b);
}

static void run_end(struct srt_job *job)
{
    int number = 0;
    struct board *b = board_of(job, &number);

    board_lock(b);
    while (!b->open)
        srt_cond_wait(&b->cond, &b->lock);
    b->order[0] = srt_worker_end(b->worker, 1000, NULL);
    b->left = 1;
    board_unlock(b);
}

static void drop(struct srt_job *job)
{
    int number = 0;
    struct board *b = board_of(job, &number);

    board_lock(b);
    b->dropped++;
    board_unlock(b);
}

static struct srt_job *job_new(struct board *b, void (*run)(struct srt_job *job),
                               int number)
{
    struct board_job *job = calloc(1, sizeof(*job));

    assert_non_null(job);
    job->job.run = run;
    job->board = b;
    job->number = number;
    return &job->job;
}

static void await(struct board *b, const int *what, int value)
{
    int64_t until_ms = srt_mono_ms() + 20000;

    board_lock(b);
    while (*what != value)
        assert_true(srt_cond_wait_until(&b->cond, &b->lock, until_ms));
    board_unlock(b);
}

static void open_gate(struct board *b)
{
    board_lock(b);
    b->open = 1;
    board_unlock(b);
}

static int setup(void **state)
{
    struct board *b = calloc(1, sizeof(*b));

    assert_non_null(b);
    srt_lock_init(&b->lock);
    srt_cond_init(&b->cond);
    assert_int_equal(srt_worker_new(&b->worker, "secretrt-a-name-too-long"), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct board *b = *state;

    srt_cond_wipe(&b->cond);
    srt_lock_wipe(&b->lock);
    free(b);
    return 0;
}

static void runs_jobs_in_order(void **state)
{
    struct board *b = *state;

    for (int i = 0; i < JOBS; i++)
        assert_int_equal(srt_worker_post(b->worker, job_new(b, run_note, i)), 0);
    await(b, &b->ran, JOBS);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(b->order[i], i);
    assert_int_equal(b->is_self, 1);
    assert_int_equal(srt_worker_is_self(b->worker), 0);
    assert_int_equal(b->signals_blocked, 1);
    assert_string_equal(b->name, "secretrt-a-name");
    assert_int_equal(srt_worker_end(b->worker, 1000, NULL), 0);
}

static void runs_what_is_queued_before_it_ends(void **state)
{
    struct board *b = *state;

    for (int i = 0; i < JOBS; i++)
        assert_int_equal(srt_worker_post(b->worker, job_new(b, run_note, i)), 0);
    assert_int_equal(srt_worker_end(b->worker, 20000, drop), 0);
    assert_int_equal(b->ran, JOBS);
    assert_int_equal(b->dropped, 0);
}

static void ends_without_ever_a_job(void **state)
{
    struct board *b = *state;

    assert_int_equal(srt_worker_is_self(b->worker), 0);
    assert_int_equal(srt_worker_busy_ms(b->worker), 0);
    assert_int_equal(srt_worker_end(b->worker, 0, drop), 0);
}

static void tells_how_long_it_is_busy(void **state)
{
    struct board *b = *state;
    int64_t until_ms = srt_mono_ms() + 20000;

    assert_int_equal(srt_worker_post(b->worker, job_new(b, run_wait, 0)), 0);
    await(b, &b->entered, 1);
    while (srt_worker_busy_ms(b->worker) < 20)
        assert_true(srt_mono_ms() < until_ms);
    open_gate(b);
    while (srt_worker_busy_ms(b->worker) != 0)
        assert_true(srt_mono_ms() < until_ms);
    assert_int_equal(srt_worker_end(b->worker, 1000, NULL), 0);
}

static void leaves_a_stuck_job_behind(void **state)
{
    struct board *b = *state;

    assert_int_equal(srt_worker_post(b->worker, job_new(b, run_wait, 0)), 0);
    await(b, &b->entered, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(srt_worker_post(b->worker, job_new(b, run_note, i)), 0);
    assert_int_equal(srt_worker_end(b->worker, 30, drop), SECRETRT_ERR_TIMEOUT);
    assert_int_equal(b->dropped, 3);
    assert_int_equal(b->ran, 0);
    assert_int_equal(b->left, 0);
    open_gate(b); /* the thread frees the worker now: the leak checker would tell */
    await(b, &b->left, 1);
}

static void waits_for_a_job_that_ends_in_time(void **state)
{
    struct board *b = *state;

    assert_int_equal(srt_worker_post(b->worker, job_new(b, run_wait, 0)), 0);
    assert_int_equal(srt_worker_post(b->worker, job_new(b, run_note, 0)), 0);
    open_gate(b);
    assert_int_equal(srt_worker_end(b->worker, 20000, drop), 0);
    assert_int_equal(b->left, 1);
    assert_int_equal(b->ran, 1);
}

static void ends_on_its_own_thread(void **state)
{
    struct board *b = *state;

    assert_int_equal(srt_worker_post(b->worker, job_new(b, run_end, 0)), 0);
    open_gate(b);
    await(b, &b->left, 1);
    assert_int_equal(b->order[0], 0);
}

static void holds_what_would_be_queued(void **state)
{
    struct board *b = *state;

    srt_worker_hold(b->worker);
    srt_worker_release(b->worker);
    assert_int_equal(srt_worker_post(b->worker, job_new(b, run_note, 0)), 0);
    assert_int_equal(srt_worker_end(b->worker, 20000, NULL), 0);
    assert_int_equal(b->ran, 1);
}

#define WORKER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORKER_TEST(runs_jobs_in_order),
        WORKER_TEST(runs_what_is_queued_before_it_ends),
        WORKER_TEST(ends_without_ever_a_job),
        WORKER_TEST(tells_how_long_it_is_busy),
        WORKER_TEST(leaves_a_stuck_job_behind),
        WORKER_TEST(waits_for_a_job_that_ends_in_time),
        WORKER_TEST(ends_on_its_own_thread),
        WORKER_TEST(holds_what_would_be_queued),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
