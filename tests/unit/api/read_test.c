#include "api.h"
#include "support/vault.h"
#include <fcntl.h>

/* ---- reading ---- */

static void borrows_nest(void **state)
{
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_secret *secret = api_secret(client, "db");
    const struct secretrt_value *outer = NULL;
    const struct secretrt_value *inner = NULL;
    struct secretrt_value *kept;
    struct secretrt_error err;

    (void)state;
    assert_int_equal(secretrt_secret_borrow(&outer, secret, &err), 0);
    assert_int_equal(err.status, 0);
    assert_string_equal(err.message, "");
    assert_int_equal(secretrt_secret_borrow(&inner, secret, &err), 0);
    assert_ptr_equal(outer, inner);
    secretrt_value_return(inner);
    assert_string_equal(secretrt_value_field(outer, "username", NULL), "user-0");
    kept = secretrt_value_ref(outer);
    secretrt_value_return(outer);
    assert_string_equal(secretrt_value_field(kept, "password", NULL), "CANARY-0");
    assert_null(secretrt_value_text(kept)); /* two fields */
    assert_null(secretrt_value_field(kept, "other", NULL));
    assert_int_equal(secretrt_value_is_current(kept), 1);
    assert_true(secretrt_value_left_ms(kept) == INT64_MAX);
    assert_int_equal(secretrt_value_info(kept)->tier, 4);
    assert_true(secretrt_value_info(kept)->flags & SECRETRT_VALUE_DEPRECATED);
    secretrt_value_unref(kept);
    secretrt_secret_close(secret);
    secretrt_close(client);
}

static void walks_the_fields(void **state)
{
    static const char *const names[] = {"password", "username"};
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_value *value = NULL;
    struct secretrt_field field;
    size_t i;

    (void)state;
    assert_int_equal(secretrt_read(&value, client, "db", NULL), 0);
    for (i = 0; secretrt_value_at(&field, value, i) == 0; i++) {
        assert_string_equal(field.name, names[i]);
        assert_int_equal(strlen(field.data), field.len);
    }
    assert_int_equal(i, 2);
    assert_int_equal(secretrt_value_at(&field, value, i), SECRETRT_ERR_NOT_FOUND);
    secretrt_value_unref(value);
    secretrt_close(client);
}

static void reads_by_name(void **state)
{
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_value *value = NULL;
    struct secretrt_error err;

    (void)state;
    assert_int_equal(secretrt_read(&value, client, "db#password", &err), 0);
    assert_string_equal(secretrt_value_text(value), "CANARY-0");
    assert_string_equal(secretrt_value_info(value)->name, "db#password");
    secretrt_value_unref(value);
    assert_int_equal(secretrt_read(&value, client, "env://API_ONE", &err), 0);
    assert_string_equal(secretrt_value_text(value), "CANARY-one");
    secretrt_value_unref(value);
    assert_int_equal(secretrt_read(&value, client, "db#nothing", &err),
                     SECRETRT_ERR_NO_FIELD);
    assert_null(value);
    assert_int_equal(secretrt_read(&value, client, "bd", &err), SECRETRT_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "bd"));
    assert_int_equal(secretrt_read(&value, client, "gone", &err), SECRETRT_ERR_CONFIG);
    assert_non_null(strstr(err.message, "API_GONE"));
    secretrt_close(client);
}

static void reads_many(void **state)
{
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_item items[] = {{.name = "db"},
                                    {.name = "gone"},
                                    {.name = NULL},
                                    {.name = "one"},
                                    {.name = "bd"}};
    struct secretrt_error err;

    (void)state;
    call.flags = SECRETRT_CALL_FRESH;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            secretrt_read_many(items, 5, client, i == 0 ? NULL : &call, &err),
            SECRETRT_ERR_CONFIG);
        assert_non_null(strstr(err.message, "API_GONE")); /* the first failure's */
        assert_int_equal(items[0].status, 0);
        assert_string_equal(secretrt_value_field(items[0].value, "username", NULL),
                            "user-0");
        assert_int_equal(items[1].status, SECRETRT_ERR_CONFIG);
        assert_null(items[1].value);
        assert_int_equal(items[2].status, SECRETRT_ERR_INVALID);
        assert_int_equal(items[3].status, 0);
        assert_string_equal(secretrt_value_text(items[3].value), "CANARY-one");
        assert_int_equal(items[4].status, SECRETRT_ERR_NOT_FOUND);
        secretrt_value_unref(items[0].value);
        secretrt_value_unref(items[3].value);
    }
    secretrt_close(client);
}

/* ---- waiting ---- */

static void does_not_wait_when_told_so(void **state)
{
    struct vault *v = vault_new(60);
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct secretrt_call call = SECRETRT_CALL_INIT;
    const struct secretrt_value *borrowed = NULL;
    struct secretrt_value *value = NULL;
    struct secretrt_client *client;
    struct secretrt_secret *secret;
    struct secretrt_event event;

    (void)state;
    vault_hold(v);
    options.flags = SECRETRT_OPEN_NOWAIT;
    client = api_open_with(v->config, &options);
    secret = api_secret(client, "db");
    assert_int_equal(secretrt_secret_read(&value, secret, NULL), SECRETRT_ERR_PENDING);
    assert_int_equal(secretrt_secret_borrow(&borrowed, secret, NULL),
                     SECRETRT_ERR_PENDING);
    assert_int_equal(secretrt_read(&value, client, "db", NULL), SECRETRT_ERR_PENDING);
    assert_false(api_readable(secretrt_event_fd(client)));
    vault_release(v);
    {
        struct pollfd p = {.fd = secretrt_event_fd(client), .events = POLLIN};

        assert_int_equal(poll(&p, 1, API_PATIENCE_MS), 1);
    }
    event = api_event(client, SECRETRT_EVENT_READY);
    assert_ptr_equal(event.secret, secret);
    assert_int_equal(secretrt_secret_borrow(&borrowed, secret, NULL), 0);
    secretrt_value_return(borrowed);
    call.flags = SECRETRT_CALL_FRESH | SECRETRT_CALL_NOWAIT;
    assert_int_equal(secretrt_secret_read_with(&value, secret, &call, NULL),
                     SECRETRT_ERR_PENDING);
    (void)api_event(client, SECRETRT_EVENT_RELOAD);
    secretrt_secret_close(secret);
    secretrt_close(client);
    vault_free(v);
}

static void waits_in_spite_of_it_when_a_call_says_how_long(void **state)
{
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_value *value = NULL;
    struct secretrt_client *client;
    struct secretrt_secret *secret;

    (void)state;
    options.flags = SECRETRT_OPEN_NOWAIT;
    client = api_open_with(API_CONFIG, &options);
    secret = api_secret(client, "db");
    call.timeout_ms = API_PATIENCE_MS;
    assert_int_equal(secretrt_secret_read_with(&value, secret, &call, NULL), 0);
    secretrt_value_unref(value);
    secretrt_secret_close(secret);
    secretrt_close(client);
}

/* Who asked without waiting hears of "no change" too. */
static void an_unchanged_answer_is_an_event(void **state)
{
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_secret *secret = api_secret(client, "one");
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_value *value = api_read(secret);
    struct secretrt_value *other = NULL;
    struct secretrt_event event;

    (void)state;
    (void)api_event(client, SECRETRT_EVENT_READY);
    call.flags = SECRETRT_CALL_FRESH | SECRETRT_CALL_NOWAIT;
    for (int i = 0; i < 2; i++) {
        int rc = i == 0 ? secretrt_secret_read_with(&other, secret, &call, NULL)
                        : secretrt_secret_reject_with(&other, secret, value, 401, &call,
                                                      NULL);

        assert_int_equal(rc, SECRETRT_ERR_PENDING);
        event = api_event(client, SECRETRT_EVENT_FAILED);
        assert_int_equal(event.status, SECRETRT_ERR_UNCHANGED);
        assert_int_equal(event.generation, 1);
        assert_true(event.left_ms == INT64_MAX);
        call.flags = SECRETRT_CALL_NOWAIT;
    }
    secretrt_value_unref(value);
    secretrt_secret_close(secret);
    secretrt_close(client);
}

struct reader {
    struct secretrt_client *client;
    struct secretrt_secret *secret;
    struct secretrt_call call;
    struct secretrt_value *value;
    struct secretrt_error err;
};

static void *read_with(void *arg)
{
    struct reader *reader = arg;

    (void)!secretrt_secret_read_with(&reader->value, reader->secret, &reader->call,
                                     &reader->err);
    return NULL;
}

static void cancels_before_and_during(void **state)
{
    struct vault *v = vault_new(60);
    struct secretrt_client *client = api_open(v->config);
    struct reader reader = {.client = client, .call = SECRETRT_CALL_INIT};
    struct secretrt_item items[] = {{.name = "db"}, {.name = "db#password"}};
    pthread_t thread;

    (void)state;
    vault_hold(v);
    reader.secret = api_secret(client, "db");
    secretrt_cancel(client, &reader.call);
    (void)read_with(&reader);
    assert_int_equal(reader.err.status, SECRETRT_ERR_CANCELLED);
    assert_int_equal(secretrt_read_many(items, 2, client, &reader.call, NULL),
                     SECRETRT_ERR_CANCELLED);
    assert_int_equal(items[1].status, SECRETRT_ERR_CANCELLED);

    reader.call = (struct secretrt_call)SECRETRT_CALL_INIT;
    thread = api_thread(read_with, &reader);
    vault_await(v, VAULT_READ, 1);
    secretrt_cancel(client, &reader.call);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.err.status, SECRETRT_ERR_CANCELLED);
    assert_null(reader.value);

    vault_release(v); /* the shared fetch went on */
    reader.call = (struct secretrt_call)SECRETRT_CALL_INIT;
    (void)read_with(&reader);
    assert_int_equal(reader.err.status, 0);
    assert_string_equal(secretrt_value_field(reader.value, "username", NULL), "user-1");
    secretrt_cancel(client, &reader.call); /* what need not wait is not ended */
    secretrt_value_unref(reader.value);
    (void)read_with(&reader);
    assert_int_equal(reader.err.status, 0);
    secretrt_value_unref(reader.value);
    secretrt_secret_close(reader.secret);
    secretrt_close(client);
    assert_int_equal(vault_count(v, VAULT_READ), 1);
    vault_free(v);
}

static void times_out_and_the_fetch_goes_on(void **state)
{
    struct vault *v = vault_new(60);
    struct secretrt_client *client = api_open(v->config);
    struct reader reader = {.client = client, .call = SECRETRT_CALL_INIT};
    int64_t begun_ms = api_now_ms();

    (void)state;
    vault_hold(v);
    reader.secret = api_secret(client, "db");
    reader.call.timeout_ms = 50;
    (void)read_with(&reader);
    assert_int_equal(reader.err.status, SECRETRT_ERR_TIMEOUT);
    assert_int_equal(reader.err.retryable, 1);
    assert_true(api_now_ms() - begun_ms >= 50);
    vault_release(v);
    reader.call.timeout_ms = API_PATIENCE_MS;
    (void)read_with(&reader);
    assert_int_equal(reader.err.status, 0);
    secretrt_value_unref(reader.value);
    secretrt_secret_close(reader.secret);
    secretrt_close(client);
    vault_free(v);
}

/* ---- failures ---- */

static void a_definite_failure_is_answered_at_once(void **state)
{
    struct vault *v = vault_new(60);
    struct secretrt_client *client = api_open(v->config);
    struct reader reader = {.client = client, .call = SECRETRT_CALL_INIT};
    int64_t begun_ms = api_now_ms();

    (void)state;
    vault_answer(v, 404);
    reader.secret = api_secret(client, "db");
    reader.call.timeout_ms = 60000;
    (void)read_with(&reader);
    assert_int_equal(reader.err.status, SECRETRT_ERR_NOT_FOUND);
    (void)read_with(&reader);
    assert_int_equal(reader.err.status, SECRETRT_ERR_NOT_FOUND);
    assert_true(api_now_ms() - begun_ms < 30000);
    secretrt_secret_close(reader.secret);
    secretrt_close(client);
    vault_free(v);
}

static void a_passing_failure_is_tried_again(void **state)
{
    struct vault *v = vault_new(60);
    struct secretrt_client *client = api_open(v->config);
    struct reader reader = {.client = client, .call = SECRETRT_CALL_INIT};
    pthread_t thread;

    (void)state;
    vault_answer(v, 503);
    reader.secret = api_secret(client, "db");
    reader.call.timeout_ms = 100;
    do
        (void)read_with(&reader);
    while (reader.err.status == SECRETRT_ERR_TIMEOUT); /* no answer at all yet */
    assert_int_equal(reader.err.status, SECRETRT_ERR_UNAVAILABLE);
    reader.call.timeout_ms = API_PATIENCE_MS;
    thread = api_thread(read_with, &reader);
    vault_await(v, VAULT_READ, 2);
    vault_answer(v, 200);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.err.status, 0);
    secretrt_value_unref(reader.value);
    secretrt_secret_close(reader.secret);
    secretrt_close(client);
    vault_free(v);
}

/* The store is away: the value serves to its end, and not a moment longer. */
static void an_expired_value_is_never_served(void **state)
{
    struct vault *v = vault_new(1);
    struct secretrt_client *client = api_open(v->config);
    struct secretrt_secret *secret = api_secret(client, "db");
    struct secretrt_value *first = api_read(secret);
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_value *value = NULL;
    struct secretrt_error err;
    int rc;

    (void)state;
    vault_answer(v, 503);
    pthread_mutex_lock(&v->lock);
    v->renews_s = 0;
    pthread_mutex_unlock(&v->lock);
    call.timeout_ms = 20;
    do {
        rc = secretrt_secret_read_with(&value, secret, &call, &err);
        if (rc == 0)
            assert_true(secretrt_value_left_ms(value) >= 0);
        secretrt_value_unref(value);
    } while (rc == 0);
    assert_true(rc == SECRETRT_ERR_EXPIRED || rc == SECRETRT_ERR_TIMEOUT ||
                rc == SECRETRT_ERR_UNAVAILABLE);
    assert_int_equal(secretrt_value_left_ms(first), 0);
    assert_int_equal(secretrt_value_is_current(first), 0);
    assert_int_equal(*secretrt_secret_generation(secret), 0);
    (void)api_event(client, SECRETRT_EVENT_EXPIRED);
    call.timeout_ms = 500;
    assert_int_equal(secretrt_secret_read_with(&value, secret, &call, &err),
                     SECRETRT_ERR_EXPIRED);
    assert_string_equal(secretrt_value_field(first, "username", NULL), "user-1");
    secretrt_value_unref(first);
    secretrt_secret_close(secret);
    secretrt_close(client);
    vault_free(v);
}

/* ---- refreshing ---- */

static void refreshes_what_is_managed(void **state)
{
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_secret *secret = api_secret(client, "one");
    const uint64_t *generation = secretrt_secret_generation(secret);
    struct secretrt_value *value = api_read(secret);
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_event event;
    struct secretrt_error err;

    (void)state;
    secretrt_value_unref(value);
    assert_int_equal(__atomic_load_n(generation, __ATOMIC_ACQUIRE), 1);
    (void)setenv("API_ONE", "CANARY-two", 1);
    assert_int_equal(secretrt_refresh(client, "one", &err), 0);
    event = api_event(client, SECRETRT_EVENT_RELOAD);
    assert_int_equal(event.generation, 2);
    assert_int_equal(event.old_generation, 1);
    assert_true(event.left_ms > 0);
    assert_int_equal(__atomic_load_n(generation, __ATOMIC_ACQUIRE), 2);
    (void)setenv("API_ONE", "CANARY-three", 1);
    assert_int_equal(secretrt_refresh(client, NULL, &err), 0);
    event = api_event(client, SECRETRT_EVENT_RELOAD);
    (void)setenv("API_ONE", "CANARY-four", 1);
    call.flags = SECRETRT_CALL_FRESH;
    assert_int_equal(secretrt_secret_read_with(&value, secret, &call, &err), 0);
    assert_string_equal(secretrt_value_text(value), "CANARY-four");
    secretrt_value_unref(value);
    assert_int_equal(secretrt_refresh(client, "db", &err), SECRETRT_ERR_NOT_FOUND);
    (void)setenv("API_ONE", "CANARY-one", 1);
    secretrt_secret_close(secret);
    secretrt_close(client);
}

/* A fresh read asks the store although its last answer was a definite one. */
static void a_fresh_read_asks_again(void **state)
{
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_secret *secret = api_secret(client, "gone");
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_value *value = NULL;

    (void)state;
    assert_int_equal(secretrt_secret_read(&value, secret, NULL), SECRETRT_ERR_CONFIG);
    (void)setenv("API_GONE", "CANARY-back", 1);
    call.flags = SECRETRT_CALL_FRESH;
    assert_int_equal(secretrt_secret_read_with(&value, secret, &call, NULL), 0);
    assert_string_equal(secretrt_value_text(value), "CANARY-back");
    secretrt_value_unref(value);
    (void)unsetenv("API_GONE");
    secretrt_secret_close(secret);
    secretrt_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(borrows_nest),
        cmocka_unit_test(walks_the_fields),
        cmocka_unit_test(reads_by_name),
        cmocka_unit_test(reads_many),
        cmocka_unit_test(does_not_wait_when_told_so),
        cmocka_unit_test(waits_in_spite_of_it_when_a_call_says_how_long),
        cmocka_unit_test(an_unchanged_answer_is_an_event),
        cmocka_unit_test(cancels_before_and_during),
        cmocka_unit_test(times_out_and_the_fetch_goes_on),
        cmocka_unit_test(a_definite_failure_is_answered_at_once),
        cmocka_unit_test(a_passing_failure_is_tried_again),
        cmocka_unit_test(an_expired_value_is_never_served),
        cmocka_unit_test(refreshes_what_is_managed),
        cmocka_unit_test(a_fresh_read_asks_again),
    };

    api_environment();
    return cmocka_run_group_tests_name("api read", tests, NULL, NULL);
}
