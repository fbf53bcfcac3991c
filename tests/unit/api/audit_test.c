#include "api.h"
#include "crypto/hash.h"
#include <fcntl.h>

#define LOG_LEN 262144

struct log {
    char dir[64];
    char path[96];
    char config[1024];
    char text[LOG_LEN];
};

static int log_new(void **state)
{
    struct log *log = calloc(1, sizeof(*log));

    if (log == NULL)
        return -1;
    (void)snprintf(log->dir, sizeof(log->dir), "/tmp/secretrt-api-XXXXXX");
    if (mkdtemp(log->dir) == NULL)
        return -1;
    (void)snprintf(log->path, sizeof(log->path), "%s/audit.jsonl", log->dir);
    (void)snprintf(log->config, sizeof(log->config),
                   "{\"audit\": {\"file\": \"%s\", \"required\": true}, \"secrets\": "
                   "{\"one\": {\"sources\": [\"env://API_ONE\"]}}}",
                   log->path);
    *state = log;
    return 0;
}

static int log_free(void **state)
{
    struct log *log = *state;
    char old[128];

    (void)snprintf(old, sizeof(old), "%s.1", log->path);
    (void)unlink(log->path);
    (void)unlink(old);
    (void)rmdir(log->dir);
    free(log);
    return 0;
}

static const char *log_read(struct log *log, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;
    size_t len = 0;

    assert_true(fd >= 0);
    while (len + 1 < LOG_LEN && (n = read(fd, log->text + len, LOG_LEN - 1 - len)) > 0)
        len += (size_t)n;
    log->text[len] = '\0';
    (void)close(fd);
    assert_null(strstr(log->text, "CANARY"));
    return log->text;
}

static unsigned count_of(const char *text, const char *needle)
{
    unsigned n = 0;

    for (; (text = strstr(text, needle)) != NULL; text += strlen(needle))
        n++;
    return n;
}

/* The sum of "count" over the lines of an event. */
static unsigned long sum_of(const char *text, const char *event)
{
    unsigned long sum = 0;

    for (; (text = strstr(text, event)) != NULL; text += strlen(event)) {
        const char *count = strstr(text, "\"count\":");

        assert_non_null(count);
        sum += strtoul(count + 8, NULL, 10);
    }
    return sum;
}

/* Each line's link is the hash of the one before, its number the next. */
static void check_chain(char *text)
{
    char link[SRT_SHA256_HEX];
    uint8_t hash[SRT_SHA256_LEN] = {0};
    char expected[64];
    unsigned long seq = 0;

    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        const char *prev = strstr(line, "\"prev\":\"sha256:");

        (void)snprintf(expected, sizeof(expected), "\"seq\":%lu,", ++seq);
        assert_non_null(strstr(line, expected));
        assert_non_null(prev);
        srt_hex(link, hash, sizeof(hash));
        assert_memory_equal(prev + 15, link, 64);
        assert_int_equal(srt_sha256(hash, line, strlen(line)), 0);
    }
    assert_true(seq > 0);
}

static void read_times(struct secretrt_secret *secret, int n)
{
    for (int i = 0; i < n; i++) {
        const struct secretrt_value *borrowed = NULL;

        assert_int_equal(secretrt_secret_borrow(&borrowed, secret, NULL), 0);
        secretrt_value_return(borrowed);
    }
}

/* ---- the file ---- */

static void the_file_accounts_for_every_access(void **state)
{
    struct log *log = *state;
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_client *client;
    struct secretrt_secret *secret;
    struct secretrt_value *value = NULL;
    const char *text;

    options.service = "tests";
    client = api_open_with(log->config, &options);
    secret = api_secret(client, "one");
    secretrt_value_unref(api_read(secret));                          /* 1 */
    read_times(secret, 99);                                          /* 99 */
    secretrt_secret_count(secret, 1, 1000);                          /* 1000 */
    assert_int_equal(secretrt_read(&value, client, "one", NULL), 0); /* 1 */
    secretrt_value_unref(value);
    call.actor = "jane";
    call.purpose = "invoice \"4711\"";
    call.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_int_equal(secretrt_secret_read_with(&value, secret, &call, NULL), 0); /* 1 */
    secretrt_value_unref(value);
    secretrt_secret_close(secret);
    secretrt_close(client);
    text = log_read(log, log->path);
    assert_int_equal(sum_of(text, "\"event\":\"secret.read\""), 1102);
    assert_int_equal(count_of(text, "\"actor\":\"jane\""), 1);
    assert_int_equal(count_of(text, "\"purpose\":\"invoice \\\"4711\\\"\""), 1);
    assert_int_equal(count_of(text, "4bf92f3577b34da6a3ce929d0e0e4736"), 1);
    assert_int_equal(count_of(text, "\"event\":\"client.open\""), 1);
    assert_int_equal(count_of(text, "\"event\":\"client.close\""), 1);
    assert_int_equal(count_of(text, "\"event\":\"secret.refetch\""), 1);
    assert_true(count_of(text, "\"name\":\"tests\"") > 3);
    check_chain(log->text);
}

/* However readers, waits and rejections fall: each value handed out counts once. */
static void a_wait_counts_once(void **state)
{
    struct log *log = *state;
    struct secretrt_client *client = api_open(log->config);
    struct secretrt_secret *secret = api_secret(client, "one");
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_value *value = api_read(secret); /* 1 */
    struct secretrt_value *newer = NULL;

    (void)api_event(client, SECRETRT_EVENT_READY);
    assert_int_equal(secretrt_secret_reject(&newer, secret, value, 401, NULL),
                     SECRETRT_ERR_UNCHANGED); /* none */
    secretrt_value_unref(value);
    call.flags = SECRETRT_CALL_FRESH;
    for (int i = 0; i < 10; i++) { /* 10 */
        assert_int_equal(secretrt_secret_read_with(&value, secret, &call, NULL), 0);
        secretrt_value_unref(value);
    }
    secretrt_secret_close(secret);
    secretrt_close(client);
    assert_int_equal(sum_of(log_read(log, log->path), "\"event\":\"secret.read\""), 11);
}

static void a_caller_is_checked(void **state)
{
    struct log *log = *state;
    struct secretrt_client *client = api_open(log->config);
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_item item = {.name = "one"};
    char name[130];

    memset(name, 'x', sizeof(name));
    name[129] = '\0';
    call.actor = name;
    assert_int_equal(secretrt_read_many(&item, 1, client, &call, NULL),
                     SECRETRT_ERR_INVALID);
    name[128] = '\0';
    assert_int_equal(secretrt_read_many(&item, 1, client, &call, NULL), 0);
    secretrt_value_unref(item.value);
    call.actor = NULL;
    call.purpose = "two\nlines";
    assert_int_equal(secretrt_read_many(&item, 1, client, &call, NULL),
                     SECRETRT_ERR_INVALID);
    call.purpose = NULL;
    call.traceparent = "\x7f";
    assert_int_equal(secretrt_read_many(&item, 1, client, &call, NULL),
                     SECRETRT_ERR_INVALID);
    secretrt_close(client);
}

static void a_rotated_file_is_opened_anew(void **state)
{
    struct log *log = *state;
    struct secretrt_client *client = api_open(log->config);
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_item item = {.name = "one"};
    char old[128];

    call.actor = "before";
    assert_int_equal(secretrt_read_many(&item, 1, client, &call, NULL), 0);
    secretrt_value_unref(item.value);
    (void)snprintf(old, sizeof(old), "%s.1", log->path);
    assert_int_equal(rename(log->path, old), 0);
    call.actor = "after";
    assert_int_equal(secretrt_read_many(&item, 1, client, &call, NULL), 0);
    secretrt_value_unref(item.value);
    secretrt_close(client);
    assert_int_equal(count_of(log_read(log, old), "\"actor\":\"after\""), 0);
    assert_int_equal(count_of(log_read(log, log->path), "\"actor\":\"after\""), 1);
}

/* ---- what can't be recorded ---- */

static void required_means_required(void **state)
{
    struct secretrt_client *client =
        api_open("{\"audit\": {\"file\": \"/dev/full\", \"required\": true}, "
                 "\"secrets\": {\"one\": {\"sources\": [\"env://API_ONE\"]}}}");
    struct secretrt_secret *secret = api_secret(client, "one");
    struct secretrt_value *value = NULL;
    struct secretrt_error err;

    (void)state;
    assert_int_equal(secretrt_secret_read(&value, secret, &err), SECRETRT_ERR_AUDIT);
    assert_null(value);
    assert_int_equal(*secretrt_secret_generation(secret), 0);
    (void)api_event(client, SECRETRT_EVENT_WARNING);
    secretrt_secret_close(secret);
    secretrt_close(client);
}

static void not_required_serves_and_warns(void **state)
{
    struct secretrt_client *client =
        api_open("{\"audit\": {\"file\": \"/dev/full\"}, "
                 "\"secrets\": {\"one\": {\"sources\": [\"env://API_ONE\"]}}}");
    struct secretrt_secret *secret = api_secret(client, "one");

    (void)state;
    secretrt_value_unref(api_read(secret));
    (void)api_event(client, SECRETRT_EVENT_WARNING);
    secretrt_secret_close(secret);
    secretrt_close(client);
}

static void what_was_lost_is_said_later(void **state)
{
    struct log *log = *state;
    struct secretrt_client *client;
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_item item = {.name = "one"};

    (void)snprintf(log->config, sizeof(log->config),
                   "{\"audit\": {\"file\": \"%s\"}, \"secrets\": "
                   "{\"one\": {\"sources\": [\"env://API_ONE\"]}}}",
                   log->path);
    client = api_open(log->config);
    call.actor = "first";
    assert_int_equal(secretrt_read_many(&item, 1, client, &call, NULL), 0);
    secretrt_value_unref(item.value);
    assert_int_equal(unlink(log->path), 0);
    assert_int_equal(symlink("/dev/full", log->path), 0);
    call.actor = "lost";
    assert_int_equal(secretrt_read_many(&item, 1, client, &call, NULL), 0);
    secretrt_value_unref(item.value);
    assert_int_equal(unlink(log->path), 0);
    call.actor = "found";
    assert_int_equal(secretrt_read_many(&item, 1, client, &call, NULL), 0);
    secretrt_value_unref(item.value);
    secretrt_close(client);
    (void)log_read(log, log->path);
    assert_int_equal(count_of(log->text, "\"actor\":\"lost\""), 0);
    assert_int_equal(sum_of(log->text, "\"event\":\"audit.gap\""), 1);
    assert_true(strstr(log->text, "audit.gap") < strstr(log->text, "\"found\""));
}

/* ---- hook and pipe ---- */

struct hook {
    struct api_gate seen;
    struct api_gate go;
    const char *slow; /* the event at which it waits for go */
    uint64_t seq;
    char line[SECRETRT_AUDIT_LINE_MAX];
};

static int take_record(const struct secretrt_audit_record *record, void *data)
{
    struct hook *hook = data;
    char few[8];

    if (record->seq != hook->seq + 1 || record->count < 1)
        abort();
    hook->seq = record->seq;
    if (secretrt_audit_json(few, sizeof(few), record) != SECRETRT_ERR_INVALID)
        abort();
    if (secretrt_audit_json(hook->line, sizeof(hook->line), record) != 0)
        abort();
    if (strstr(hook->line, record->event) == NULL ||
        strstr(hook->line, "CANARY") != NULL)
        abort();
    api_pass(&hook->seen);
    if (hook->slow != NULL && strcmp(record->event, hook->slow) == 0)
        api_await(&hook->go, 1);
    return 0;
}

static void a_hook_sees_each_record(void **state)
{
    struct hook hook = {.seen = API_GATE_INIT, .go = API_GATE_INIT};
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct secretrt_client *client;
    struct secretrt_secret *secret;

    (void)state;
    options.audit = take_record;
    options.audit_data = &hook;
    client = api_open_with(API_CONFIG, &options);
    secret = api_secret(client, "one");
    secretrt_value_unref(api_read(secret)); /* its record was handed over before */
    assert_true(api_count(&hook.seen) >= 2);
    secretrt_secret_close(secret);
    secretrt_close(client);
    assert_true(api_count(&hook.seen) >= 4);
    assert_non_null(strstr(hook.line, "client.close"));
}

static void a_slow_hook_is_not_waited_for(void **state)
{
    struct hook hook = {
        .seen = API_GATE_INIT, .go = API_GATE_INIT, .slow = "secret.refetch"};
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_client *client;
    struct secretrt_secret *secret;
    struct secretrt_value *value = NULL;
    int64_t begun_ms = api_now_ms();

    (void)state;
    options.audit = take_record;
    options.audit_data = &hook;
    client = api_open_with(API_CONFIG, &options);
    secret = api_secret(client, "one");
    secretrt_value_unref(api_read(secret));
    assert_in_range(api_now_ms() - begun_ms, 900, 8000);
    (void)api_event(client, SECRETRT_EVENT_WARNING);
    call.actor = "jane"; /* behind the slow one in the hook's queue */
    assert_int_equal(secretrt_secret_read_with(&value, secret, &call, NULL), 0);
    secretrt_value_unref(value);
    api_pass(&hook.go);
    secretrt_secret_close(secret);
    secretrt_close(client);
}

/* It holds its own memory; the client's sinks are closed. */
static void a_stuck_hook_does_not_hold_up_close(void **state)
{
    static struct hook hook = {
        .seen = API_GATE_INIT, .go = API_GATE_INIT, .slow = "client.open"};
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct secretrt_client *client;
    int64_t begun_ms;

    (void)state;
    options.audit = take_record;
    options.audit_data = &hook;
    options.close_timeout_ms = 100;
    client = api_open_with(API_CONFIG, &options);
    api_await(&hook.seen, 1);
    begun_ms = api_now_ms();
    secretrt_close(client);
    assert_true(api_now_ms() - begun_ms < 5000);
    api_pass(&hook.go);
}

static void a_pipe_gets_the_lines(void **state)
{
    struct log *log = *state;
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct secretrt_client *client;
    struct secretrt_secret *secret;
    size_t len = 0;
    ssize_t n;
    int fd[2];

    assert_int_equal(pipe(fd), 0);
    options.audit_fd = fd[1];
    client = api_open_with(API_CONFIG, &options);
    (void)close(fd[1]); /* it was duplicated */
    secret = api_secret(client, "one");
    secretrt_value_unref(api_read(secret));
    secretrt_secret_close(secret);
    secretrt_close(client);
    while ((n = read(fd[0], log->text + len, LOG_LEN - 1 - len)) > 0)
        len += (size_t)n;
    (void)close(fd[0]);
    log->text[len] = '\0';
    assert_null(strstr(log->text, "CANARY"));
    assert_int_equal(count_of(log->text, "\"event\":\"client.close\""), 1);
    check_chain(log->text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_file_accounts_for_every_access, log_new,
                                        log_free),
        cmocka_unit_test_setup_teardown(a_wait_counts_once, log_new, log_free),
        cmocka_unit_test_setup_teardown(a_caller_is_checked, log_new, log_free),
        cmocka_unit_test_setup_teardown(a_rotated_file_is_opened_anew, log_new,
                                        log_free),
        cmocka_unit_test(required_means_required),
        cmocka_unit_test(not_required_serves_and_warns),
        cmocka_unit_test_setup_teardown(what_was_lost_is_said_later, log_new, log_free),
        cmocka_unit_test(a_hook_sees_each_record),
        cmocka_unit_test(a_slow_hook_is_not_waited_for),
        cmocka_unit_test(a_stuck_hook_does_not_hold_up_close),
        cmocka_unit_test_setup_teardown(a_pipe_gets_the_lines, log_new, log_free),
    };

    api_environment();
    return cmocka_run_group_tests_name("api audit", tests, NULL, NULL);
}
