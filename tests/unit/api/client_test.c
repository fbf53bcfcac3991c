#include "api.h"
#include "mem/arena.h"
#include "support/vault.h"
#include <time.h>

/* ---- options ---- */

static int open_status(const struct secretrt_options *options)
{
    struct secretrt_client *client = (struct secretrt_client *)(uintptr_t)16;
    struct secretrt_error err;
    int rc = secretrt_open(&client, options, &err);

    assert_int_equal(err.status, rc);
    if (rc != 0) {
        assert_null(client);
        assert_true(err.message[0] != '\0');
    }
    secretrt_close(client);
    return rc;
}

static void checks_the_options(void **state)
{
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;

    (void)state;
    assert_int_equal(open_status(NULL), 0);
    assert_int_equal(open_status(&options), 0);
    options.size = 0;
    assert_int_equal(open_status(&options), SECRETRT_ERR_INVALID);
    options.size = SIZE_MAX;
    assert_int_equal(open_status(&options), SECRETRT_ERR_INVALID);
    options.size = sizeof(options);
    options.flags = 2;
    assert_int_equal(open_status(&options), SECRETRT_ERR_INVALID);
    options.flags = 0;
    options.weakest_tier = 5;
    assert_int_equal(open_status(&options), SECRETRT_ERR_INVALID);
    options.weakest_tier = -1;
    assert_int_equal(open_status(&options), SECRETRT_ERR_INVALID);
    options.weakest_tier = 0;
    options.config = API_CONFIG;
    options.config_file = "/dev/null";
    assert_int_equal(open_status(&options), SECRETRT_ERR_INVALID);
    options.config = NULL;
    options.config_file = "";
    assert_int_equal(open_status(&options), SECRETRT_ERR_CONFIG);
    options.config_file = NULL;
    options.audit_fd = 9999;
    assert_int_equal(open_status(&options), SECRETRT_ERR_INVALID);
}

static void takes_older_and_newer_structs(void **state)
{
    struct {
        struct secretrt_options known;
        uint64_t unknown;
    } newer = {.known = SECRETRT_OPTIONS_INIT};
    struct {
        struct secretrt_call known;
        uint64_t unknown;
    } call = {.known = SECRETRT_CALL_INIT};
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_item item = {.name = "one"};

    (void)state;
    newer.known.size = sizeof(newer);
    assert_int_equal(open_status(&newer.known), 0);
    newer.unknown = 1;
    assert_int_equal(open_status(&newer.known), SECRETRT_ERR_UNSUPPORTED);
    newer.known.size = offsetof(struct secretrt_options, weakest_tier) + 4;
    assert_int_equal(open_status(&newer.known), 0);

    call.known.size = sizeof(call);
    assert_int_equal(secretrt_read_many(&item, 1, client, &call.known, NULL), 0);
    secretrt_value_unref(item.value);
    call.unknown = 1;
    assert_int_equal(secretrt_read_many(&item, 1, client, &call.known, NULL),
                     SECRETRT_ERR_UNSUPPORTED);
    assert_null(item.value);
    assert_int_equal(item.status, SECRETRT_ERR_UNSUPPORTED);
    call.known.size = 8;
    assert_int_equal(secretrt_read_many(&item, 1, client, &call.known, NULL),
                     SECRETRT_ERR_INVALID);
    call.known.size = sizeof(call.known);
    call.known.flags = 64;
    assert_int_equal(secretrt_read_many(&item, 1, client, &call.known, NULL),
                     SECRETRT_ERR_INVALID);
    secretrt_close(client);
}

static void checks_a_secrets_options(void **state)
{
    struct secretrt_secret_options options = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_secret *secret = NULL;
    struct secretrt_secret *other = NULL;
    struct secretrt_value *value = NULL;
    struct secretrt_error err;

    (void)state;
    secret = api_secret(client, "one");
    options.flags = 64; /* checked although the name is managed already */
    assert_int_equal(secretrt_secret_open_with(&other, client, "one", &options, &err),
                     SECRETRT_ERR_INVALID);
    assert_null(other);
    options.flags = 0;
    options.size = 0;
    assert_int_equal(secretrt_secret_open_with(&other, client, "one", &options, &err),
                     SECRETRT_ERR_INVALID);
    options.size = sizeof(options);
    options.fields = "value other"; /* holds for this handle, not for the first */
    assert_int_equal(secretrt_secret_open_with(&other, client, "one", &options, &err),
                     0);
    assert_int_equal(secretrt_secret_read(&value, other, &err), SECRETRT_ERR_NO_FIELD);
    value = api_read(secret);
    secretrt_value_unref(value);
    secretrt_secret_close(other);
    secretrt_secret_close(secret);
    secretrt_close(client);
}

/* ---- NULL ---- */

static void answers_null_to_null(void **state)
{
    struct secretrt_event event = SECRETRT_EVENT_INIT;
    struct secretrt_call call = SECRETRT_CALL_INIT;
    const struct secretrt_value *borrowed = NULL;
    struct secretrt_value *value = NULL;
    struct secretrt_secret *secret = NULL;
    struct secretrt_item item = {.name = NULL};
    struct secretrt_field field;
    char *text = NULL;
    size_t len = 7;

    (void)state;
    assert_int_equal(secretrt_open(NULL, NULL, NULL), SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_shutdown(NULL, 0, NULL), SECRETRT_ERR_INVALID);
    secretrt_close(NULL);
    secretrt_cancel(NULL, &call);
    assert_int_equal(secretrt_read(&value, NULL, "db", NULL), SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_read_many(&item, 1, NULL, NULL, NULL),
                     SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_refresh(NULL, NULL, NULL), SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_secret_open(&secret, NULL, "db", NULL),
                     SECRETRT_ERR_INVALID);
    secretrt_secret_close(NULL);
    assert_int_equal(secretrt_secret_read(&value, NULL, NULL), SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_secret_borrow(&borrowed, NULL, NULL),
                     SECRETRT_ERR_INVALID);
    secretrt_value_return(NULL);
    assert_int_equal(secretrt_secret_reject(&value, NULL, NULL, 401, NULL),
                     SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_secret_verdict(NULL, 1, 0, NULL), SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_secret_drained(NULL, 1), SECRETRT_ERR_INVALID);
    assert_null(secretrt_secret_generation(NULL));
    secretrt_secret_count(NULL, 1, 1);
    assert_null(secretrt_value_text(NULL));
    assert_null(secretrt_value_field(NULL, "a", &len));
    assert_int_equal(len, 0);
    assert_int_equal(secretrt_value_at(&field, NULL, 0), SECRETRT_ERR_INVALID);
    assert_non_null(secretrt_value_info(NULL));
    assert_int_equal(secretrt_value_is_current(NULL), 0);
    assert_int_equal(secretrt_value_left_ms(NULL), 0);
    assert_int_equal(secretrt_value_format(&value, NULL, "{}", NULL),
                     SECRETRT_ERR_INVALID);
    assert_null(secretrt_value_ref(NULL));
    secretrt_value_unref(NULL);
    assert_int_equal(secretrt_event_fd(NULL), SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_event_next(&event, NULL, 0), SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_audit_json(NULL, 0, NULL), SECRETRT_ERR_INVALID);
    secretrt_wipe(NULL, 0);
    assert_int_equal(secretrt_report(&text, NULL, SECRETRT_REPORT_INVENTORY, NULL),
                     SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_diagnose(&text, NULL, NULL, NULL, NULL),
                     SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_redact(NULL, 3, NULL), 3);
    secretrt_text_free(NULL);
    assert_string_equal(secretrt_status_name(99), "unknown");
    assert_string_equal(secretrt_event_name(0), "unknown");
    assert_string_equal(secretrt_event_name(99), "unknown");
    assert_string_equal(secretrt_event_name(SECRETRT_EVENT_RELOAD), "reload");
    assert_string_equal(secretrt_version(), SECRETRT_VERSION);
}

static void answers_null_beside_a_client(void **state)
{
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_secret *secret = api_secret(client, "db");
    struct secretrt_value *value = api_read(secret);
    struct secretrt_value *out = value;
    struct secretrt_secret *other = secret;
    struct secretrt_event event = SECRETRT_EVENT_INIT;

    (void)state;
    assert_int_equal(secretrt_read(NULL, client, "db", NULL), SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_read(&out, client, NULL, NULL), SECRETRT_ERR_INVALID);
    assert_null(out);
    assert_int_equal(secretrt_read(&out, client, "", NULL), SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_read_many(NULL, 1, client, NULL, NULL),
                     SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_read_many(NULL, 0, client, NULL, NULL), 0);
    assert_int_equal(secretrt_secret_open(NULL, client, "db", NULL),
                     SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_secret_open(&other, client, NULL, NULL),
                     SECRETRT_ERR_INVALID);
    assert_null(other);
    assert_int_equal(secretrt_secret_read(NULL, secret, NULL), SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_secret_borrow(NULL, secret, NULL), SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_secret_reject(&out, secret, NULL, 401, NULL),
                     SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_secret_drained(secret, 0), SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_event_next(NULL, client, 0), SECRETRT_ERR_INVALID);
    event.size = 0;
    assert_int_equal(secretrt_event_next(&event, client, 0), SECRETRT_ERR_INVALID);
    assert_null(secretrt_value_field(value, NULL, NULL));
    assert_int_equal(secretrt_value_at(NULL, value, 0), SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_value_format(&out, value, NULL, NULL),
                     SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_value_format(NULL, value, "{}", NULL),
                     SECRETRT_ERR_INVALID);
    secretrt_cancel(client, NULL);
    secretrt_value_unref(value);
    secretrt_secret_close(secret);
    secretrt_close(client);
}

/* ---- configuration ---- */

static void reports_a_bad_configuration(void **state)
{
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct secretrt_client *client = NULL;
    struct secretrt_error err;

    (void)state;
    options.config = "{\"secrtes\": {}}";
    assert_int_equal(secretrt_open(&client, &options, &err), SECRETRT_ERR_CONFIG);
    assert_non_null(strstr(err.message, "secrets"));
    options.config = "{";
    assert_int_equal(open_status(&options), SECRETRT_ERR_CONFIG);
    options.config = NULL;
    options.config_file = "/nonexistent/secretrt.json";
    assert_int_equal(secretrt_open(&client, &options, &err), SECRETRT_ERR_CONFIG);
    assert_non_null(strstr(err.message, "/nonexistent/secretrt.json"));
    assert_true(err.os_errno != 0);
}

static void reads_the_configuration_that_the_environment_names(void **state)
{
    char path[] = "/tmp/secretrt-api-XXXXXX";
    int fd = mkstemp(path);
    struct secretrt_client *client = NULL;
    struct secretrt_value *value = NULL;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, API_CONFIG, strlen(API_CONFIG)), strlen(API_CONFIG));
    (void)close(fd);
    (void)setenv("SECRETRT_CONFIG", path, 1);
    assert_int_equal(secretrt_open(&client, NULL, NULL), 0);
    assert_int_equal(secretrt_read(&value, client, "one", NULL), 0);
    assert_string_equal(secretrt_value_text(value), "CANARY-one");
    secretrt_value_unref(value);
    secretrt_close(client);
    (void)setenv("SECRETRT_CONFIG", "/nonexistent/secretrt.json", 1);
    assert_int_equal(open_status(NULL), SECRETRT_ERR_CONFIG);
    (void)setenv("SECRETRT_CONFIG", "", 1); /* as if it were not set */
    assert_int_equal(open_status(NULL), 0);
    (void)unsetenv("SECRETRT_CONFIG");
    (void)unlink(path);
}

static void takes_the_stricter_policy(void **state)
{
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct secretrt_client *client = NULL;
    struct secretrt_value *value = NULL;
    struct secretrt_error err;

    (void)state;
    options.weakest_tier = 3;
    client = api_open_with(API_CONFIG, &options);
    assert_int_equal(secretrt_read(&value, client, "one", &err), SECRETRT_ERR_POLICY);
    assert_null(value);
    secretrt_close(client);
    options.weakest_tier = 4;
    client = api_open_with("{\"policy\": {\"weakest_tier\": 3}}", &options);
    assert_int_equal(secretrt_read(&value, client, "env://API_ONE", &err),
                     SECRETRT_ERR_POLICY);
    secretrt_close(client);
}

/* ---- closing ---- */

static void shuts_down_twice(void **state)
{
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_secret *secret = api_secret(client, "db");
    struct secretrt_value *value = api_read(secret);
    struct secretrt_value *other = NULL;
    struct secretrt_event event = SECRETRT_EVENT_INIT;
    int rc;

    (void)state;
    assert_int_equal(secretrt_shutdown(client, 5000, NULL), 0);
    assert_int_equal(secretrt_shutdown(client, 0, NULL), 0);
    assert_int_equal(secretrt_secret_read(&other, secret, NULL), SECRETRT_ERR_CLOSED);
    assert_int_equal(secretrt_read(&other, client, "db", NULL), SECRETRT_ERR_CLOSED);
    assert_int_equal(secretrt_read(&other, client, "new", NULL), SECRETRT_ERR_CLOSED);
    assert_int_equal(secretrt_secret_reject(&other, secret, value, 401, NULL),
                     SECRETRT_ERR_CLOSED);
    assert_int_equal(secretrt_secret_verdict(secret, 1, 0, NULL), SECRETRT_ERR_CLOSED);
    assert_int_equal(secretrt_secret_drained(secret, 1), SECRETRT_ERR_CLOSED);
    assert_int_equal(secretrt_refresh(client, NULL, NULL), SECRETRT_ERR_CLOSED);
    assert_int_equal(*secretrt_secret_generation(secret), 0);
    do
        rc = secretrt_event_next(&event, client, -1);
    while (rc == 0);
    assert_int_equal(rc, SECRETRT_ERR_CLOSED);
    assert_true(api_readable(secretrt_event_fd(client)));
    assert_int_equal(secretrt_value_is_current(value), 0);
    secretrt_value_unref(value);
    secretrt_secret_close(secret);
    secretrt_close(client);
}

static void closes_in_any_order(void **state)
{
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_secret *secret = api_secret(client, "db");
    struct secretrt_secret *twin = api_secret(client, "db");
    struct secretrt_value *value = api_read(secret);
    const struct secretrt_value *borrowed = NULL;
    struct secretrt_value *text = NULL;
    struct secretrt_value *other = NULL;

    (void)state;
    assert_int_equal(secretrt_secret_borrow(&borrowed, secret, NULL), 0);
    secretrt_close(client);
    assert_string_equal(secretrt_value_field(value, "username", NULL), "user-0");
    assert_string_equal(secretrt_value_field(borrowed, "password", NULL), "CANARY-0");
    assert_int_equal(secretrt_value_format(&text, value, "{username}", NULL), 0);
    assert_string_equal(secretrt_value_text(text), "user-0");
    assert_int_equal(secretrt_secret_read(&other, secret, NULL), SECRETRT_ERR_CLOSED);
    assert_int_equal(secretrt_secret_reject(&other, secret, value, 401, NULL),
                     SECRETRT_ERR_CLOSED);
    secretrt_secret_count(secret, 1, 1);
    assert_int_equal(*secretrt_secret_generation(secret), 0);
    secretrt_secret_close(secret);
    secretrt_value_return(borrowed);
    secretrt_secret_close(twin);
    assert_string_equal(secretrt_value_field(value, "username", NULL), "user-0");
    secretrt_value_unref(value);
    secretrt_value_unref(text);
}

struct waiter {
    struct secretrt_client *client;
    struct secretrt_secret *secret;
    pthread_t thread;
    int status;
};

static void *wait_for_a_value(void *arg)
{
    struct waiter *waiter = arg;
    struct secretrt_value *value = NULL;
    struct secretrt_error err;

    waiter->status = secretrt_secret_read(&value, waiter->secret, &err);
    return NULL;
}

static void *wait_for_an_event(void *arg)
{
    struct waiter *waiter = arg;
    struct secretrt_event event = SECRETRT_EVENT_INIT;

    waiter->status = secretrt_event_next(&event, waiter->client, -1);
    return NULL;
}

static void shutting_down_wakes_who_waits(void **state)
{
    struct vault *v = vault_new(60);
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct waiter waiter[9] = {{NULL, NULL, 0, 0}};
    struct secretrt_client *client;

    (void)state;
    vault_hold(v);
    options.fetch_timeout_ms = 60000;
    client = api_open_with(v->config, &options);
    for (size_t i = 0; i < 9; i++) {
        waiter[i].client = client;
        waiter[i].secret = api_secret(client, "db");
        waiter[i].thread =
            api_thread(i == 8 ? wait_for_an_event : wait_for_a_value, &waiter[i]);
    }
    vault_await(v, VAULT_READ, 1);
    (void)secretrt_shutdown(client, 0, NULL);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(pthread_join(waiter[i].thread, NULL), 0);
        assert_int_equal(waiter[i].status, SECRETRT_ERR_CLOSED);
    }
    vault_release(v);
    assert_int_equal(secretrt_shutdown(client, API_PATIENCE_MS, NULL), 0);
    for (size_t i = 0; i < 9; i++)
        secretrt_secret_close(waiter[i].secret);
    secretrt_close(client);
    assert_int_equal(vault_count(v, VAULT_REVOKE_SELF), 1);
    vault_free(v);
}

/* A caller's mistake, but no corruption: who waits on a handle that is closed. */
static void closing_a_secret_sends_away_who_waits(void **state)
{
    struct vault *v = vault_new(60);
    struct secretrt_client *client = api_open(v->config);
    struct secretrt_secret_options options = SECRETRT_SECRET_OPTIONS_INIT;
    struct waiter waiter = {.client = client};

    (void)state;
    vault_hold(v);
    options.flags =
        SECRETRT_SECRET_LAZY; /* what the store sees is the reader's asking */
    assert_int_equal(
        secretrt_secret_open_with(&waiter.secret, client, "db", &options, NULL), 0);
    waiter.thread = api_thread(wait_for_a_value, &waiter);
    vault_await(v, VAULT_READ, 1);
    secretrt_secret_close(waiter.secret);
    assert_int_equal(pthread_join(waiter.thread, NULL), 0);
    assert_int_equal(waiter.status, SECRETRT_ERR_CLOSED);
    vault_release(v);
    secretrt_close(client);
    vault_free(v);
}

static void gives_leases_and_login_back(void **state)
{
    struct vault *v = vault_new(60);
    struct secretrt_client *client = api_open(v->config);
    struct secretrt_secret *secret = api_secret(client, "db");
    struct secretrt_value *value = api_read(secret);

    (void)state;
    assert_string_equal(secretrt_value_field(value, "username", NULL), "user-1");
    secretrt_secret_close(secret);
    vault_await(v, VAULT_REVOKE, 1);
    secretrt_close(client);
    assert_int_equal(vault_count(v, VAULT_REVOKE_SELF), 1);
    assert_string_equal(secretrt_value_field(value, "password", NULL), "CANARY-1");
    secretrt_value_unref(value);
    vault_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_the_options),
        cmocka_unit_test(takes_older_and_newer_structs),
        cmocka_unit_test(checks_a_secrets_options),
        cmocka_unit_test(answers_null_to_null),
        cmocka_unit_test(answers_null_beside_a_client),
        cmocka_unit_test(reports_a_bad_configuration),
        cmocka_unit_test(reads_the_configuration_that_the_environment_names),
        cmocka_unit_test(takes_the_stricter_policy),
        cmocka_unit_test(shuts_down_twice),
        cmocka_unit_test(closes_in_any_order),
        cmocka_unit_test(shutting_down_wakes_who_waits),
        cmocka_unit_test(closing_a_secret_sends_away_who_waits),
        cmocka_unit_test(gives_leases_and_login_back),
    };

    api_environment();
    return cmocka_run_group_tests_name("api client", tests, NULL, NULL);
}
