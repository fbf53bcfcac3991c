#include "api.h"
#include "support/vault.h"
#include <stdatomic.h>

#define READERS 8
#define ROTATIONS 300

struct crowd {
    struct secretrt_client *client;
    struct secretrt_secret *secret;
    atomic_int stop;
    atomic_uint reads;
};

/* "user-7" goes with "CANARY-7". */
static void check_pair(const struct secretrt_value *value)
{
    const char *user = secretrt_value_field(value, "username", NULL);
    const char *password = secretrt_value_field(value, "password", NULL);

    if (user == NULL || password == NULL || strcmp(user + 5, password + 7) != 0)
        abort();
}

static void *read_all_the_time(void *arg)
{
    struct crowd *crowd = arg;
    const struct secretrt_value *borrowed = NULL;
    struct secretrt_value *value = NULL;

    while (!atomic_load(&crowd->stop)) {
        if (secretrt_secret_borrow(&borrowed, crowd->secret, NULL) != 0)
            abort();
        check_pair(borrowed);
        value = secretrt_value_ref(borrowed);
        secretrt_value_return(borrowed);
        check_pair(value);
        secretrt_value_unref(value);
        if (secretrt_read(&value, crowd->client, "db", NULL) != 0)
            abort();
        check_pair(value);
        secretrt_value_unref(value);
        atomic_fetch_add(&crowd->reads, 3);
    }
    return NULL;
}

static void *open_and_close_all_the_time(void *arg)
{
    struct crowd *crowd = arg;
    struct secretrt_secret *own = NULL;
    struct secretrt_value *value = NULL;

    while (!atomic_load(&crowd->stop)) {
        if (secretrt_secret_open(&own, crowd->client, "one", NULL) != 0 ||
            secretrt_secret_read(&value, own, NULL) != 0)
            abort();
        secretrt_secret_close(own);
        secretrt_value_unref(value);
    }
    return NULL;
}

static void *reject_all_the_time(void *arg)
{
    struct crowd *crowd = arg;
    struct secretrt_value *value = NULL;
    struct secretrt_value *newer = NULL;

    while (!atomic_load(&crowd->stop)) {
        int rc = secretrt_secret_read(&value, crowd->secret, NULL);

        if (rc == 0)
            rc = secretrt_secret_reject(&newer, crowd->secret, value, 401, NULL);
        if (rc != 0 && rc != SECRETRT_ERR_UNCHANGED)
            abort();
        if (rc == 0)
            check_pair(newer);
        secretrt_value_unref(newer);
        secretrt_value_unref(value);
        newer = NULL;
    }
    return NULL;
}

static void *take_events_all_the_time(void *arg)
{
    struct crowd *crowd = arg;
    struct secretrt_event event = SECRETRT_EVENT_INIT;
    int rc;

    do
        rc = secretrt_event_next(&event, crowd->client, -1);
    while (rc == 0);
    if (rc != SECRETRT_ERR_CLOSED)
        abort();
    return NULL;
}

/* The environment is changed only while the renewal thread does not read it. */
static void rotate(struct crowd *crowd, int n)
{
    const uint64_t *word = secretrt_secret_generation(crowd->secret);
    uint64_t before = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_value *value = NULL;
    char text[32];

    (void)snprintf(text, sizeof(text), "user-%d", n);
    (void)setenv("API_USER", text, 1);
    (void)snprintf(text, sizeof(text), "CANARY-%d", n);
    (void)setenv("API_PASSWORD", text, 1);
    call.flags = SECRETRT_CALL_FRESH;
    call.timeout_ms = API_PATIENCE_MS;
    assert_int_equal(secretrt_secret_read_with(&value, crowd->secret, &call, NULL), 0);
    secretrt_value_unref(value);
    assert_int_equal(__atomic_load_n(word, __ATOMIC_ACQUIRE), before + 1);
}

static void crowd_end(struct crowd *crowd, pthread_t *thread, size_t n)
{
    atomic_store(&crowd->stop, 1);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
}

static void readers_see_whole_bundles(void **state)
{
    struct crowd crowd = {.stop = 0};
    pthread_t thread[READERS];
    pthread_t events;

    (void)state;
    crowd.client = api_open(API_CONFIG);
    crowd.secret = api_secret(crowd.client, "db");
    secretrt_value_unref(api_read(crowd.secret));
    for (size_t i = 0; i < READERS; i++)
        thread[i] = api_thread(read_all_the_time, &crowd);
    events = api_thread(take_events_all_the_time, &crowd);
    for (int n = 1; n <= ROTATIONS || atomic_load(&crowd.reads) == 0; n++)
        rotate(&crowd, n);
    crowd_end(&crowd, thread, READERS);
    assert_true(atomic_load(&crowd.reads) > 0);
    assert_int_equal(secretrt_shutdown(crowd.client, API_PATIENCE_MS, NULL), 0);
    assert_int_equal(pthread_join(events, NULL), 0);
    secretrt_secret_close(crowd.secret);
    secretrt_close(crowd.client);
}

static void everything_at_once(void **state)
{
    struct vault *v = vault_new(1);
    struct crowd crowd = {.stop = 0};
    pthread_t thread[READERS];
    char config[1024];

    (void)state;
    pthread_mutex_lock(&v->lock);
    v->renews_s = 0; /* each lease has a successor instead */
    pthread_mutex_unlock(&v->lock);
    (void)snprintf(config, sizeof(config),
                   "%.*s, \"one\": {\"sources\": "
                   "[\"env://API_ONE\"]}}}",
                   (int)strlen(v->config) - 2, v->config);
    crowd.client = api_open(config);
    crowd.secret = api_secret(crowd.client, "db");
    secretrt_value_unref(api_read(crowd.secret));
    for (size_t i = 0; i < READERS; i++)
        thread[i] = api_thread(i < 4   ? read_all_the_time
                               : i < 6 ? open_and_close_all_the_time
                                       : reject_all_the_time,
                               &crowd);
    vault_await(v, VAULT_READ, 6);
    crowd_end(&crowd, thread, READERS);
    secretrt_secret_close(crowd.secret);
    secretrt_close(crowd.client);
    vault_free(v);
}

/* A thread that closes down and those that are still at it. */
static void *read_until_closed(void *arg)
{
    struct crowd *crowd = arg;
    struct secretrt_value *value = NULL;
    int rc;

    do {
        rc = secretrt_secret_read(&value, crowd->secret, NULL);
        secretrt_value_unref(value);
        value = NULL;
        atomic_fetch_add(&crowd->reads, 1);
    } while (rc == 0);
    if (rc != SECRETRT_ERR_CLOSED)
        abort();
    return NULL;
}

static void shuts_down_under_load(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct crowd crowd = {.stop = 0};
        pthread_t thread[READERS];

        crowd.client = api_open(API_CONFIG);
        crowd.secret = api_secret(crowd.client, "db");
        for (size_t i = 0; i < READERS; i++)
            thread[i] = api_thread(read_until_closed, &crowd);
        while (atomic_load(&crowd.reads) < 100)
            (void)sched_yield();
        assert_int_equal(secretrt_shutdown(crowd.client, API_PATIENCE_MS, NULL), 0);
        crowd_end(&crowd, thread, READERS);
        secretrt_close(crowd.client);
        secretrt_secret_close(crowd.secret);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_whole_bundles),
        cmocka_unit_test(everything_at_once),
        cmocka_unit_test(shuts_down_under_load),
    };

    api_environment();
    return cmocka_run_group_tests_name("api threads", tests, NULL, NULL);
}
