#include "api.h"
#include "support/vault.h"
#include <dlfcn.h>

/* Each case is a process of its own that ends without closing: what the test itself
 * leaves behind there, memory and finished threads, is not looked for. */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#else
static void __lsan_disable(void)
{
}
#endif

__attribute__((visibility("default"))) const char *__tsan_default_options(void);

const char *__tsan_default_options(void)
{
    return "report_thread_leaks=0";
}

struct ending {
    struct vault *vault;
    struct secretrt_client *client;
    struct secretrt_secret *secret;
};

static struct secretrt_value *kept;

static void *wait_for_ever(void *arg)
{
    struct ending *ending = arg;
    struct secretrt_value *value = NULL;

    (void)!secretrt_secret_read(&value, ending->secret, NULL);
    return NULL;
}

static void begin(struct ending *ending, int holds)
{
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;

    __lsan_disable();
    options.fetch_timeout_ms = 60000;
    ending->vault = vault_new(60);
    if (holds)
        vault_hold(ending->vault);
    ending->client = api_open_with(ending->vault->config, &options);
    ending->secret = api_secret(ending->client, "db");
}

static void exits_without_closing(void *data)
{
    struct ending ending;

    (void)data;
    begin(&ending, 0);
    kept = api_read(ending.secret);
    exit(0);
}

static void exits_while_a_fetch_is_on_its_way(void *data)
{
    static struct ending ending;

    (void)data;
    begin(&ending, 1);
    (void)api_thread(wait_for_ever, &ending);
    vault_await(ending.vault, VAULT_READ, 1);
    exit(0);
}

static struct secretrt_client *exit_client;

static void close_late(void)
{
    int64_t begun_ms = api_now_ms();

    secretrt_close(exit_client);
    CHECK(api_now_ms() - begun_ms < 1500);
}

/* A destructor that runs after ours has stopped the thread. */
static void closes_after_the_library_has_ended(void *data)
{
    struct ending ending;

    CHECK(atexit(close_late) == 0);
    (void)data;
    begin(&ending, 0);
    exit_client = ending.client;
    kept = api_read(ending.secret);
    exit(0);
}

static int exit_in_callback(const struct secretrt_event *event, void *data)
{
    (void)event;
    (void)data;
    exit(0);
}

static void exits_in_a_callback(void *data)
{
    struct secretrt_secret_options options = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_client *client = NULL;
    struct secretrt_secret *secret = NULL;

    (void)data;
    __lsan_disable();
    client = api_open(API_CONFIG);
    options.on_event = exit_in_callback;
    CHECK(secretrt_secret_open_with(&secret, client, "one", &options, NULL) == 0);
    for (;;)
        (void)pause();
}

static void without_closing(void **state)
{
    (void)state;
    api_child(exits_without_closing, NULL);
}

static void with_a_fetch_on_its_way(void **state)
{
    (void)state;
    api_child(exits_while_a_fetch_is_on_its_way, NULL);
}

static void with_a_late_close(void **state)
{
    (void)state;
    api_child(closes_after_the_library_has_ended, NULL);
}

static void from_a_callback(void **state)
{
    (void)state;
    api_child(exits_in_a_callback, NULL);
}

/* ---- the shared library, unloaded under a live client ---- */

typedef int open_fn(struct secretrt_client **out,
                    const struct secretrt_options *options, struct secretrt_error *err);
typedef int read_fn(struct secretrt_value **out, struct secretrt_client *client,
                    const char *name, struct secretrt_error *err);

static void unload_it(void *data)
{
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct secretrt_client *client = NULL;
    open_fn *open_it = NULL;
    read_fn *read_it = NULL;
    void *library;

    __lsan_disable();
    library = dlopen(data, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(library != NULL);
    *(void **)(void *)&open_it = dlsym(library, "secretrt_open");
    *(void **)(void *)&read_it = dlsym(library, "secretrt_read");
    CHECK(open_it != NULL && read_it != NULL);
    options.config = API_CONFIG;
    CHECK(open_it(&client, &options, NULL) == 0);
    CHECK(read_it(&kept, client, "one", NULL) == 0);
    CHECK(dlclose(library) == 0);
    CHECK(read_it(&kept, client, "one", NULL) == 0); /* it stays loaded */
    exit(0);
}

static void the_library_outlives_dlclose(void **state)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
    char *end;

    (void)state;
    assert_true(n > 0);
    path[n] = '\0';
    end = strrchr(path, '/'); /* BUILD/tests/api_exit_test */
    memcpy(end, "/../libsecretrt.so", 19);
    if (access(path, R_OK) != 0)
        skip();
    api_child(unload_it, path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_closing),
        cmocka_unit_test(with_a_fetch_on_its_way),
        cmocka_unit_test(with_a_late_close),
        cmocka_unit_test(from_a_callback),
        cmocka_unit_test(the_library_outlives_dlclose),
    };

    api_environment();
    return cmocka_run_group_tests_name("api exit", tests, NULL, NULL);
}
