#include "mem/wipe.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void zeroes_exactly_what_it_is_told(void **state)
{
    char data[] = "abcdef";

    (void)state;
    srt_wipe(data + 1, 3);
    assert_memory_equal(data, "a\0\0\0ef", 7);
    srt_wipe(NULL, 0);
}

static void compares(void **state)
{
    (void)state;
    assert_int_equal(srt_equal_ct("abc", "abc", 3), 1);
    assert_int_equal(srt_equal_ct("abc", "abd", 3), 0);
    assert_int_equal(srt_equal_ct("\x80zz", "\0zz", 3), 0);
    assert_int_equal(srt_equal_ct(NULL, NULL, 0), 1);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WIPE_STACK_VISIBLE 0 /* frames are not where the next call's frames are */
#else
#define WIPE_STACK_VISIBLE 1
#endif

__attribute__((noinline)) static uintptr_t leave_a_secret(void)
{
    volatile char secret[256];

    for (size_t i = 0; i < sizeof(secret); i++)
        secret[i] = 'S';
    return (uintptr_t)&secret[128];
}

static void scrubs_the_stack_below(void **state)
{
    uintptr_t place = 0;

    (void)state;
    if (!WIPE_STACK_VISIBLE)
        skip();
    place = leave_a_secret();
    srt_scrub();
    assert_int_not_equal(*(volatile char *)place, 'S');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroes_exactly_what_it_is_told),
        cmocka_unit_test(compares),
        cmocka_unit_test(scrubs_the_stack_below),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
