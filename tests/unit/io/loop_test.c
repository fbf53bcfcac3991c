/* The loop itself: what wakes it, what does not, and how it is held. */
#include "io/clock.h"
#include "rig.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#define IDLE_MS 2000

static int setup(void **state)
{
    *state = rig_start();
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static void *wake_thread(void *arg)
{
    struct rig *rig = arg;

    srt_loop_wake(rig->loop);
    return NULL;
}

static void another_thread_wakes_it(void **state)
{
    struct rig *rig = *state;

    rig_await_turns(rig, 1);
    for (int i = 0; i < 50; i++) {
        int turns = rig_turns(rig);
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, wake_thread, rig), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        rig_await_turns(rig, turns + 1);
    }
}

static void set_next(struct rig *rig, int64_t next_ms)
{
    srt_lock_take(&rig->lock);
    rig->next_ms = next_ms;
    srt_lock_give(&rig->lock);
}

static int64_t turned_at_ms(struct rig *rig)
{
    int64_t at_ms;

    srt_lock_take(&rig->lock);
    at_ms = rig->turned_at_ms;
    srt_lock_give(&rig->lock);
    return at_ms;
}

static void turns_at_its_deadline(void **state)
{
    struct rig *rig = *state;

    rig_await_turns(rig, 1);
    for (int i = 0; i < 3; i++) {
        int64_t at_ms = srt_clock_boot_ms() + 60;
        int turns = rig_turns(rig);

        set_next(rig, at_ms);
        srt_loop_wake(rig->loop);
        rig_await_turns(rig, turns + 2); /* the wake-up's, and the deadline's */
        assert_in_range(turned_at_ms(rig), at_ms, at_ms + 5000);
    }
}

static void a_deadline_that_is_over_is_not_waited_for(void **state)
{
    struct rig *rig = *state;
    int turns;

    rig_await_turns(rig, 1);
    turns = rig_turns(rig);
    srt_lock_take(&rig->lock);
    rig->answers_the_past = 1;
    srt_lock_give(&rig->lock);
    srt_loop_wake(rig->loop);
    rig_await_turns(rig, turns + 2);
}

/* Voluntary context switches of the thread named so: it slept and was woken. */
static long switches_of(const char *name)
{
    struct dirent *entry;
    long switches = -1;
    DIR *tasks = opendir("/proc/self/task");

    assert_non_null(tasks);
    while ((entry = readdir(tasks)) != NULL) {
        char path[300];
        char line[128];
        int found = 0;
        FILE *status;

        (void)snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
        status = fopen(path, "re");
        while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
            if (strncmp(line, "Name:", 5) == 0)
                found = strncmp(line + 6, name, strlen(name)) == 0 &&
                        line[6 + strlen(name)] == '\n';
            if (found && strncmp(line, "voluntary_ctxt_switches:", 24) == 0)
                switches = strtol(line + 24, NULL, 10);
        }
        if (status != NULL)
            (void)fclose(status);
    }
    (void)closedir(tasks);
    return switches;
}

static void let_pass(struct rig *rig, int64_t ms)
{
    int64_t until_ms = srt_mono_ms() + ms;

    srt_lock_take(&rig->lock);
    while (srt_cond_wait_until(&rig->cond, &rig->lock, until_ms))
        continue;
    srt_lock_give(&rig->lock);
}

static void an_idle_loop_is_not_woken(void **state)
{
    struct rig *rig = *state;
    int turns;
    long switches;

    rig_await_turns(rig, 1);
    set_next(rig, srt_clock_boot_ms() + 3600000);
    srt_loop_wake(rig->loop);
    rig_await_turns(rig, 2);
    let_pass(rig, 200); /* until it sleeps */
    turns = rig_turns(rig);
    switches = switches_of("secretrt");
    assert_true(switches > 0);
    let_pass(rig, IDLE_MS);
    assert_int_equal(rig_turns(rig), turns);
    assert_int_equal(switches_of("secretrt"), switches);
}

struct posted {
    struct srt_job job;
    struct rig *rig;
    int ran;
    int signals_blocked;
};

static void posted_run(struct srt_job *job)
{
    struct posted *posted = SRT_CONTAINER(job, struct posted, job);
    sigset_t blocked;

    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    srt_lock_take(&posted->rig->lock);
    posted->signals_blocked =
        sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGPIPE) == 1;
    posted->ran = posted->rig->turns + 1;
    srt_cond_signal_all(&posted->rig->cond);
    srt_lock_give(&posted->rig->lock);
}

static void runs_what_is_posted_before_the_turn(void **state)
{
    struct rig *rig = *state;
    struct posted posted = {.rig = rig, .job = {.run = posted_run}};
    int turns;

    rig_await_turns(rig, 1);
    turns = rig_turns(rig);
    srt_loop_post(rig->loop, &posted.job);
    rig_await_turns(rig, turns + 1);
    assert_int_equal(posted.ran, turns + 1);
    assert_int_equal(posted.signals_blocked, 1);
}

static void a_held_loop_makes_no_turn_and_loses_no_wake_up(void **state)
{
    struct rig *rig = *state;

    for (int i = 0; i < 20; i++) {
        int turns;

        srt_loop_wake(rig->loop);
        srt_loop_hold(rig->loop);
        turns = rig_turns(rig);
        srt_loop_wake(rig->loop);
        assert_int_equal(rig_turns(rig), turns);
        srt_loop_release(rig->loop);
        rig_await_turns(rig, turns + 1);
    }
}

static int inherited(void)
{
    int n = 0;

    for (int fd = 3; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);

        n += flags >= 0 && (flags & FD_CLOEXEC) == 0;
    }
    return n;
}

static void every_descriptor_is_closed_on_exec(void **state)
{
    int before = inherited();
    struct rig *rig = rig_start();

    (void)state;
    rig_await_turns(rig, 1);
    assert_int_equal(inherited(), before);
    rig_free(rig);
}

static void stops_twice_and_is_freed_unstarted(void **state)
{
    struct rig *rig = rig_new();
    struct fetch *fetch = fetch_new(rig, SRT_REQUEST_ENVIRONMENT, "HOME");
    const struct srt_env *env = srt_loop_env(rig->loop);

    (void)state;
    assert_int_equal(env->send(env->self, &fetch->transfer), 0);
    assert_int_equal(env->send(env->self, &fetch->transfer), SECRETRT_ERR_INVALID);
    srt_loop_stop(rig->loop);
    srt_loop_stop(rig->loop);
    env->abort(env->self, &fetch->transfer);
    env->abort(env->self, &fetch->transfer);
    fetch_free(fetch);
    rig_free(rig);
    srt_loop_free(NULL);
}

static void takes_nothing_after_its_end(void **state)
{
    struct rig *rig = rig_start();
    struct fetch *fetch = fetch_new(rig, SRT_REQUEST_ENVIRONMENT, "HOME");
    const struct srt_env *env = srt_loop_env(rig->loop);

    (void)state;
    srt_loop_stop(rig->loop);
    assert_int_equal(env->send(env->self, &fetch->transfer), SECRETRT_ERR_CLOSED);
    fetch_free(fetch);
    rig_free(rig);
}

static void random_and_clocks(void **state)
{
    struct rig *rig = *state;
    const struct srt_env *env = srt_loop_env(rig->loop);
    unsigned char a[32] = {0};
    unsigned char b[32] = {0};
    int64_t boot_ms = env->boot_ms(env->self);

    env->random(env->self, a, sizeof(a));
    env->random(env->self, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    assert_true(boot_ms > 0 && env->boot_ms(env->self) >= boot_ms);
    assert_true(env->wall_ms(env->self) > 1700000000000);
    assert_int_equal(srt_loop_hygiene(rig->loop), 1); /* of the libcurl tested with */
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(another_thread_wakes_it),
        LOOP_TEST(turns_at_its_deadline),
        LOOP_TEST(a_deadline_that_is_over_is_not_waited_for),
        LOOP_TEST(an_idle_loop_is_not_woken),
        LOOP_TEST(runs_what_is_posted_before_the_turn),
        LOOP_TEST(a_held_loop_makes_no_turn_and_loses_no_wake_up),
        cmocka_unit_test(every_descriptor_is_closed_on_exec),
        LOOP_TEST(random_and_clocks),
        cmocka_unit_test(stops_twice_and_is_freed_unstarted),
        cmocka_unit_test(takes_nothing_after_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
