#include "api.h"
#include "support/vault.h"

#define THREADS 100

struct rejecter {
    struct secretrt_secret *secret;
    const struct secretrt_value *refused;
    struct api_gate *start;
    pthread_t thread;
    uint64_t generation;
    int status;
};

static void *reject(void *arg)
{
    struct rejecter *rejecter = arg;
    struct secretrt_value *newer = NULL;

    api_await(rejecter->start, 1);
    rejecter->status =
        secretrt_secret_reject(&newer, rejecter->secret, rejecter->refused, 401, NULL);
    rejecter->generation = secretrt_value_info(newer)->generation;
    secretrt_value_unref(newer);
    return NULL;
}

static void a_hundred_rejections_are_one_fetch(void **state)
{
    static struct rejecter rejecter[THREADS];
    struct api_gate start = API_GATE_INIT;
    struct vault *v = vault_new(60);
    struct secretrt_client *client = api_open(v->config);
    struct secretrt_secret *secret = api_secret(client, "db");
    struct secretrt_value *value = api_read(secret);
    struct secretrt_value *newer = NULL;

    (void)state;
    for (size_t i = 0; i < THREADS; i++) {
        rejecter[i] = (struct rejecter){
            .secret = secret, .refused = value, .start = &start, .status = 1};
        rejecter[i].thread = api_thread(reject, &rejecter[i]);
    }
    api_pass(&start);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(rejecter[i].thread, NULL), 0);
        assert_int_equal(rejecter[i].status, 0);
        assert_int_equal(rejecter[i].generation, 2);
    }
    assert_int_equal(vault_count(v, VAULT_READ), 2);

    /* the old one again: the newer is there already */
    assert_int_equal(secretrt_secret_reject(&newer, secret, value, 401, NULL), 0);
    assert_int_equal(secretrt_value_info(newer)->generation, 2);
    assert_int_equal(vault_count(v, VAULT_READ), 2);
    secretrt_value_unref(newer);
    secretrt_value_unref(value);
    secretrt_secret_close(secret);
    secretrt_close(client);
    vault_free(v);
}

static void reports_without_waiting(void **state)
{
    struct vault *v = vault_new(60);
    struct secretrt_client *client = api_open(v->config);
    struct secretrt_secret *secret = api_secret(client, "db");
    struct secretrt_value *value = api_read(secret);
    struct secretrt_event event;

    (void)state;
    assert_int_equal(secretrt_secret_reject(NULL, secret, value, 401, NULL), 0);
    event = api_event(client, SECRETRT_EVENT_RELOAD);
    assert_int_equal(event.generation, 2);
    assert_int_equal(secretrt_value_is_current(value), 0);
    assert_true(secretrt_value_left_ms(value) > 0); /* it drains */
    assert_int_equal(secretrt_secret_drained(secret, 1), 0);
    event = api_event(client, SECRETRT_EVENT_DRAINED);
    assert_int_equal(event.old_generation, 1);
    assert_int_equal(vault_count(v, VAULT_REVOKE), 1);
    secretrt_value_unref(value);
    secretrt_secret_close(secret);
    secretrt_close(client);
    vault_free(v);
}

static void another_secrets_value_is_a_mistake(void **state)
{
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_secret *secret = api_secret(client, "db");
    struct secretrt_secret *one = api_secret(client, "one");
    struct secretrt_value *value = api_read(one);
    struct secretrt_value *newer = value;

    (void)state;
    assert_int_equal(secretrt_secret_reject(&newer, secret, value, 401, NULL),
                     SECRETRT_ERR_INVALID);
    assert_null(newer);
    secretrt_value_unref(value);
    secretrt_secret_close(one);
    secretrt_secret_close(secret);
    secretrt_close(client);
}

static void a_static_store_has_nothing_newer(void **state)
{
    char path[] = "/tmp/secretrt-api-XXXXXX";
    char reference[64];
    int fd = mkstemp(path);
    struct secretrt_client *client = api_open("{}");
    struct secretrt_secret *secret;
    struct secretrt_value *value;
    struct secretrt_value *newer = NULL;
    struct secretrt_error err;

    (void)state;
    assert_int_equal(write(fd, "CANARY-file", 11), 11);
    (void)snprintf(reference, sizeof(reference), "file://%s", path);
    secret = api_secret(client, reference);
    value = api_read(secret);
    assert_string_equal(secretrt_value_text(value), "CANARY-file");
    assert_int_equal(secretrt_secret_reject(&newer, secret, value, 403, &err),
                     SECRETRT_ERR_UNCHANGED);
    assert_null(newer);
    assert_int_equal(secretrt_value_is_current(value), 1); /* it stays in service */
    assert_int_equal(pwrite(fd, "CANARY-next", 11, 0), 11);
    assert_int_equal(secretrt_refresh(client, reference, &err), 0);
    (void)api_event(client, SECRETRT_EVENT_RELOAD);
    assert_int_equal(secretrt_secret_reject(&newer, secret, value, 403, &err), 0);
    assert_string_equal(secretrt_value_text(newer), "CANARY-next");
    secretrt_value_unref(newer);
    secretrt_value_unref(value);
    secretrt_secret_close(secret);
    secretrt_close(client);
    (void)close(fd);
    (void)unlink(path);
}

/* A name that was closed and opened anew begins at generation 1 again. */
static void a_value_of_an_earlier_opening_is_an_old_one(void **state)
{
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_secret *secret = api_secret(client, "one");
    struct secretrt_value *old = api_read(secret);
    struct secretrt_value *newer = NULL;

    (void)state;
    secretrt_secret_close(secret);
    secret = api_secret(client, "one");
    secretrt_value_unref(api_read(secret));
    assert_int_equal(secretrt_secret_reject(&newer, secret, old, 401, NULL), 0);
    assert_int_equal(secretrt_value_is_current(newer), 1);
    secretrt_value_unref(newer);
    secretrt_value_unref(old);
    secretrt_secret_close(secret);
    secretrt_close(client);
}

static void a_denied_successor_is_said_at_once(void **state)
{
    struct vault *v = vault_new(60);
    struct secretrt_client *client = api_open(v->config);
    struct secretrt_secret *secret = api_secret(client, "db");
    struct secretrt_value *value = api_read(secret);
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_value *newer = NULL;
    struct secretrt_error err;

    (void)state;
    vault_answer(v, 404);
    call.timeout_ms = 60000;
    for (int i = 0; i < 2; i++) {
        int64_t begun_ms = api_now_ms();

        assert_int_equal(
            secretrt_secret_reject_with(&newer, secret, value, 401, &call, &err),
            SECRETRT_ERR_NOT_FOUND);
        assert_true(api_now_ms() - begun_ms < 15000);
        assert_int_equal(secretrt_value_is_current(value), 1);
    }
    secretrt_value_unref(value);
    secretrt_secret_close(secret);
    secretrt_close(client);
    vault_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_rejections_are_one_fetch),
        cmocka_unit_test(reports_without_waiting),
        cmocka_unit_test(another_secrets_value_is_a_mistake),
        cmocka_unit_test(a_static_store_has_nothing_newer),
        cmocka_unit_test(a_value_of_an_earlier_opening_is_an_old_one),
        cmocka_unit_test(a_denied_successor_is_said_at_once),
    };

    api_environment();
    return cmocka_run_group_tests_name("api reject", tests, NULL, NULL);
}
