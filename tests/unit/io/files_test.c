/* FILE and ENVIRONMENT requests, and a file system that hangs. */
#include "io/files.h"
#include "mem/arena.h"
#include "rig.h"
#include "support/server.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>

#define HANG "hang"

struct fixture {
    struct rig *rig;
    char dir[64];
};

/* The file system that hangs: every path that ends in "hang" and a digit, until the
 * gate opens. */
static struct srt_lock gate_lock = SRT_LOCK_INIT;
static struct srt_cond gate_cond;
static int gate_open;
static int gate_inside;

static void gate(const char *path)
{
    /* Of this thread only: the superuser has no permission to lack. */
    if (getuid() == 0)
        (void)setfsuid(strstr(path, "locked") != NULL ? 65534 : 0);
    if (strstr(path, HANG) == NULL)
        return;
    srt_lock_take(&gate_lock);
    gate_inside++;
    srt_cond_signal_all(&gate_cond);
    while (!gate_open)
        srt_cond_wait(&gate_cond, &gate_lock);
    gate_inside--;
    srt_cond_signal_all(&gate_cond);
    srt_lock_give(&gate_lock);
}

static void gate_await(int inside)
{
    int64_t until_ms = srt_mono_ms() + RIG_PATIENCE_MS;

    srt_lock_take(&gate_lock);
    while (gate_inside != inside)
        assert_true(srt_cond_wait_until(&gate_cond, &gate_lock, until_ms));
    srt_lock_give(&gate_lock);
}

static void gate_set(int open)
{
    srt_lock_take(&gate_lock);
    gate_open = open;
    srt_cond_signal_all(&gate_cond);
    srt_lock_give(&gate_lock);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/srt-files-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    gate_set(0);
    srt_files_before_open(gate);
    f->rig = rig_start();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    gate_set(1);
    gate_await(0);
    rig_free(f->rig);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static const char *path_of(const struct fixture *f, const char *name)
{
    static char path[160];

    (void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    return path;
}

static void write_file(const char *path, size_t len, mode_t mode)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    for (size_t i = 0; i < len; i++)
        assert_int_not_equal(fputc('a' + (int)(i % 26), file), EOF);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static struct fetch *fetch_file(struct fixture *f, const char *name)
{
    return fetch_new(f->rig, SRT_REQUEST_FILE, path_of(f, name));
}

static void expect(struct fixture *f, const char *name, enum srt_outcome outcome,
                   const char *detail)
{
    struct fetch *fetch = fetch_file(f, name);
    struct srt_reply *reply = fetch_now(fetch);

    assert_int_equal(reply->outcome, outcome);
    assert_string_equal(reply->detail, detail);
    assert_int_equal(reply->body.len, 0);
    fetch_free(fetch);
}

static void reads_a_file(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch;
    struct srt_reply *reply;

    write_file(path_of(f, "one"), 10000, 0640);
    assert_int_equal(symlink("one", path_of(f, "link")), 0);
    fetch = fetch_file(f, "link");
    reply = fetch_now(fetch);
    assert_int_equal(reply->outcome, SRT_OUTCOME_ANSWERED);
    assert_int_equal(reply->body.len, 10000);
    assert_memory_equal(reply->body.data + 26, "abcdefghij", 10);
    assert_true(srt_arena_owns(reply->body.data));
    assert_int_equal(reply->file_mode & 0777, 0640);
    assert_int_equal(reply->file_uid, getuid());
    fetch_free(fetch);
}

static void reads_an_empty_file(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch;

    write_file(path_of(f, "empty"), 0, 0600);
    fetch = fetch_file(f, "empty");
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_ANSWERED);
    assert_int_equal(fetch->transfer.reply.body.len, 0);
    fetch_free(fetch);
}

static void tells_what_is_no_file(void **state)
{
    struct fixture *f = *state;

    write_file(path_of(f, "file"), 1, 0600);
    assert_int_equal(mkfifo(path_of(f, "fifo"), 0600), 0);
    assert_int_equal(symlink("loop", path_of(f, "loop")), 0);
    expect(f, "none", SRT_OUTCOME_ABSENT, "no such file");
    expect(f, "file/below", SRT_OUTCOME_ABSENT, "no such file");
    expect(f, "fifo", SRT_OUTCOME_REFUSED, "not a regular file");
    expect(f, ".", SRT_OUTCOME_REFUSED, "not a regular file");
    expect(f, "../../dev/zero", SRT_OUTCOME_REFUSED, "not a regular file");
    expect(f, "loop", SRT_OUTCOME_REFUSED, "too many symbolic links");
}

static void tells_a_file_without_permission(void **state)
{
    struct fixture *f = *state;

    write_file(path_of(f, "locked"), 1, 0000);
    expect(f, "locked", SRT_OUTCOME_REFUSED, "permission denied");
}

static void keeps_to_the_ceiling_of_a_file(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch;

    write_file(path_of(f, "large"), 101, 0600);
    fetch = fetch_file(f, "large");
    fetch->transfer.request.max_len = 100;
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_TOO_LARGE);
    fetch_free(fetch);
    fetch = fetch_file(f, "large");
    fetch->transfer.request.max_len = 101;
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_ANSWERED);
    fetch_free(fetch);
    assert_int_equal(truncate(path_of(f, "large"), SRT_SECBUF_MAX + 1), 0);
    expect(f, "large", SRT_OUTCOME_TOO_LARGE, "file too large");
    /* One whose length is not told ahead. */
    fetch = fetch_new(f->rig, SRT_REQUEST_FILE, "/proc/self/maps");
    fetch->transfer.request.max_len = 100;
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_TOO_LARGE);
    fetch_free(fetch);
}

static void refuses_what_is_no_path(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch = fetch_new(f->rig, SRT_REQUEST_FILE, "");

    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_REFUSED);
    fetch_free(fetch);
    fetch = fetch_new(f->rig, SRT_REQUEST_FILE, "/etc/hostname");
    srt_buf_add(&fetch->transfer.request.target, "\0x", 2);
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_REFUSED);
    fetch_free(fetch);
}

static int answer(struct server *server, struct server_request *request, int fd)
{
    (void)server;
    (void)request;
    server_answer(fd, "", "hello");
    return 1;
}

static void a_file_system_that_hangs_holds_up_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct server *server = server_new(answer, NULL);
    struct fetch *stuck = fetch_file(f, "hang0");
    struct fetch *behind = fetch_file(f, "good");
    struct fetch *http = fetch_http(f->rig, "GET", server->port, "/");

    write_file(path_of(f, "good"), 5, 0600);
    stuck->transfer.request.timeout_ms = 200;
    fetch_begin(stuck);
    gate_await(1);
    fetch_begin(behind); /* waits for the same thread, until that is replaced */
    assert_int_equal(fetch_now(http)->outcome, SRT_OUTCOME_ANSWERED);
    assert_int_equal(fetch_await(stuck)->outcome, SRT_OUTCOME_TIMEOUT);
    assert_string_equal(stuck->transfer.reply.detail, "file system does not answer");
    assert_int_equal(fetch_await(behind)->outcome, SRT_OUTCOME_ANSWERED);
    fetch_free(stuck);
    fetch_free(behind);
    fetch_free(http);
    /* Not again at that very path, while it hangs. */
    expect(f, "hang0", SRT_OUTCOME_TIMEOUT, "file system does not answer");
    server_free(server);
}

static void a_path_works_again_after_it_hung(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch = fetch_file(f, "hang0");
    enum srt_outcome outcome = SRT_OUTCOME_TIMEOUT;
    int64_t until_ms = srt_mono_ms() + RIG_PATIENCE_MS;

    fetch->transfer.request.timeout_ms = 50;
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_TIMEOUT);
    fetch_free(fetch);
    gate_set(1);
    gate_await(0);
    while (outcome == SRT_OUTCOME_TIMEOUT && srt_mono_ms() < until_ms) {
        fetch = fetch_file(f, "hang0");
        outcome = fetch_now(fetch)->outcome;
        fetch_free(fetch);
    }
    assert_int_equal(outcome, SRT_OUTCOME_ABSENT);
}

static void at_most_four_threads_are_left_behind(void **state)
{
    struct fixture *f = *state;
    char name[] = HANG "0";

    for (int i = 0; i < 7; i++) {
        struct fetch *fetch;

        name[sizeof(name) - 2] = (char)('0' + i);
        fetch = fetch_file(f, name);
        fetch->transfer.request.timeout_ms = 50;
        assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_TIMEOUT);
        fetch_free(fetch);
    }
    gate_await(5); /* four left behind, one in use */
}

static void gives_a_reading_up(void **state)
{
    struct fixture *f = *state;
    struct fetch *stuck = fetch_file(f, "hang0");
    struct fetch *queued = fetch_file(f, "none");

    fetch_begin(stuck);
    gate_await(1);
    fetch_begin(queued);
    fetch_abort(queued);
    fetch_abort(stuck);
    assert_int_equal(stuck->times + queued->times, 0);
    fetch_free(stuck);
    fetch_free(queued);
}

/* The thread is left behind and frees what it holds once it goes on (see teardown). */
static void ends_while_a_reading_hangs(void **state)
{
    struct fixture *f = *state;
    struct fetch *stuck = fetch_file(f, "hang0");
    struct fetch *queued = fetch_file(f, "none");

    fetch_begin(stuck);
    gate_await(1);
    fetch_begin(queued);
    srt_loop_stop(f->rig->loop);
    assert_int_equal(stuck->times + queued->times, 0);
    fetch_free(stuck);
    fetch_free(queued);
}

static void reads_the_environment(void **state)
{
    struct fixture *f = *state;
    struct fetch *fetch = fetch_new(f->rig, SRT_REQUEST_ENVIRONMENT, "SRT_TEST_VALUE");

    assert_int_equal(setenv("SRT_TEST_VALUE", "value", 1), 0);
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_ANSWERED);
    assert_string_equal(srt_secbuf_text(&fetch->transfer.reply.body), "value");
    assert_true(srt_arena_owns(fetch->transfer.reply.body.data));
    fetch->done = 0;
    fetch->transfer.request.max_len = 4;
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_TOO_LARGE);
    assert_int_equal(unsetenv("SRT_TEST_VALUE"), 0);
    fetch->done = 0;
    assert_int_equal(fetch_now(fetch)->outcome, SRT_OUTCOME_ABSENT);
    assert_int_equal(fetch->transfer.reply.body.len, 0);
    fetch_free(fetch);
}

#define FILES_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILES_TEST(reads_a_file),
        FILES_TEST(reads_an_empty_file),
        FILES_TEST(tells_what_is_no_file),
        FILES_TEST(tells_a_file_without_permission),
        FILES_TEST(keeps_to_the_ceiling_of_a_file),
        FILES_TEST(refuses_what_is_no_path),
        FILES_TEST(a_file_system_that_hangs_holds_up_nothing_else),
        FILES_TEST(a_path_works_again_after_it_hung),
        FILES_TEST(at_most_four_threads_are_left_behind),
        FILES_TEST(gives_a_reading_up),
        FILES_TEST(ends_while_a_reading_hangs),
        FILES_TEST(reads_the_environment),
    };

    srt_cond_init(&gate_cond);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
