/* Too little memory, too few descriptors: a status each time, no leak, no hang. */
#include "base/alloc.h"
#include "mem/arena.h"
#include "rig.h"
#include "support/server.h"
#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>

#define ALLOCATIONS_MAX 200

static atomic_int left; /* allocations until one fails; below 0: none will */

static void *alloc_scarce(size_t len, void *data)
{
    (void)data;
    return atomic_fetch_sub(&left, 1) == 1 ? NULL : malloc(len);
}

static void release_scarce(void *ptr, void *data)
{
    (void)data;
    free(ptr);
}

static int answer(struct server *server, struct server_request *request, int fd)
{
    (void)server;
    (void)request;
    server_answer(fd, "", "hello");
    return 1;
}

static int setup(void **state)
{
    static const struct srt_allocator scarce = {alloc_scarce, release_scarce, NULL};

    atomic_store(&left, -1);
    srt_allocator_set(&scarce);
    *state = server_new(answer, NULL);
    return 0;
}

static int teardown(void **state)
{
    server_free(*state);
    srt_allocator_set(NULL);
    return 0;
}

static void a_loop_is_made_or_not(void **state)
{
    int rc = SECRETRT_ERR_NOMEM;
    int n;

    (void)state;
    for (n = 1; rc == SECRETRT_ERR_NOMEM && n < ALLOCATIONS_MAX; n++) {
        struct srt_loop *loop = NULL;
        struct secretrt_error error = {.status = 0};

        atomic_store(&left, n);
        rc = srt_loop_new(&loop, &error);
        atomic_store(&left, -1);
        assert_true((rc == 0) == (loop != NULL));
        assert_int_equal(rc, error.status);
        srt_loop_free(loop);
    }
    assert_int_equal(rc, 0);
    assert_true(n > 2);
}

static struct fetch *fetch_of(struct rig *rig, struct server *server, int kind)
{
    struct fetch *fetch = NULL;

    switch (kind) {
    case 0:
        fetch = fetch_http(rig, "PUT", server->port, "/hello");
        srt_buf_text_add(&fetch->transfer.request.headers, "X-A: 1\n");
        srt_secbuf_text_add(&fetch->transfer.request.body, "{}");
        fetch->transfer.request.tls.ca_file = "/dev/null";
        break;
    case 1:
        fetch = fetch_new(rig, SRT_REQUEST_FILE, "/etc/passwd");
        break;
    default:
        fetch = fetch_new(rig, SRT_REQUEST_ENVIRONMENT, "PATH");
        break;
    }
    return fetch;
}

/* The nth allocation fails: 1 when it came to that. */
static int fails_once(struct server *server, int kind, int heap, int arena)
{
    struct rig *rig = rig_start();
    struct fetch *fetch = fetch_of(rig, server, kind);
    struct srt_reply *reply;
    int failed;

    rig_await_turns(rig, 1);
    fetch->job.run = fetch_run;
    atomic_store(&left, heap);
    srt_arena_fail_after((size_t)arena);
    srt_loop_post(rig->loop, &fetch->job);
    reply = fetch_await(fetch);
    srt_arena_fail_after(0);
    atomic_store(&left, -1);
    failed = fetch->rc == SECRETRT_ERR_NOMEM || reply->outcome == SRT_OUTCOME_NOMEM;
    if (!failed) {
        /* One that is not ours to report: a descriptor could not be noted. */
        if (reply->outcome != SRT_OUTCOME_UNREACHABLE)
            assert_int_equal(reply->outcome, SRT_OUTCOME_ANSWERED);
        failed = reply->outcome == SRT_OUTCOME_UNREACHABLE;
    }
    if (failed)
        assert_int_equal(reply->body.len, 0);
    fetch_free(fetch);
    rig_free(rig);
    return failed;
}

static void a_request_is_answered_or_told_to_have_failed(void **state)
{
    for (int kind = 0; kind < 3; kind++) {
        int n = 1;

        while (fails_once(*state, kind, n, 0))
            assert_true(n++ < ALLOCATIONS_MAX);
        assert_true(n > 1);
        n = 1;
        while (fails_once(*state, kind, -1, n))
            assert_true(n++ < ALLOCATIONS_MAX);
        assert_true(n > 1);
    }
}

static void without_descriptors(void **state)
{
    struct server *server = *state;
    struct rig *rig = rig_start();
    struct fetch *fetch = fetch_http(rig, "GET", server->port, "/hello");
    struct secretrt_error error = {.status = 0};
    struct srt_loop *loop = NULL;
    struct rlimit before;
    struct rlimit none;

    rig_await_turns(rig, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    (void)fetch_now(fetch);
    assert_int_equal(srt_loop_new(&loop, &error), SECRETRT_ERR_UNAVAILABLE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(error.os_errno, EMFILE);
    assert_int_equal(fetch->transfer.reply.outcome, SRT_OUTCOME_UNREACHABLE);
    assert_int_equal(fetch->transfer.reply.sent, 0);
    fetch->done = 0;
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_ANSWERED);
    fetch_free(fetch);
    rig_free(rig);
}

#define SCARCE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCARCE_TEST(a_loop_is_made_or_not),
        SCARCE_TEST(a_request_is_answered_or_told_to_have_failed),
        SCARCE_TEST(without_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
