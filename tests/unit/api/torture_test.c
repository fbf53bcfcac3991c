#include "api.h"
#include "base/alloc.h"
#include "mem/arena.h"
#include <stdatomic.h>

#define TORTURE_MAX 3000
#define TORTURE_ARENA_MAX 40
#define TORTURE_WAIT_MS 250 /* a try that failed is tried again after a second */

/* Every thread of the library allocates: the Nth of them all fails. */
static atomic_size_t torture_calls;
static atomic_size_t torture_fails_at;

static void *torture_alloc(size_t len, void *data)
{
    (void)data;
    if (atomic_fetch_add(&torture_calls, 1) + 1 == atomic_load(&torture_fails_at))
        return NULL;
    return malloc(len);
}

static void torture_release(void *ptr, void *data)
{
    (void)data;
    free(ptr);
}

static void torture_at(size_t n)
{
    atomic_store(&torture_calls, 0);
    atomic_store(&torture_fails_at, n);
}

static int hook(const struct secretrt_audit_record *record, void *data)
{
    char line[SECRETRT_AUDIT_LINE_MAX];

    (void)data;
    (void)!secretrt_audit_json(line, sizeof(line), record);
    return 0;
}

static int verify(const struct secretrt_value *candidate, void *data)
{
    (void)candidate;
    (void)data;
    return 0;
}

static int on_event(const struct secretrt_event *event, void *data)
{
    (void)event;
    (void)data;
    return 0;
}

static void on_log(int level, const char *message, void *data)
{
    (void)level;
    (void)message;
    (void)data;
}

static void check(int rc, const struct secretrt_error *err)
{
    if (rc == 0 || rc == SECRETRT_ERR_NOMEM)
        return;
    fail_msg("allocation %zu: %s: %s", atomic_load(&torture_fails_at),
             secretrt_status_name(rc), err->message);
}

/* No answer yet, on a busy machine: there has to be one if it is waited for. */
static int read_it(struct secretrt_value **out, struct secretrt_secret *secret,
                   struct secretrt_error *err)
{
    struct secretrt_call call = SECRETRT_CALL_INIT;
    int rc = secretrt_secret_read(out, secret, err);

    call.timeout_ms = API_PATIENCE_MS;
    return rc == SECRETRT_ERR_TIMEOUT
               ? secretrt_secret_read_with(out, secret, &call, err)
               : rc;
}

static int reject_it(struct secretrt_value **out, struct secretrt_secret *secret,
                     const struct secretrt_value *refused, struct secretrt_error *err)
{
    struct secretrt_call call = SECRETRT_CALL_INIT;
    int rc = secretrt_secret_reject(out, secret, refused, 401, err);

    call.timeout_ms = API_PATIENCE_MS;
    if (rc == SECRETRT_ERR_TIMEOUT)
        rc = secretrt_secret_reject_with(out, secret, refused, 401, &call, err);
    return rc == SECRETRT_ERR_UNCHANGED ? 0 : rc;
}

static void use_secret(struct secretrt_client *client,
                       const struct secretrt_secret_options *options)
{
    struct secretrt_secret *secret = NULL;
    struct secretrt_value *value = NULL;
    struct secretrt_value *text = NULL;
    struct secretrt_value *newer = NULL;
    const struct secretrt_value *borrowed = NULL;
    struct secretrt_error err;
    int rc = secretrt_secret_open_with(&secret, client, "db", options, &err);

    check(rc, &err);
    if (rc != 0)
        return;
    rc = read_it(&value, secret, &err);
    check(rc, &err);
    if (rc == 0) {
        check(
            secretrt_value_format(&text, value, "{username|json}:{password|url}", &err),
            &err);
        rc = reject_it(&newer, secret, value, &err);
        check(rc, &err);
        rc = secretrt_secret_borrow(&borrowed, secret, &err);
        check(rc, &err);
        secretrt_value_return(borrowed);
    }
    secretrt_value_unref(newer);
    secretrt_value_unref(text);
    secretrt_value_unref(value);
    secretrt_secret_close(secret);
}

static void use_all(void)
{
    struct secretrt_secret_options secret = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_item item = {.name = "one"};
    struct secretrt_client *client = NULL;
    struct secretrt_error err;
    int rc;

    options.config = API_CONFIG;
    options.fetch_timeout_ms = TORTURE_WAIT_MS;
    options.audit = hook;
    options.log = on_log;
    rc = secretrt_open(&client, &options, &err);
    check(rc, &err);
    if (rc != 0)
        return;
    use_secret(client, NULL);
    secret.verify = verify;
    secret.on_event = on_event;
    use_secret(client, &secret);
    call.actor = "somebody";
    rc = secretrt_read_many(&item, 1, client, &call, &err);
    call.timeout_ms = API_PATIENCE_MS;
    if (rc == SECRETRT_ERR_TIMEOUT)
        rc = secretrt_read_many(&item, 1, client, &call, &err);
    check(rc, &err);
    secretrt_value_unref(item.value);
    secretrt_close(client);
}

static void survives_each_failing_allocation(void **state)
{
    size_t n = 0;

    (void)state;
    do {
        torture_at(++n);
        use_all();
        assert_true(n < TORTURE_MAX);
    } while (atomic_load(&torture_calls) >= n);
    torture_at(0);
    print_message("%zu allocations\n", n - 1);
}

static void survives_each_failing_block_of_the_arena(void **state)
{
    (void)state;
    for (size_t n = 1; n <= TORTURE_ARENA_MAX; n++) {
        srt_arena_fail_after(n);
        use_all();
    }
    srt_arena_fail_after(0);
}

int main(void)
{
    static const struct srt_allocator torture = {torture_alloc, torture_release, NULL};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_each_failing_allocation),
        cmocka_unit_test(survives_each_failing_block_of_the_arena),
    };

    srt_allocator_set(&torture);
    api_environment();
    return cmocka_run_group_tests_name("api torture", tests, NULL, NULL);
}
