#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/status.h"

static void every_status_has_a_name_of_its_own(void **state)
{
    (void)state;
    assert_string_equal(secretrt_status_name(0), "ok");
    assert_string_equal(secretrt_status_name(SECRETRT_ERR_DENIED), "denied");
    assert_string_equal(secretrt_status_name(SECRETRT_ERR_NOT_FOUND), "not_found");
    assert_string_equal(secretrt_status_name(1), "unknown");
    assert_string_equal(secretrt_status_name(SECRETRT_ERR_UNSUPPORTED - 1), "unknown");
    for (int a = SECRETRT_ERR_UNSUPPORTED; a <= 0; a++) {
        assert_string_not_equal(secretrt_status_name(a), "unknown");
        for (int b = SECRETRT_ERR_UNSUPPORTED; b < a; b++)
            assert_string_not_equal(secretrt_status_name(a), secretrt_status_name(b));
    }
}

static void the_version_is_the_header_s(void **state)
{
    (void)state;
    assert_string_equal(secretrt_version(), SECRETRT_VERSION);
}

static void only_four_kinds_are_worth_a_retry(void **state)
{
    int n = 0;

    (void)state;
    for (int status = SECRETRT_ERR_UNSUPPORTED - 1; status <= 1; status++)
        n += srt_status_retryable(status);
    assert_int_equal(n, 4);
    assert_true(srt_status_retryable(SECRETRT_ERR_TIMEOUT));
    assert_true(srt_status_retryable(SECRETRT_ERR_UNAVAILABLE));
    assert_true(srt_status_retryable(SECRETRT_ERR_THROTTLED));
    assert_true(srt_status_retryable(SECRETRT_ERR_PENDING));
}

static void the_deepest_message_wins(void **state)
{
    struct secretrt_error err;

    (void)state;
    srt_error_clear(&err);
    assert_int_equal(err.status, 0);
    assert_int_equal(err.retry_after_ms, -1);
    err.retry_after_ms = 1500;
    assert_int_equal(srt_fail(&err, SECRETRT_ERR_THROTTLED, "role %s", "app"),
                     SECRETRT_ERR_THROTTLED);
    assert_int_equal(srt_fail(&err, SECRETRT_ERR_DENIED, "later"), SECRETRT_ERR_DENIED);
    assert_int_equal(srt_nomem(&err), SECRETRT_ERR_NOMEM);
    assert_int_equal(err.status, SECRETRT_ERR_THROTTLED);
    assert_int_equal(err.retryable, 1);
    assert_int_equal(err.retry_after_ms, 1500);
    assert_string_equal(err.message, "role app");
}

static void without_an_error_the_status_still_comes_back(void **state)
{
    (void)state;
    srt_error_clear(NULL);
    srt_error_prefix(NULL, "db");
    assert_int_equal(srt_fail(NULL, SECRETRT_ERR_INVALID, "x"), SECRETRT_ERR_INVALID);
    assert_int_equal(srt_nomem(NULL), SECRETRT_ERR_NOMEM);
}

static void a_message_is_one_line(void **state)
{
    struct secretrt_error err;

    (void)state;
    srt_error_clear(&err);
    srt_fail(&err, SECRETRT_ERR_CONFIG, "no store '%s'", "a\nroot: b\x7f");
    assert_string_equal(err.message, "no store 'a?root: b?'");
}

static void a_long_message_is_cut_between_characters(void **state)
{
    struct secretrt_error err;
    char text[400];

    (void)state;
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'a', sizeof(text));
        for (size_t i = shift; i + 3 < sizeof(text) - 1; i += 3)
            memcpy(text + i, "\xE2\x82\xAC", 3);
        text[sizeof(text) - 1] = '\0';
        srt_error_clear(&err);
        srt_fail(&err, SECRETRT_ERR_INVALID, "%s", text);
        assert_int_equal((strlen(err.message) - shift) % 3, 0);
        assert_true(strlen(err.message) >= sizeof(err.message) - 3);
        assert_memory_equal(err.message, text, strlen(err.message));
        srt_error_prefix(&err, "db");
        assert_memory_equal(err.message, "db: ", 4);
        assert_int_equal((strlen(err.message) - 4 - shift) % 3, 0);
    }
}

static void a_prefix_is_added_once(void **state)
{
    struct secretrt_error err;

    (void)state;
    srt_error_clear(&err);
    srt_error_prefix(&err, "db");
    assert_string_equal(err.message, "");
    srt_fail(&err, SECRETRT_ERR_DENIED, "dbase is shut");
    srt_error_prefix(&err, "db");
    assert_string_equal(err.message, "db: dbase is shut");
    srt_error_prefix(&err, "db");
    assert_string_equal(err.message, "db: dbase is shut");
}

static void foreign_text_is_made_harmless(void **state)
{
    char out[8];

    (void)state;
    assert_string_equal(srt_text_clean(out, sizeof(out), "a\n\0\x1b\xC3z", 6),
                        "a????z");
    assert_string_equal(srt_text_clean(out, sizeof(out), "0123456789", 10), "0123456");
    assert_string_equal(srt_text_clean(out, sizeof(out), NULL, 0), "");
    out[0] = 'x';
    srt_text_clean(out, 0, "abc", 3);
    assert_int_equal(out[0], 'x');
}

static void a_field_takes_what_fits(void **state)
{
    char out[4];

    (void)state;
    srt_text_copy(out, sizeof(out), "abc");
    assert_string_equal(out, "abc");
    srt_text_copy(out, sizeof(out), "abcd");
    assert_string_equal(out, "abc");
    srt_text_copy(out, sizeof(out), "ab\xC3\xA9");
    assert_string_equal(out, "ab");
    srt_text_copy(out, sizeof(out), NULL);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_name_of_its_own),
        cmocka_unit_test(the_version_is_the_header_s),
        cmocka_unit_test(only_four_kinds_are_worth_a_retry),
        cmocka_unit_test(the_deepest_message_wins),
        cmocka_unit_test(without_an_error_the_status_still_comes_back),
        cmocka_unit_test(a_message_is_one_line),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
        cmocka_unit_test(a_prefix_is_added_once),
        cmocka_unit_test(foreign_text_is_made_harmless),
        cmocka_unit_test(a_field_takes_what_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
