#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unit/base/fail_alloc.h"

static void memory_is_zeroed(void **state)
{
    unsigned char *ptr;

    (void)state;
    for (int round = 0; round < 2; round++) {
        ptr = srt_alloc(64);
        assert_non_null(ptr);
        for (size_t i = 0; i < 64; i++)
            assert_int_equal(ptr[i], 0);
        memset(ptr, 0xAA, 64);
        srt_free(ptr);
    }
}

static void nothing_is_still_a_pointer(void **state)
{
    void *ptr = srt_alloc(0);

    (void)state;
    assert_non_null(ptr);
    srt_free(ptr);
    srt_free(NULL);
}

static void a_product_that_overflows_is_refused(void **state)
{
    char *kept = srt_strdup("kept");

    (void)state;
    assert_null(srt_alloc_array(SIZE_MAX / 2, 3));
    assert_null(srt_alloc_array(3, SIZE_MAX / 2));
    assert_null(srt_grow_array(kept, 5, SIZE_MAX / 2, 4));
    assert_string_equal(kept, "kept");
    srt_free(kept);
}

static void growth_keeps_the_old_and_zeroes_the_new(void **state)
{
    uint32_t *list = srt_alloc_array(2, sizeof(*list));
    uint32_t *more;

    (void)state;
    list[0] = 7;
    list[1] = 8;
    more = srt_grow_array(list, 2, 5, sizeof(*list));
    assert_non_null(more);
    assert_int_equal(more[0], 7);
    assert_int_equal(more[1], 8);
    for (size_t i = 2; i < 5; i++)
        assert_int_equal(more[i], 0);
    more = srt_grow_array(more, 5, 1, sizeof(*list));
    assert_int_equal(more[0], 7);
    srt_free(more);
    more = srt_grow_array(NULL, 0, 3, sizeof(*list));
    assert_non_null(more);
    srt_free(more);
}

static void a_failed_growth_leaves_the_old_alone(void **state)
{
    char *text;

    (void)state;
    fail_alloc_begin(2);
    text = srt_strdup("before");
    assert_null(srt_grow_array(text, 7, 100, 1));
    assert_string_equal(text, "before");
    srt_free(text);
    assert_int_equal(fail_alloc.live, 0);
    fail_alloc_end();
}

static void copies_of_strings(void **state)
{
    char *text;

    (void)state;
    assert_null(srt_strdup(NULL));
    assert_null(srt_strndup(NULL, 3));
    text = srt_strndup("abcdef", 3);
    assert_string_equal(text, "abc");
    srt_free(text);
    text = srt_strndup("ab", SIZE_MAX);
    assert_string_equal(text, "ab");
    srt_free(text);
    fail_alloc_begin(1);
    assert_null(srt_strdup("x"));
    fail_alloc_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed),
        cmocka_unit_test(nothing_is_still_a_pointer),
        cmocka_unit_test(a_product_that_overflows_is_refused),
        cmocka_unit_test(growth_keeps_the_old_and_zeroes_the_new),
        cmocka_unit_test(a_failed_growth_leaves_the_old_alone),
        cmocka_unit_test(copies_of_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
