/* The layout that other languages and older programs rely on. */
#include "api.h"
#include <assert.h>

#define AT(type, member, offset)                                                       \
    static_assert(offsetof(struct secretrt_##type, member) == (offset), #member)
#define SIZE(type, size) static_assert(sizeof(struct secretrt_##type) == (size), #type)

SIZE(error, 384);
AT(error, status, 0);
AT(error, http_status, 4);
AT(error, os_errno, 8);
AT(error, retryable, 12);
AT(error, retry_after_ms, 16);
AT(error, provider, 24);
AT(error, request_id, 48);
AT(error, message, 112);

#if UINTPTR_MAX == UINT64_MAX
SIZE(options, 88);
AT(options, flags, 8);
AT(options, weakest_tier, 12);
AT(options, fetch_timeout_ms, 16);
AT(options, close_timeout_ms, 20);
AT(options, config, 24);
AT(options, config_file, 32);
AT(options, service, 40);
AT(options, audit, 48);
AT(options, audit_data, 56);
AT(options, log, 64);
AT(options, log_data, 72);
AT(options, audit_fd, 80);

SIZE(call, 48);
AT(call, flags, 8);
AT(call, timeout_ms, 12);
AT(call, actor, 16);
AT(call, traceparent, 32);
AT(call, cancelled, 40);

SIZE(secret_options, 64);
AT(secret_options, flags, 8);
AT(secret_options, refresh_ms, 12);
AT(secret_options, overlap_ms, 16);
AT(secret_options, sources, 24);
AT(secret_options, fields, 32);
AT(secret_options, verify, 40);
AT(secret_options, on_event, 48);
AT(secret_options, data, 56);

SIZE(event, 80);
AT(event, kind, 8);
AT(event, status, 12);
AT(event, tier, 16);
AT(event, merged, 20);
AT(event, generation, 24);
AT(event, old_generation, 32);
AT(event, left_ms, 40);
AT(event, secret, 48);
AT(event, data, 56);
AT(event, name, 64);
AT(event, message, 72);

SIZE(item, 24);
AT(item, value, 8);
AT(item, status, 16);

SIZE(field, 24);
SIZE(info, 88);
AT(info, generation, 16);
AT(info, expires_at_ms, 32);
AT(info, name, 40);
AT(info, limited_by, 80);

SIZE(audit_record, 120);
AT(audit_record, seq, 8);
AT(audit_record, event, 16);
AT(audit_record, request_id, 88);
AT(audit_record, generation, 96);
AT(audit_record, count, 104);
AT(audit_record, tier, 112);
AT(audit_record, status, 116);
#endif

#define CHECK_INIT(type, INIT)                                                         \
    do {                                                                               \
        const struct secretrt_##type init = INIT;                                      \
        struct secretrt_##type zero;                                                   \
                                                                                       \
        memset(&zero, 0, sizeof(zero));                                                \
        zero.size = sizeof(zero);                                                      \
        assert_memory_equal(&init, &zero, sizeof(zero));                               \
    } while (0)

static void zero_is_the_default(void **state)
{
    (void)state;
    CHECK_INIT(options, SECRETRT_OPTIONS_INIT);
    CHECK_INIT(call, SECRETRT_CALL_INIT);
    CHECK_INIT(secret_options, SECRETRT_SECRET_OPTIONS_INIT);
    CHECK_INIT(event, SECRETRT_EVENT_INIT);
}

static void every_status_has_a_name(void **state)
{
    (void)state;
    for (int status = SECRETRT_ERR_UNSUPPORTED; status <= 0; status++)
        assert_string_not_equal(secretrt_status_name(status), "unknown");
    for (int kind = SECRETRT_EVENT_READY; kind <= SECRETRT_EVENT_WARNING; kind++)
        assert_string_not_equal(secretrt_event_name(kind), "unknown");
}

static void the_numbers_stay(void **state)
{
    (void)state;
    assert_int_equal(SECRETRT_ERR_UNSUPPORTED, -22);
    assert_int_equal(SECRETRT_ERR_DENIED, -11);
    assert_int_equal(SECRETRT_EVENT_WARNING, 9);
    assert_int_equal(SECRETRT_AUDIT_LINE_MAX, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_the_default),
        cmocka_unit_test(every_status_has_a_name),
        cmocka_unit_test(the_numbers_stay),
    };

    return cmocka_run_group_tests_name("api abi", tests, NULL, NULL);
}
