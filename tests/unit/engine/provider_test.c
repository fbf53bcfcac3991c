#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/status.h"
#include "engine/provider.h"
#include <cmocka.h>
#include <errno.h>
#include <string.h>

static char scheme[] = "vault";

static struct srt_exchange exchange(const struct srt_ref *ref,
                                    const struct srt_reply *reply)
{
    return (struct srt_exchange){.ref = ref, .reply = reply};
}

static void a_failure_carries_the_circumstances(void **state)
{
    const struct srt_ref ref = {.scheme = scheme};
    struct srt_reply reply = {.outcome = SRT_OUTCOME_ANSWERED,
                              .status = 429,
                              .request_id = "r-1",
                              .retry_after_ms = 1500};
    struct srt_exchange x = exchange(&ref, &reply);
    const struct secretrt_error *error = &x.failure.error;

    (void)state;
    assert_int_equal(
        srt_step_fail(&x, SRT_CLASS_THROTTLE, "vault %d at %s", 429, "kv/a"), SRT_FAIL);
    assert_int_equal(x.failure.failure_class, SRT_CLASS_THROTTLE);
    assert_int_equal(x.failure.retry_after_ms, 1500);
    assert_int_equal(error->status, SECRETRT_ERR_THROTTLED);
    assert_int_equal(error->retryable, 1);
    assert_int_equal(error->retry_after_ms, 1500);
    assert_int_equal(error->http_status, 429);
    assert_string_equal(error->provider, "vault");
    assert_string_equal(error->request_id, "r-1");
    assert_string_equal(error->message, "vault 429 at kv/a");
}

static void a_failure_before_any_reply(void **state)
{
    const struct srt_ref ref = {.scheme = scheme};
    struct srt_exchange x = exchange(&ref, NULL);

    (void)state;
    assert_int_equal(srt_step_fail(&x, SRT_CLASS_CONFIG, "no address"), SRT_FAIL);
    assert_int_equal(x.failure.retry_after_ms, -1);
    assert_int_equal(x.failure.error.retry_after_ms, -1);
    assert_int_equal(x.failure.error.retryable, 0);
    assert_int_equal(x.failure.error.http_status, 0);
    assert_int_equal(x.failure.error.status, SECRETRT_ERR_CONFIG);
}

static void the_deepest_message_stays(void **state)
{
    const struct srt_ref ref = {.scheme = scheme};
    struct srt_exchange x = exchange(&ref, NULL);

    (void)state;
    (void)srt_fail(&x.failure.error, SECRETRT_ERR_PROTOCOL, "line 1, column 2: no");
    (void)srt_step_fail(&x, SRT_CLASS_SERVER, "vault makes no sense");
    assert_string_equal(x.failure.error.message, "line 1, column 2: no");
    assert_int_equal(x.failure.error.status, SECRETRT_ERR_UNAVAILABLE);
    assert_int_equal(x.failure.error.retryable, 1);
}

static void a_long_message_is_cut(void **state)
{
    struct srt_exchange x = exchange(NULL, NULL);
    char text[600];

    (void)state;
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    (void)srt_step_fail(&x, SRT_CLASS_PROTOCOL, "%s", text);
    assert_int_equal(strlen(x.failure.error.message),
                     sizeof(x.failure.error.message) - 1);
}

static void each_outcome_has_a_class_and_a_message(void **state)
{
    static const struct {
        enum srt_outcome outcome;
        const char *detail;
        enum srt_class failure_class;
        const char *message;
    } rows[] = {
        {SRT_OUTCOME_UNREACHABLE, "connection refused", SRT_CLASS_UNAVAILABLE,
         "vault unreachable: connection refused"},
        {SRT_OUTCOME_TIMEOUT, "", SRT_CLASS_UNAVAILABLE,
         "vault did not answer in time"},
        {SRT_OUTCOME_TRUNCATED, "", SRT_CLASS_UNAVAILABLE,
         "vault: the answer was cut short"},
        {SRT_OUTCOME_TLS, "self-signed", SRT_CLASS_INTEGRITY,
         "vault: the server's certificate could not be verified (check ca_file): "
         "self-signed"},
        {SRT_OUTCOME_TOO_LARGE, "", SRT_CLASS_PROTOCOL,
         "vault: the answer is too large"},
        {SRT_OUTCOME_ABSENT, "", SRT_CLASS_ABSENT, "vault is not there"},
        {SRT_OUTCOME_REFUSED, "permission denied", SRT_CLASS_CONFIG,
         "vault refused: permission denied"},
        {SRT_OUTCOME_NOMEM, "", SRT_CLASS_NOMEM, "vault: out of memory"},
        {SRT_OUTCOME_NONE, "", SRT_CLASS_UNAVAILABLE, "vault: no answer"},
        {SRT_OUTCOME_ANSWERED, "", SRT_CLASS_PROTOCOL, "vault: unexpected answer"},
    };
    const struct srt_ref ref = {.scheme = scheme};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct srt_reply reply = {
            .outcome = rows[i].outcome, .retry_after_ms = -1, .os_errno = ECONNREFUSED};
        struct srt_exchange x = exchange(&ref, &reply);

        srt_text_copy(reply.detail, sizeof(reply.detail), rows[i].detail);
        assert_int_equal(srt_step_unanswered(&x, "vault"), SRT_FAIL);
        assert_int_equal(x.failure.failure_class, rows[i].failure_class);
        assert_string_equal(x.failure.error.message, rows[i].message);
        assert_int_equal(x.failure.error.os_errno, ECONNREFUSED);
        assert_int_equal(x.failure.error.status,
                         srt_class_status(rows[i].failure_class));
        assert_string_equal(x.failure.error.provider, "vault");
    }
}

static void absent_behind_http_is_not_found(void **state)
{
    struct srt_reply reply = {.outcome = SRT_OUTCOME_ABSENT, .retry_after_ms = -1};
    struct srt_exchange x = exchange(NULL, &reply);

    (void)state;
    x.request.kind = SRT_REQUEST_HTTP;
    (void)srt_step_unanswered(&x, "vault");
    assert_int_equal(x.failure.failure_class, SRT_CLASS_NOT_FOUND);
}

static void no_reply_is_unavailable(void **state)
{
    struct srt_exchange x = exchange(NULL, NULL);

    (void)state;
    (void)srt_step_unanswered(&x, "vault");
    assert_int_equal(x.failure.failure_class, SRT_CLASS_UNAVAILABLE);
}

static void each_class_has_a_status(void **state)
{
    (void)state;
    assert_int_equal(srt_class_status(SRT_CLASS_NONE), 0);
    for (int i = SRT_CLASS_NONE + 1; i < SRT_CLASS_COUNT; i++)
        assert_true(srt_class_status((enum srt_class)i) < 0);
    assert_int_equal(srt_class_status(SRT_CLASS_LOGIN), SECRETRT_ERR_LOGIN);
    assert_int_equal(srt_class_status(SRT_CLASS_AUTH), SECRETRT_ERR_DENIED);
    assert_int_equal(srt_class_status(SRT_CLASS_INTEGRITY), SECRETRT_ERR_INTEGRITY);
    assert_int_equal(srt_class_status(SRT_CLASS_ABSENT), SECRETRT_ERR_CONFIG);
    assert_int_equal(srt_class_status(SRT_CLASS_COUNT), SECRETRT_ERR_PROTOCOL);
}

static void wiping_frees_and_may_be_repeated(void **state)
{
    struct srt_exchange x = exchange(NULL, NULL);
    struct srt_reply reply = {.status = 200};
    struct srt_plan plan = {.needs = 1};

    (void)state;
    srt_buf_text_add(&x.request.target, "/v1/kv/a");
    srt_buf_text_add(&x.request.base, "https://vault");
    srt_buf_text_add(&x.request.headers, "A: b\n");
    srt_secbuf_text_add(&x.request.secret_header, "X-Vault-Token: t");
    srt_secbuf_text_add(&x.request.body, "{}");
    srt_buf_text_add(&x.grant.lease_id, "l");
    srt_secbuf_text_add(&x.scratch, "s");
    assert_int_equal(srt_bundle_new(&x.grant.bundle), 0);
    srt_secbuf_text_add(&reply.body, "b");
    srt_buf_text_add(&reply.location, "https://other");
    srt_buf_text_add(&plan.need[0].ref, "vault-login://vault");
    srt_buf_text_add(&plan.need[1].ref, "file:///x");
    for (int i = 0; i < 2; i++) {
        srt_exchange_wipe(&x);
        srt_reply_wipe(&reply);
        srt_plan_wipe(&plan);
    }
    assert_int_equal(x.request.kind, SRT_REQUEST_NONE);
    assert_null(x.grant.bundle);
    assert_int_equal(x.scratch.len, 0);
    assert_int_equal(reply.status, 0);
    assert_int_equal(plan.needs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_carries_the_circumstances),
        cmocka_unit_test(a_failure_before_any_reply),
        cmocka_unit_test(the_deepest_message_stays),
        cmocka_unit_test(a_long_message_is_cut),
        cmocka_unit_test(each_outcome_has_a_class_and_a_message),
        cmocka_unit_test(absent_behind_http_is_not_found),
        cmocka_unit_test(no_reply_is_unavailable),
        cmocka_unit_test(each_class_has_a_status),
        cmocka_unit_test(wiping_frees_and_may_be_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
