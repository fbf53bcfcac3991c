#include "api.h"
#include "support/vault.h"

static void new_value(struct secretrt_client *client, const char *text)
{
    (void)setenv("API_ONE", text, 1);
    assert_int_equal(secretrt_refresh(client, "one", NULL), 0);
}

/* ---- the queue ---- */

static void events_come_in_order_and_merge(void **state)
{
    struct secretrt_secret_options options = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_event event = SECRETRT_EVENT_INIT;
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_secret *secret = NULL;
    struct secretrt_secret *watch = NULL;
    int mark = 0;

    (void)state;
    options.data = &mark;
    assert_int_equal(secretrt_secret_open_with(&secret, client, "one", &options, NULL),
                     0);
    event = api_event(client, SECRETRT_EVENT_READY);
    assert_ptr_equal(event.secret, secret);
    assert_ptr_equal(event.data, &mark);
    assert_string_equal(event.name, "one");
    assert_true(event.message[0] != '\0');
    assert_int_equal(event.generation, 1);
    assert_int_equal(event.tier, 4);

    /* three generations that nobody fetches are one event, the newest */
    for (uint64_t i = 2; i <= 4; i++) {
        const uint64_t *word = secretrt_secret_generation(secret);
        char text[32];

        (void)snprintf(text, sizeof(text), "CANARY-%d", (int)i);
        new_value(client, text);
        while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < i)
            (void)sched_yield();
    }
    watch = api_secret(client, "db"); /* its event comes after */
    secretrt_value_unref(api_read(watch));
    do
        event = api_event(client, SECRETRT_EVENT_RELOAD);
    while (event.generation < 4);
    assert_int_equal(event.old_generation, 3);
    event = api_event(client, SECRETRT_EVENT_READY);
    assert_ptr_equal(event.secret, watch);
    secretrt_secret_close(watch);
    secretrt_secret_close(secret);
    secretrt_close(client);
    (void)setenv("API_ONE", "CANARY-one", 1);
}

static void merged_events_are_counted(void **state)
{
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_secret *secret = api_secret(client, "one");
    const uint64_t *word = secretrt_secret_generation(secret);
    struct secretrt_event event;

    (void)state;
    (void)api_event(client, SECRETRT_EVENT_READY);
    new_value(client, "CANARY-2");
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < 2)
        (void)sched_yield();
    /* asked without waiting: the answer is the next event, so the first is queued */
    new_value(client, "CANARY-3");
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < 3)
        (void)sched_yield();
    new_value(client, "CANARY-4");
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < 4)
        (void)sched_yield();
    /* the 3rd was queued before the 4th was asked for */
    do
        event = api_event(client, SECRETRT_EVENT_RELOAD);
    while (event.generation < 3);
    assert_true(event.merged >= 1);
    secretrt_secret_close(secret);
    secretrt_close(client);
    (void)setenv("API_ONE", "CANARY-one", 1);
}

static void the_descriptor_says_whether_events_wait(void **state)
{
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_event event = SECRETRT_EVENT_INIT;
    int fd = secretrt_event_fd(client);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct secretrt_secret *secret;
    int64_t begun_ms = api_now_ms();

    (void)state;
    assert_true(fd >= 0);
    assert_false(api_readable(fd));
    assert_int_equal(secretrt_event_next(&event, client, 0), SECRETRT_ERR_TIMEOUT);
    assert_int_equal(secretrt_event_next(&event, client, 30), SECRETRT_ERR_TIMEOUT);
    assert_true(api_now_ms() - begun_ms >= 30);
    secret = api_secret(client, "one");
    assert_int_equal(poll(&p, 1, API_PATIENCE_MS), 1);
    assert_true(api_readable(fd)); /* still: nobody has taken it */
    while (secretrt_event_next(&event, client, 0) == 0)
        continue;
    assert_false(api_readable(fd));
    new_value(client, "CANARY-5");
    assert_int_equal(poll(&p, 1, API_PATIENCE_MS), 1);
    secretrt_secret_close(secret); /* takes its events along */
    assert_false(api_readable(fd));
    assert_int_equal(secretrt_event_next(&event, client, 0), SECRETRT_ERR_TIMEOUT);
    secretrt_close(client);
    (void)setenv("API_ONE", "CANARY-one", 1);
}

static void an_older_struct_is_filled_as_far_as_it_goes(void **state)
{
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_event event = SECRETRT_EVENT_INIT;
    struct secretrt_secret *secret = api_secret(client, "one");

    (void)state;
    event.size = offsetof(struct secretrt_event, tier);
    event.tier = 77;
    assert_int_equal(secretrt_event_next(&event, client, API_PATIENCE_MS), 0);
    assert_int_equal(event.kind, SECRETRT_EVENT_READY);
    assert_int_equal(event.tier, 77);
    assert_int_equal(event.size, offsetof(struct secretrt_event, tier));
    secretrt_secret_close(secret);
    secretrt_close(client);
}

/* ---- callbacks ---- */

struct callback {
    struct api_gate seen;
    struct api_gate go;
    struct secretrt_client *client;
    struct secretrt_secret *secret;
    uint64_t generation;
    int waits;  /* for go */
    int closes; /* 1: the secret, 2: the client */
    int result;
    int end;
};

static int called(const struct secretrt_event *event, void *data)
{
    struct callback *callback = data;

    if (event->kind != SECRETRT_EVENT_READY && event->kind != SECRETRT_EVENT_RELOAD)
        return 0;
    __atomic_store_n(&callback->generation, event->generation, __ATOMIC_RELAXED);
    if (callback->closes == 2)
        secretrt_close(callback->client);
    if (callback->closes != 0)
        secretrt_secret_close(event->secret);
    api_pass(&callback->seen);
    if (callback->waits)
        api_await(&callback->go, 1);
    return callback->result;
}

static void callback_open(struct callback *callback, const char *config)
{
    struct secretrt_secret_options options = SECRETRT_SECRET_OPTIONS_INIT;

    options.on_event = called;
    options.data = callback;
    callback->client = api_open(config);
    assert_int_equal(secretrt_secret_open_with(&callback->secret, callback->client,
                                               "one", &options, NULL),
                     0);
}

static void a_callback_takes_the_place_of_the_queue(void **state)
{
    struct callback callback = {.seen = API_GATE_INIT, .go = API_GATE_INIT};
    struct secretrt_event event = SECRETRT_EVENT_INIT;

    (void)state;
    callback_open(&callback, API_CONFIG);
    api_await(&callback.seen, 1);
    assert_int_equal(secretrt_event_next(&event, callback.client, 0),
                     SECRETRT_ERR_TIMEOUT);
    assert_false(api_readable(secretrt_event_fd(callback.client)));
    new_value(callback.client, "CANARY-6");
    api_await(&callback.seen, 2);
    secretrt_secret_close(callback.secret);
    secretrt_close(callback.client);
    (void)setenv("API_ONE", "CANARY-one", 1);
}

static void a_slow_callback_delays_nothing(void **state)
{
    struct callback callback = {.seen = API_GATE_INIT, .go = API_GATE_INIT, .waits = 1};
    const uint64_t *word;

    (void)state;
    callback_open(&callback, API_CONFIG);
    word = secretrt_secret_generation(callback.secret);
    api_await(&callback.seen, 1);
    for (uint64_t i = 2; i <= 5; i++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "CANARY-%d", (int)i);
        new_value(callback.client, text);
        while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < i)
            (void)sched_yield();
    }
    api_pass(&callback.go);
    while (__atomic_load_n(&callback.generation, __ATOMIC_RELAXED) < 5)
        (void)sched_yield();
    secretrt_secret_close(callback.secret);
    secretrt_close(callback.client);
    (void)setenv("API_ONE", "CANARY-one", 1);
}

static void a_secret_may_be_closed_in_its_callback(void **state)
{
    struct callback callback = {
        .seen = API_GATE_INIT, .go = API_GATE_INIT, .closes = 1};

    (void)state;
    callback_open(&callback, API_CONFIG);
    api_await(&callback.seen, 1);
    secretrt_close(callback.client);
}

/* The pipe's other end is closed with the client. */
static void await_the_end(int fd)
{
    char bytes[4096];

    while (read(fd, bytes, sizeof(bytes)) > 0)
        continue;
    (void)close(fd);
}

static struct secretrt_client *open_with_an_end(const char *config, int *end)
{
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct secretrt_client *client;
    int fd[2];

    assert_int_equal(pipe(fd), 0);
    options.audit_fd = fd[1];
    client = api_open_with(config, &options);
    (void)close(fd[1]);
    *end = fd[0];
    return client;
}

static void the_client_may_be_closed_in_a_callback(void **state)
{
    struct secretrt_secret_options options = SECRETRT_SECRET_OPTIONS_INIT;
    struct vault *v = vault_new(60);
    struct callback callback = {
        .seen = API_GATE_INIT, .go = API_GATE_INIT, .closes = 2};
    int end = -1;

    (void)state;
    callback.client = open_with_an_end(v->config, &end);
    options.on_event = called;
    options.data = &callback;
    assert_int_equal(secretrt_secret_open_with(&callback.secret, callback.client, "db",
                                               &options, NULL),
                     0);
    await_the_end(end); /* finished after the callback */
    assert_int_equal(api_count(&callback.seen), 1);
    assert_int_equal(vault_count(v, VAULT_REVOKE_SELF), 1);
    vault_free(v);
}

struct closer {
    struct secretrt_secret *secret;
    struct api_gate closed;
};

static void *close_secret(void *arg)
{
    struct closer *closer = arg;

    secretrt_secret_close(closer->secret);
    api_pass(&closer->closed);
    return NULL;
}

static void closing_a_secret_waits_for_its_callback(void **state)
{
    struct callback callback = {.seen = API_GATE_INIT, .go = API_GATE_INIT, .waits = 1};
    struct closer closer = {.closed = API_GATE_INIT};
    pthread_t thread;

    (void)state;
    callback_open(&callback, API_CONFIG);
    api_await(&callback.seen, 1);
    closer.secret = callback.secret;
    thread = api_thread(close_secret, &closer);
    for (int i = 0; i < 100; i++)
        (void)sched_yield();
    assert_int_equal(api_count(&closer.closed), 0);
    api_pass(&callback.go);
    assert_int_equal(pthread_join(thread, NULL), 0);
    secretrt_close(callback.client);
}

/* It is left behind, with the memory that it may touch; it ends after the client. */
static void a_stuck_callback_does_not_hold_up_close(void **state)
{
    static struct callback callback = {
        .seen = API_GATE_INIT, .go = API_GATE_INIT, .waits = 1};
    struct secretrt_secret_options secret = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct secretrt_value *value = NULL;
    int64_t begun_ms;

    (void)state;
    options.close_timeout_ms = 100;
    secret.on_event = called;
    secret.data = &callback;
    callback.client = api_open_with(API_CONFIG, &options);
    assert_int_equal(secretrt_secret_open_with(&callback.secret, callback.client, "one",
                                               &secret, NULL),
                     0);
    api_await(&callback.seen, 1);
    begun_ms = api_now_ms();
    secretrt_close(callback.client);
    assert_true(api_now_ms() - begun_ms < 10000);
    assert_int_equal(secretrt_secret_read(&value, callback.secret, NULL),
                     SECRETRT_ERR_CLOSED);
    secretrt_secret_close(callback.secret);
    api_pass(&callback.go);
}

/* ---- verification ---- */

static int status_of(struct secretrt_secret *secret, uint32_t flags, char *text)
{
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_value *value = NULL;
    int rc;

    call.flags = flags;
    rc = secretrt_secret_read_with(&value, secret, &call, NULL);
    if (rc == 0)
        (void)snprintf(text, 32, "%s", secretrt_value_text(value));
    secretrt_value_unref(value);
    return rc;
}

static void a_candidate_waits_for_its_verdict(void **state)
{
    struct secretrt_secret_options options = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_secret *secret = NULL;
    struct secretrt_event event;
    struct secretrt_error err;
    char text[32] = "";

    (void)state;
    options.flags = SECRETRT_SECRET_VERIFY;
    assert_int_equal(secretrt_secret_open_with(&secret, client, "one", &options, NULL),
                     0);
    event = api_event(client, SECRETRT_EVENT_VERIFY);
    assert_int_equal(event.generation, 1);
    assert_int_equal(status_of(secret, SECRETRT_CALL_NOWAIT, text),
                     SECRETRT_ERR_PENDING);
    assert_int_equal(status_of(secret, SECRETRT_CALL_CANDIDATE, text), 0);
    assert_string_equal(text, "CANARY-one");
    assert_int_equal(secretrt_secret_verdict(secret, 2, 0, &err),
                     SECRETRT_ERR_NOT_FOUND);
    assert_int_equal(secretrt_secret_verdict(secret, 1, 0, &err), 0);
    assert_int_equal(secretrt_secret_verdict(secret, 1, 0, &err),
                     SECRETRT_ERR_NOT_FOUND);
    (void)api_event(client, SECRETRT_EVENT_READY);
    assert_int_equal(status_of(secret, 0, text), 0);
    assert_int_equal(status_of(secret, SECRETRT_CALL_CANDIDATE, text),
                     SECRETRT_ERR_NOT_FOUND);

    new_value(client, "CANARY-bad");
    event = api_event(client, SECRETRT_EVENT_VERIFY);
    assert_int_equal(event.generation, 2);
    assert_int_equal(status_of(secret, 0, text), 0);
    assert_string_equal(text, "CANARY-one"); /* the old one serves meanwhile */
    assert_int_equal(secretrt_secret_verdict(secret, 2, 1, &err), 0);
    (void)api_event(client, SECRETRT_EVENT_FAILED);
    assert_int_equal(status_of(secret, 0, text), 0);
    assert_string_equal(text, "CANARY-one");
    (void)setenv("API_ONE", "CANARY-one", 1);
    secretrt_secret_close(secret);
    secretrt_close(client);
}

static void closing_while_a_candidate_waits(void **state)
{
    struct secretrt_secret_options options = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_client *client = api_open(API_CONFIG);
    struct secretrt_secret *secret = NULL;

    (void)state;
    options.flags = SECRETRT_SECRET_VERIFY;
    for (int i = 0; i < 2; i++) { /* the secret, then the client */
        assert_int_equal(
            secretrt_secret_open_with(&secret, client, "one", &options, NULL), 0);
        (void)api_event(client, SECRETRT_EVENT_VERIFY);
        if (i == 0)
            secretrt_secret_close(secret);
    }
    secretrt_close(client);
    secretrt_secret_close(secret);
}

static int verify(const struct secretrt_value *candidate, void *data)
{
    struct callback *callback = data;

    api_pass(&callback->seen);
    if (callback->waits)
        api_await(&callback->go, 1);
    if (callback->closes == 2)
        secretrt_close(callback->client);
    if (callback->closes != 0)
        secretrt_secret_close(callback->secret);
    return strcmp(secretrt_value_text(candidate), "CANARY-bad") == 0;
}

static void verify_open(struct callback *callback)
{
    struct secretrt_secret_options options = SECRETRT_SECRET_OPTIONS_INIT;

    options.verify = verify;
    options.data = callback;
    callback->client = open_with_an_end(API_CONFIG, &callback->end);
    assert_int_equal(secretrt_secret_open_with(&callback->secret, callback->client,
                                               "one", &options, NULL),
                     0);
}

static void a_verify_function_decides(void **state)
{
    struct callback callback = {.seen = API_GATE_INIT, .go = API_GATE_INIT};
    char text[32] = "";

    (void)state;
    verify_open(&callback);
    assert_int_equal(status_of(callback.secret, 0, text), 0);
    new_value(callback.client, "CANARY-bad");
    (void)api_event(callback.client, SECRETRT_EVENT_FAILED);
    assert_int_equal(api_count(&callback.seen), 2);
    assert_int_equal(status_of(callback.secret, 0, text), 0);
    assert_string_equal(text, "CANARY-one");
    (void)setenv("API_ONE", "CANARY-one", 1);
    secretrt_secret_close(callback.secret);
    secretrt_close(callback.client);
    await_the_end(callback.end);
}

static void closing_a_secret_waits_for_its_verification(void **state)
{
    struct callback callback = {.seen = API_GATE_INIT, .go = API_GATE_INIT, .waits = 1};
    struct closer closer = {.closed = API_GATE_INIT};
    pthread_t thread;

    (void)state;
    verify_open(&callback);
    api_await(&callback.seen, 1);
    closer.secret = callback.secret;
    thread = api_thread(close_secret, &closer);
    for (int i = 0; i < 100; i++)
        (void)sched_yield();
    assert_int_equal(api_count(&closer.closed), 0);
    api_pass(&callback.go);
    assert_int_equal(pthread_join(thread, NULL), 0);
    secretrt_close(callback.client);
    await_the_end(callback.end);
}

static void a_verify_function_may_close(void **state)
{
    static struct callback callback[2] = {
        {.seen = API_GATE_INIT, .go = API_GATE_INIT, .closes = 1, .waits = 1},
        {.seen = API_GATE_INIT, .go = API_GATE_INIT, .closes = 2, .waits = 1}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        verify_open(&callback[i]);
        api_pass(&callback[i].go); /* the handle is known to it now */
        api_await(&callback[i].seen, 1);
        if (i == 0)
            secretrt_close(callback[i].client);
        await_the_end(callback[i].end);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_in_order_and_merge),
        cmocka_unit_test(merged_events_are_counted),
        cmocka_unit_test(the_descriptor_says_whether_events_wait),
        cmocka_unit_test(an_older_struct_is_filled_as_far_as_it_goes),
        cmocka_unit_test(a_callback_takes_the_place_of_the_queue),
        cmocka_unit_test(a_slow_callback_delays_nothing),
        cmocka_unit_test(a_secret_may_be_closed_in_its_callback),
        cmocka_unit_test(the_client_may_be_closed_in_a_callback),
        cmocka_unit_test(closing_a_secret_waits_for_its_callback),
        cmocka_unit_test(a_stuck_callback_does_not_hold_up_close),
        cmocka_unit_test(a_candidate_waits_for_its_verdict),
        cmocka_unit_test(closing_while_a_candidate_waits),
        cmocka_unit_test(a_verify_function_decides),
        cmocka_unit_test(closing_a_secret_waits_for_its_verification),
        cmocka_unit_test(a_verify_function_may_close),
    };

    api_environment();
    return cmocka_run_group_tests_name("api events", tests, NULL, NULL);
}
