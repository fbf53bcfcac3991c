#include "base/status.h"
#include "mem/arena.h"
#include "mem/secbuf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

__attribute__((noinline, no_sanitize("address"))) static int all_zero(const char *data,
                                                                      size_t len)
{
    const volatile char *p = data;

    for (size_t i = 0; i < len; i++) {
        if (p[i] != 0)
            return 0;
    }
    return 1;
}

static size_t used(void)
{
    struct srt_arena_stats stats;

    srt_arena_stats_get(&stats);
    return stats.used + stats.large;
}

static void grows_with_a_nul_after_the_end(void **state)
{
    struct srt_secbuf buf;

    (void)state;
    srt_secbuf_init(&buf, 0);
    assert_string_equal(srt_secbuf_text(&buf), "");
    srt_secbuf_add(&buf, NULL, 0);
    assert_null(buf.data);
    srt_secbuf_text_add(&buf, "pass");
    srt_secbuf_char(&buf, 'w');
    srt_secbuf_add(&buf, "ord-and-more", 3);
    assert_string_equal(srt_secbuf_text(&buf), "password");
    assert_int_equal(buf.len, 8);
    assert_int_equal(srt_arena_owns(buf.data), 1);
    srt_secbuf_wipe(&buf);
    srt_secbuf_wipe(&buf);
    assert_string_equal(srt_secbuf_text(&buf), "");
    assert_int_equal(used(), 0);
}

static void wipes_each_place_it_leaves(void **state)
{
    struct srt_secbuf buf;
    char *place = NULL;

    (void)state;
    srt_secbuf_init(&buf, 0);
    while (buf.len < (size_t)50 * 1024) {
        char *before = buf.data;
        size_t cap = buf.cap;
        srt_secbuf_text_add(&buf, "SSSSSSSSSSSSSSSSS");
        /* Where the old place was not given out again at once. */
        if (before != NULL && before != buf.data)
            assert_true(all_zero(before, cap));
    }
    assert_int_equal(buf.status, 0);
    place = buf.data;
    srt_secbuf_wipe(&buf);
    assert_true(all_zero(place, (size_t)50 * 1024));
    assert_int_equal(used(), 0);
}

static void holds_its_ceiling(void **state)
{
    struct srt_secbuf buf;
    char big[4096];

    (void)state;
    memset(big, 'S', sizeof(big));
    srt_secbuf_init(&buf, 100);
    srt_secbuf_add(&buf, big, 100);
    assert_int_equal(buf.status, 0);
    srt_secbuf_char(&buf, 'x');
    assert_int_equal(buf.status, SECRETRT_ERR_PROTOCOL);
    assert_int_equal(buf.len, 100);
    srt_secbuf_wipe(&buf);
    assert_int_equal(buf.status, 0);
    assert_int_equal(buf.max, 100);
    srt_secbuf_add(&buf, big, SIZE_MAX);
    assert_int_equal(buf.status, SECRETRT_ERR_PROTOCOL);
    srt_secbuf_wipe(&buf);
    srt_secbuf_init(&buf, 0);
    while (buf.status == 0)
        srt_secbuf_add(&buf, big, sizeof(big));
    assert_int_equal(buf.status, SECRETRT_ERR_PROTOCOL);
    assert_int_equal(buf.len, SRT_SECBUF_MAX);
    srt_secbuf_wipe(&buf);
    assert_int_equal(used(), 0);
}

static void keeps_what_it_has_when_out_of_memory(void **state)
{
    struct srt_secbuf buf;
    char more[200] = {'m'};

    (void)state;
    srt_secbuf_init(&buf, 0);
    srt_secbuf_text_add(&buf, "first");
    srt_arena_fail_after(1);
    srt_secbuf_add(&buf, more, sizeof(more));
    assert_int_equal(buf.status, SECRETRT_ERR_NOMEM);
    srt_secbuf_text_add(&buf, "!"); /* would fit, but errors stick */
    assert_string_equal(srt_secbuf_text(&buf), "first");
    srt_secbuf_wipe(&buf);
}

static void moves(void **state)
{
    struct srt_secbuf from;
    struct srt_secbuf to;

    (void)state;
    srt_secbuf_init(&from, 10);
    srt_secbuf_init(&to, 20);
    srt_secbuf_text_add(&from, "new");
    srt_secbuf_text_add(&to, "old");
    srt_secbuf_move(&to, &from);
    assert_string_equal(srt_secbuf_text(&to), "new");
    assert_int_equal(to.max, 20);
    assert_null(from.data);
    assert_int_equal(from.max, 10);
    srt_secbuf_move(&to, &to);
    assert_string_equal(srt_secbuf_text(&to), "new");
    srt_secbuf_wipe(&to);
    assert_int_equal(used(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_with_a_nul_after_the_end),
        cmocka_unit_test(wipes_each_place_it_leaves),
        cmocka_unit_test(holds_its_ceiling),
        cmocka_unit_test(keeps_what_it_has_when_out_of_memory),
        cmocka_unit_test(moves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
