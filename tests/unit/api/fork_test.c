#include "api.h"
#include "support/vault.h"
#include <stdatomic.h>

#define FORKS 200

struct scene {
    struct vault *vault;
    struct secretrt_client *client;
    struct secretrt_secret *secret;
    struct secretrt_value *value;
};

static struct scene scene_new(int ttl_s)
{
    struct scene scene;

    scene.vault = vault_new(ttl_s);
    scene.client = api_open(scene.vault->config);
    scene.secret = api_secret(scene.client, "db");
    scene.value = api_read(scene.secret);
    return scene;
}

static void scene_end(struct scene *scene)
{
    struct secretrt_value *value = api_read(scene->secret); /* unharmed */

    secretrt_value_unref(value);
    secretrt_value_unref(scene->value);
    secretrt_secret_close(scene->secret);
    secretrt_close(scene->client);
    assert_true(vault_count(scene->vault, VAULT_REVOKE_SELF) >= 1);
    vault_free(scene->vault);
}

/* ---- what a child may do ---- */

static void read_own_lease(void *data)
{
    struct scene *scene = data;
    struct secretrt_value *value = NULL;
    const struct secretrt_value *borrowed = NULL;
    struct secretrt_error err;

    CHECK(secretrt_secret_read(&value, scene->secret, &err) == 0);
    CHECK(strcmp(secretrt_value_field(value, "username", NULL), "user-2") == 0);
    CHECK(secretrt_value_info(value)->generation == 1);
    CHECK(secretrt_secret_borrow(&borrowed, scene->secret, &err) == 0);
    CHECK(strcmp(secretrt_value_field(borrowed, "password", NULL), "CANARY-2") == 0);
    secretrt_value_return(borrowed);
    secretrt_value_unref(value);
    secretrt_value_unref(scene->value);
    secretrt_secret_close(scene->secret);
    secretrt_close(scene->client);
}

static void a_child_has_leases_of_its_own(void **state)
{
    struct scene scene = scene_new(60);

    (void)state;
    api_child(read_own_lease, &scene);
    assert_string_equal(secretrt_value_field(scene.value, "username", NULL), "user-1");
    assert_int_equal(vault_count(scene.vault, VAULT_LOGIN), 2);
    assert_int_equal(vault_count(scene.vault, VAULT_REVOKE_SELF), 1); /* the child's */
    scene_end(&scene);
}

static void look_at_old_values(void *data)
{
    struct scene *scene = data;
    struct secretrt_value *out = NULL;
    struct secretrt_field field;
    size_t len = 1;

    CHECK(secretrt_value_field(scene->value, "username", &len) == NULL && len == 0);
    CHECK(secretrt_value_text(scene->value) == NULL);
    CHECK(secretrt_value_at(&field, scene->value, 0) == SECRETRT_ERR_FORKED);
    CHECK(secretrt_value_is_current(scene->value) == 0);
    CHECK(secretrt_value_left_ms(scene->value) == 0);
    CHECK(strcmp(secretrt_value_info(scene->value)->name, "db") == 0);
    CHECK(secretrt_value_format(&out, scene->value, "x", NULL) == SECRETRT_ERR_FORKED);
    CHECK(secretrt_secret_reject(&out, scene->secret, scene->value, 401, NULL) ==
          SECRETRT_ERR_FORKED);
    CHECK(out == NULL);
    secretrt_value_unref(secretrt_value_ref(scene->value));
    secretrt_value_unref(scene->value);
    CHECK(*secretrt_secret_generation(scene->secret) == 0);
}

static void values_do_not_cross(void **state)
{
    struct scene scene = scene_new(60);

    (void)state;
    api_child(look_at_old_values, &scene);
    assert_int_equal(vault_count(scene.vault, VAULT_LOGIN), 1);
    scene_end(&scene);
}

static void close_unused(void *data)
{
    struct scene *scene = data;

    secretrt_secret_close(scene->secret);
    secretrt_close(scene->client);
}

static void leave_at_once(void *data)
{
    (void)data;
}

static void watch_events(void *data)
{
    struct scene *scene = data;
    struct secretrt_event event = SECRETRT_EVENT_INIT;
    int fd = secretrt_event_fd(scene->client);

    CHECK(fd >= 0);
    CHECK(secretrt_event_next(&event, scene->client, 0) == SECRETRT_ERR_TIMEOUT);
    CHECK(secretrt_refresh(scene->client, NULL, NULL) ==
          0); /* nothing is its own yet */
    CHECK(secretrt_secret_verdict(scene->secret, 1, 0, NULL) == SECRETRT_ERR_NOT_FOUND);
}

/* Nothing is fetched for a child that asks for nothing, nor given back for it. */
static void an_idle_child_asks_the_store_for_nothing(void **state)
{
    struct scene scene = scene_new(60);

    (void)state;
    api_child(close_unused, &scene);
    api_child(leave_at_once, &scene);
    api_child(watch_events, &scene);
    assert_int_equal(vault_count(scene.vault, VAULT_LOGIN), 1);
    assert_int_equal(vault_count(scene.vault, VAULT_READ), 1);
    assert_int_equal(vault_count(scene.vault, VAULT_REVOKE), 0);
    assert_int_equal(vault_count(scene.vault, VAULT_REVOKE_SELF), 0);
    scene_end(&scene);
}

static void have_a_child(void *data)
{
    struct scene *scene = data;
    struct secretrt_value *value = NULL;
    int status = -1;
    pid_t pid;

    CHECK(secretrt_secret_read(&value, scene->secret, NULL) == 0);
    pid = fork();
    if (pid == 0) {
        struct secretrt_value *own = NULL;

        CHECK(secretrt_value_field(value, "username", NULL) == NULL);
        CHECK(secretrt_secret_read(&own, scene->secret, NULL) == 0);
        CHECK(strcmp(secretrt_value_field(own, "username", NULL), "user-3") == 0);
        secretrt_value_unref(own);
        secretrt_close(scene->client);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(strcmp(secretrt_value_field(value, "username", NULL), "user-2") == 0);
    secretrt_value_unref(value);
    secretrt_close(scene->client);
}

static void leave_it_to_a_child(void *data)
{
    struct scene *scene = data;
    int status = -1;
    pid_t pid = fork(); /* this one never uses the client */

    if (pid == 0) {
        struct secretrt_value *own = NULL;

        CHECK(secretrt_secret_read(&own, scene->secret, NULL) == 0);
        secretrt_value_unref(own);
        secretrt_close(scene->client);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void a_grandchild_works_too(void **state)
{
    struct scene scene = scene_new(60);

    (void)state;
    api_child(have_a_child, &scene);
    api_child(leave_it_to_a_child, &scene);
    assert_int_equal(vault_count(scene.vault, VAULT_REVOKE_SELF), 3);
    scene_end(&scene);
}

/* ---- what the parent does meanwhile ---- */

static void read_and_leave(void *data)
{
    struct scene *scene = data;
    struct secretrt_value *value = NULL;
    struct secretrt_error err;

    if (secretrt_secret_read(&value, scene->secret, &err) != 0)
        fprintf(stderr, "%s\n", err.message);
    CHECK(err.status == 0);
    secretrt_value_unref(value);
}

/* The lease lives a second: the parent renews it all the while. */
static void forks_while_the_parent_renews(void **state)
{
    struct scene scene = scene_new(1);
    unsigned renewals = vault_count(scene.vault, VAULT_RENEW);

    (void)state;
    for (int i = 0; i < FORKS || vault_count(scene.vault, VAULT_RENEW) < renewals + 2;
         i++)
        api_child(i % 10 == 0 ? read_and_leave : leave_at_once, &scene);
    assert_int_equal(vault_count(scene.vault, VAULT_REVOKE_SELF), 0);
    scene_end(&scene);
}

struct reading {
    struct scene *scene;
    struct api_gate begun;
    atomic_int stop;
};

static void *keep_reading(void *arg)
{
    struct reading *reading = arg;
    int told = 0;

    while (!atomic_load(&reading->stop)) {
        const struct secretrt_value *borrowed = NULL;
        struct secretrt_value *value = NULL;

        if (secretrt_secret_borrow(&borrowed, reading->scene->secret, NULL) != 0)
            abort();
        secretrt_value_return(borrowed);
        if (secretrt_read(&value, reading->scene->client, "db#username", NULL) != 0)
            abort();
        secretrt_value_unref(value);
        if (!told)
            api_pass(&reading->begun);
        told = 1;
    }
    return NULL;
}

/* They have begun before: the address sanitizer does not survive a fork in another
 * thread's malloc, and reading calls none. */
static void forks_while_other_threads_read(void **state)
{
    struct scene scene = scene_new(60);
    struct reading reading = {&scene, API_GATE_INIT, 0};
    pthread_t thread[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        thread[i] = api_thread(keep_reading, &reading);
    api_await(&reading.begun, 4);
    for (int i = 0; i < 50; i++)
        api_child(i % 10 == 0 ? read_and_leave : leave_at_once, &scene);
    atomic_store(&reading.stop, 1);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    scene_end(&scene);
}

static void a_child_of_a_borrower_keeps_its_head(void **state)
{
    struct scene scene = scene_new(60);
    const struct secretrt_value *borrowed = NULL;
    int status = -1;
    pid_t pid;

    (void)state;
    secretrt_value_unref(scene.value); /* the borrow alone holds it */
    scene.value = NULL;
    assert_int_equal(secretrt_secret_borrow(&borrowed, scene.secret, NULL), 0);
    pid = fork();
    if (pid == 0) {
        CHECK(secretrt_value_field(borrowed, "username", NULL) == NULL);
        secretrt_value_return(borrowed);
        read_and_leave(&scene);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_string_equal(secretrt_value_field(borrowed, "username", NULL), "user-1");
    secretrt_value_return(borrowed);
    scene_end(&scene);
}

/* ---- in a callback ---- */

struct forker {
    struct api_gate seen;
    struct scene *scene;
    int status;
};

static int fork_in_callback(const struct secretrt_event *event, void *data)
{
    struct forker *forker = data;
    struct secretrt_value *value = NULL;
    pid_t pid;

    if (event->kind != SECRETRT_EVENT_READY)
        return 0;
    pid = fork();
    if (pid == 0) {
        CHECK(secretrt_secret_read(&value, forker->scene->secret, NULL) == 0);
        _exit(0);
    }
    if (waitpid(pid, &forker->status, 0) != pid)
        forker->status = -1;
    api_pass(&forker->seen);
    return 0;
}

static void forks_in_a_callback(void **state)
{
    struct scene scene = scene_new(60);
    struct forker forker = {API_GATE_INIT, &scene, -1};
    struct secretrt_secret_options options = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_secret *secret = NULL;

    (void)state;
    options.sources = "env://API_ONE";
    options.on_event = fork_in_callback;
    options.data = &forker;
    assert_int_equal(
        secretrt_secret_open_with(&secret, scene.client, "other", &options, NULL), 0);
    api_await(&forker.seen, 1);
    assert_int_equal(forker.status, 0);
    secretrt_secret_close(secret);
    scene_end(&scene);
}

/* The parent was about to give it back: a child does not take it up again. */
static void a_closed_secret_does_not_come_back(void **state)
{
    struct scene scene = scene_new(60);
    struct secretrt_secret *other;

    (void)state;
    for (int i = 0; i < 20; i++) {
        other = api_secret(scene.client, "env://API_ONE");
        secretrt_secret_close(other);
        api_child(read_and_leave, &scene);
    }
    scene_end(&scene);
}

static void read_many_things(void *data)
{
    struct scene *scene = data;
    struct secretrt_item items[] = {{.name = "db"}, {.name = "db#password"}};

    CHECK(secretrt_read_many(items, 2, scene->client, NULL, NULL) == 0);
    secretrt_value_unref(items[0].value);
    secretrt_value_unref(items[1].value);
    CHECK(secretrt_shutdown(scene->client, API_PATIENCE_MS, NULL) == 0);
    CHECK(secretrt_secret_read(&items[0].value, scene->secret, NULL) ==
          SECRETRT_ERR_CLOSED);
}

static void a_child_of_a_closed_client_finds_it_closed(void *data)
{
    struct scene *scene = data;
    struct secretrt_value *value = NULL;
    struct secretrt_event event = SECRETRT_EVENT_INIT;

    CHECK(secretrt_secret_read(&value, scene->secret, NULL) == SECRETRT_ERR_CLOSED);
    CHECK(secretrt_event_next(&event, scene->client, -1) == SECRETRT_ERR_CLOSED);
    secretrt_close(scene->client);
    secretrt_secret_close(scene->secret);
}

static void shutting_down_is_each_process_own(void **state)
{
    struct scene scene = scene_new(60);

    (void)state;
    api_child(read_many_things, &scene);
    assert_int_equal(vault_count(scene.vault, VAULT_REVOKE_SELF), 1);
    secretrt_value_unref(api_read(scene.secret));
    assert_int_equal(secretrt_shutdown(scene.client, API_PATIENCE_MS, NULL), 0);
    api_child(a_child_of_a_closed_client_finds_it_closed, &scene);
    assert_int_equal(vault_count(scene.vault, VAULT_REVOKE_SELF), 2);
    secretrt_value_unref(scene.value);
    secretrt_close(scene.client);
    secretrt_secret_close(scene.secret);
    vault_free(scene.vault);
}

/* The thread sanitizer supports no thread in a forked child: only the first is run. */
#ifdef __SANITIZE_THREAD__
#define TESTS_RUN 1
#else
#define TESTS_RUN (sizeof(tests) / sizeof(tests[0]))
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_do_not_cross),
        cmocka_unit_test(a_child_has_leases_of_its_own),
        cmocka_unit_test(an_idle_child_asks_the_store_for_nothing),
        cmocka_unit_test(a_grandchild_works_too),
        cmocka_unit_test(forks_while_the_parent_renews),
        cmocka_unit_test(forks_while_other_threads_read),
        cmocka_unit_test(a_child_of_a_borrower_keeps_its_head),
        cmocka_unit_test(forks_in_a_callback),
        cmocka_unit_test(a_closed_secret_does_not_come_back),
        cmocka_unit_test(shutting_down_is_each_process_own),
    };

    api_environment();
    return _cmocka_run_group_tests("api fork", tests, TESTS_RUN, NULL, NULL);
}
