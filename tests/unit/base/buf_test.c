#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "unit/base/fail_alloc.h"

static void text_grows_as_needed(void **state)
{
    struct srt_buf buf;

    (void)state;
    srt_buf_init(&buf, 0);
    assert_string_equal(srt_buf_text(&buf), "");
    for (int i = 0; i < 1000; i++)
        srt_buf_format(&buf, "%03d%c", i, ',');
    assert_int_equal(buf.status, 0);
    assert_int_equal(buf.len, 4000);
    assert_memory_equal(srt_buf_text(&buf) + 3996, "999,", 5);
    srt_buf_truncate(&buf, 3);
    srt_buf_char(&buf, '!');
    srt_buf_text_add(&buf, "?");
    assert_string_equal(srt_buf_text(&buf), "000!?");
    srt_buf_truncate(&buf, 99);
    assert_int_equal(buf.len, 5);
    srt_buf_wipe(&buf);
    srt_buf_wipe(&buf);
    assert_string_equal(srt_buf_text(&buf), "");
}

static void the_ceiling_holds_to_the_byte(void **state)
{
    struct srt_buf buf;

    (void)state;
    srt_buf_init(&buf, 5);
    srt_buf_text_add(&buf, "12345");
    assert_int_equal(buf.status, 0);
    srt_buf_char(&buf, '6');
    assert_int_equal(buf.status, SECRETRT_ERR_PROTOCOL);
    assert_string_equal(srt_buf_text(&buf), "12345");
    srt_buf_truncate(&buf, 0);
    srt_buf_char(&buf, 'x');
    assert_string_equal(srt_buf_text(&buf), "");
    assert_null(srt_buf_take(&buf));
    srt_buf_wipe(&buf);
    assert_int_equal(buf.status, 0);
    srt_buf_format(&buf, "%d", 123456);
    assert_int_equal(buf.status, SECRETRT_ERR_PROTOCOL);
    srt_buf_wipe(&buf);
    srt_buf_add(&buf, "x", SIZE_MAX);
    assert_int_equal(buf.status, SECRETRT_ERR_PROTOCOL);
    srt_buf_wipe(&buf);
}

static void the_taken_string_is_the_caller_s(void **state)
{
    struct srt_buf buf;
    char *text;

    (void)state;
    srt_buf_init(&buf, 0);
    text = srt_buf_take(&buf);
    assert_string_equal(text, "");
    srt_free(text);
    srt_buf_text_add(&buf, "mine");
    text = srt_buf_take(&buf);
    srt_buf_text_add(&buf, "next");
    assert_string_equal(text, "mine");
    assert_string_equal(srt_buf_text(&buf), "next");
    srt_free(text);
    srt_buf_wipe(&buf);
}

static void out_of_memory_sticks_and_keeps_what_was_there(void **state)
{
    struct srt_buf buf;

    (void)state;
    for (size_t n = 1; n <= 4; n++) {
        fail_alloc_begin(n);
        srt_buf_init(&buf, 0);
        for (int i = 0; i < 300; i++)
            srt_buf_char(&buf, 'a');
        if (fail_alloc.calls >= n) {
            assert_int_equal(buf.status, SECRETRT_ERR_NOMEM);
            assert_true(buf.len < 300);
            assert_int_equal(strlen(srt_buf_text(&buf)), buf.len);
            assert_null(srt_buf_take(&buf));
        }
        srt_buf_wipe(&buf);
        assert_int_equal(fail_alloc.live, 0);
        fail_alloc_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_grows_as_needed),
        cmocka_unit_test(the_ceiling_holds_to_the_byte),
        cmocka_unit_test(the_taken_string_is_the_caller_s),
        cmocka_unit_test(out_of_memory_sticks_and_keeps_what_was_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
