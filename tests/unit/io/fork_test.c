/* fork: the parent's connections go on, the child gives its copies up silently and can
 * make a loop of its own. */
#include "io/files.h"
#include "mem/arena.h"
#include "rig.h"
#include "support/server.h"
#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    struct rig *rig;
    struct server *server;
};

static int answer(struct server *server, struct server_request *request, int fd)
{
    (void)server;
    if (strncmp(request->head, "GET /hang", 9) == 0) {
        server_hang(fd);
        return 0;
    }
    server_answer(fd, "", "hello");
    return 1;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->rig = rig_start();
    f->server = server_new(answer, f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    rig_free(f->rig);
    server_free(f->server);
    free(f);
    return 0;
}

static void fetch_hello(struct fixture *f)
{
    struct fetch *fetch = fetch_http(f->rig, "GET", f->server->port, "/hello");

    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_ANSWERED);
    fetch_free(fetch);
}

static int descriptors(void)
{
    DIR *open_ones = opendir("/proc/self/fd");
    int n = 0;

    while (open_ones != NULL && readdir(open_ones) != NULL)
        n++;
    (void)closedir(open_ones);
    return n;
}

/* As the library's own handlers do it. */
static pid_t fork_held(struct fixture *f)
{
    pid_t pid;

    srt_loop_hold(f->rig->loop);
    srt_arena_fork_prepare();
    pid = fork();
    if (pid == 0) {
        srt_arena_fork_child();
        return 0;
    }
    srt_arena_fork_parent();
    srt_loop_release(f->rig->loop);
    return pid;
}

static void expect_exit(pid_t pid, int code)
{
    int status = 0;

    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

/* 0: a loop of the child's own answers a request to the same server. */
static int child_fetches(struct fixture *f)
{
    struct rig *rig = rig_start();
    struct fetch *fetch = fetch_http(rig, "GET", f->server->port, "/hello");
    int ok = fetch_now(fetch)->outcome == SRT_OUTCOME_ANSWERED &&
             strcmp(srt_secbuf_text(&fetch->transfer.reply.body), "hello") == 0;

    fetch_free(fetch);
    rig_free(rig);
    return ok ? 0 : 1;
}

static void the_child_closes_its_copies_and_the_parent_goes_on(void **state)
{
    struct fixture *f = *state;
    int before = descriptors();
    int opened;
    pid_t pid;

    fetch_hello(f);
    opened = descriptors() - before; /* both ends: the server is in this process */
    assert_int_equal(opened, 2);
    pid = fork_held(f);
    if (pid == 0) {
        int held = descriptors();

        srt_loop_abandon(f->rig->loop);
        /* wake-up, two timers, curl's pair, one connection */
        _exit(held - descriptors() == 6 ? 0 : held - descriptors());
    }
    expect_exit(pid, 0);
    fetch_hello(f);
    assert_int_equal(server_connections(f->server), 1);
}

static void the_child_makes_a_loop_of_its_own(void **state)
{
    struct fixture *f = *state;
    pid_t pid;

#ifdef __SANITIZE_THREAD__
    skip(); /* it supports no thread in a forked child */
#endif
    fetch_hello(f);
    pid = fork_held(f);
    if (pid == 0) {
        (void)alarm(30);
        srt_loop_abandon(f->rig->loop);
        _exit(child_fetches(f));
    }
    expect_exit(pid, 0);
    fetch_hello(f);
    assert_int_equal(server_connections(f->server), 2);
}

static void a_request_in_flight_is_the_parents(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch = fetch_http(f->rig, "GET", f->server->port, "/hang");
    pid_t pid;

    fetch_begin(fetch);
    pthread_mutex_lock(&f->server->lock);
    while (f->server->requests == 0)
        pthread_cond_wait(&f->server->cond, &f->server->lock);
    pthread_mutex_unlock(&f->server->lock);
    pid = fork_held(f);
    if (pid == 0) {
        srt_loop_abandon(f->rig->loop);
        _exit(fetch->transfer.io == NULL ? 0 : 1);
    }
    expect_exit(pid, 0);
    assert_int_equal(fetch->times, 0);
    fetch_abort(fetch);
    fetch_free(fetch);
}

static struct srt_lock gate_lock = SRT_LOCK_INIT;
static struct srt_cond gate_cond;
static int gate_inside;
static int gate_open;

static void gate(const char *path)
{
    (void)path;
    srt_lock_take(&gate_lock);
    gate_inside = 1;
    srt_cond_signal_all(&gate_cond);
    while (!gate_open)
        srt_cond_wait(&gate_cond, &gate_lock);
    srt_lock_give(&gate_lock);
}

static void a_reading_under_way_is_the_parents(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch = fetch_new(f->rig, SRT_REQUEST_FILE, "/etc/hostname-not");
    pid_t pid;

    srt_files_before_open(gate);
    fetch_begin(fetch);
    srt_lock_take(&gate_lock);
    while (!gate_inside)
        srt_cond_wait(&gate_cond, &gate_lock);
    srt_lock_give(&gate_lock);
    pid = fork_held(f);
    if (pid == 0) {
        srt_loop_abandon(f->rig->loop);
        _exit(fetch->transfer.io == NULL ? 0 : 1);
    }
    expect_exit(pid, 0);
    srt_lock_take(&gate_lock);
    gate_open = 1;
    srt_cond_signal_all(&gate_cond);
    srt_lock_give(&gate_lock);
    assert_int_equal(fetch_await(fetch)->outcome, SRT_OUTCOME_ABSENT);
    fetch_free(fetch);
    srt_files_before_open(NULL);
}

/* Whatever the loop is doing at that moment. */
static void forks_amid_requests(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 30; i++) {
        struct fetch *fetch = fetch_http(f->rig, "GET", f->server->port, "/hello");
        pid_t pid;

        fetch_begin(fetch);
        pid = fork_held(f);
        if (pid == 0) {
            srt_loop_abandon(f->rig->loop);
            _exit(0);
        }
        expect_exit(pid, 0);
        assert_int_equal(fetch_await(fetch)->outcome, SRT_OUTCOME_ANSWERED);
        fetch_free(fetch);
    }
    assert_int_equal(server_connections(f->server), 1);
}

#define FORK_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FORK_TEST(the_child_closes_its_copies_and_the_parent_goes_on),
        FORK_TEST(the_child_makes_a_loop_of_its_own),
        FORK_TEST(a_request_in_flight_is_the_parents),
        FORK_TEST(a_reading_under_way_is_the_parents),
        FORK_TEST(forks_amid_requests),
    };

    srt_cond_init(&gate_cond);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
