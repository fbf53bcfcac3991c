/* Out of memory at every point, and what is left in memory afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/status.h"
#include "codec/json.h"
#include "mem/arena.h"
#include "unit/base/fail_alloc.h"

#define CANARY "CANARY-91ac"

/* Over 64 values and over 16 keys in one object, an escaped string longer than the
 * parser's first buffer, and a cut one. */
static char *torture_text(size_t *len)
{
    struct srt_buf buf;

    srt_buf_init(&buf, 0);
    srt_buf_text_add(&buf, "{\"list\":[");
    for (int i = 0; i < 80; i++)
        srt_buf_format(&buf, "%d,", i);
    srt_buf_text_add(&buf, "0],\"long\":\"\\n");
    for (int i = 0; i < 500; i++)
        srt_buf_text_add(&buf, CANARY "\\n");
    srt_buf_text_add(&buf, "\"");
    for (int i = 0; i < 40; i++)
        srt_buf_format(&buf, ",\"k%d\":{\"" CANARY "\":true}", i);
    srt_buf_text_add(&buf, "}");
    assert_int_equal(buf.status, 0);
    *len = buf.len;
    return srt_buf_take(&buf);
}

static size_t arena_used(void)
{
    struct srt_arena_stats stats;

    srt_arena_stats_get(&stats);
    return stats.used + stats.large;
}

static int torture_once(const char *text, size_t len, int expected)
{
    size_t used = arena_used();
    struct secretrt_error err;
    struct srt_json *doc = NULL;
    int rc;

    srt_error_clear(&err);
    rc = srt_json_parse(&doc, text, len, 0, &err);
    if (rc == SECRETRT_ERR_NOMEM) {
        assert_null(doc);
        assert_string_equal(err.message, "out of memory");
    } else {
        assert_int_equal(rc, expected);
        assert_int_equal(doc != NULL, expected == 0);
        srt_json_free(doc);
    }
    assert_int_equal(arena_used(), used);
    return rc;
}

/* The arena keeps books on the heap too: the first round lets it take what it keeps. */
static void torture(const char *text, size_t len, int expected)
{
    size_t live;
    size_t n;

    fail_alloc_at(0);
    assert_int_equal(torture_once(text, len, expected), expected);
    live = fail_alloc.live;
    for (n = 1;; n++) {
        fail_alloc_at(n);
        if (torture_once(text, len, expected) != SECRETRT_ERR_NOMEM)
            break;
        assert_int_equal(fail_alloc.live, live);
    }
    assert_in_range(n, 2, 1000);
    assert_true(fail_alloc.calls < n);
    fail_alloc_at(0);
    for (n = 1; n < 1000; n++) {
        srt_arena_fail_after(n);
        if (torture_once(text, len, expected) != SECRETRT_ERR_NOMEM)
            break;
        assert_int_equal(fail_alloc.live, live);
    }
    srt_arena_fail_after(0);
    assert_in_range(n, 2, 999);
    assert_int_equal(fail_alloc.live, live);
}

static void out_of_memory_at_every_point(void **state)
{
    size_t len;
    char *text = torture_text(&len);

    (void)state;
    torture(text, len, 0);
    for (size_t cut = 1; cut < len; cut += 211)
        torture(text, len - cut, SECRETRT_ERR_PROTOCOL);
    torture("[1,2]]", 6, SECRETRT_ERR_PROTOCOL);
    srt_free(text);
}

static void no_secret_passes_through_the_heap(void **state)
{
    static const char text[] = "{\"a\":\"" CANARY "\\n\",\"" CANARY "\":1}";
    struct srt_json *doc;
    size_t len;
    char *more = torture_text(&len);
    size_t canaries = fail_alloc.canaries;

    (void)state;
    assert_true(canaries > 0); /* the test's own: it can see them */
    assert_int_equal(srt_json_parse(&doc, more, len, 0, NULL), 0);
    srt_json_free(doc);
    assert_int_equal(srt_json_parse(&doc, more, len - 1, 0, NULL),
                     SECRETRT_ERR_PROTOCOL);
    assert_int_equal(srt_json_parse(&doc, text, sizeof(text) - 1, 0, NULL), 0);
    assert_true(srt_arena_owns(srt_json_text(doc, 2, NULL)));
    assert_true(srt_arena_owns(srt_json_key(doc, 2, NULL)));
    srt_json_free(doc);
    assert_int_equal(fail_alloc.canaries, canaries);
    srt_free(more);
}

static void writing_runs_out_of_memory_quietly(void **state)
{
    size_t len;
    char *text = torture_text(&len);
    struct srt_secbuf out;
    struct srt_json *doc;
    int status = SECRETRT_ERR_NOMEM;

    (void)state;
    assert_int_equal(srt_json_parse(&doc, text, len, 0, NULL), 0);
    for (size_t n = 1; status == SECRETRT_ERR_NOMEM; n++) {
        assert_true(n < 100);
        srt_secbuf_init(&out, 0);
        srt_arena_fail_after(n);
        srt_json_write(&out, doc, SRT_JSON_ROOT);
        srt_arena_fail_after(0);
        status = out.status;
        if (status == 0)
            assert_string_equal(srt_secbuf_text(&out), text);
        srt_secbuf_wipe(&out);
    }
    assert_int_equal(status, 0);
    srt_json_free(doc);
    srt_free(text);
}

static void what_was_written_reads_the_same(void **state)
{
    static const char text[] =
        "[{},[],{\"a\":[null,true,false,-1.50E+2]},"
        "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f/\x7F\xC3\xA9\"]";
    struct srt_json *doc;
    struct srt_secbuf out;

    (void)state;
    assert_int_equal(srt_json_parse(&doc, text, sizeof(text) - 1, 0, NULL), 0);
    srt_secbuf_init(&out, 0);
    srt_json_write(&out, doc, SRT_JSON_ROOT);
    assert_string_equal(srt_secbuf_text(&out), text);
    assert_true(srt_arena_owns(out.data));
    srt_secbuf_wipe(&out);
    srt_json_write(&out, doc, 0);
    assert_string_equal(srt_secbuf_text(&out), "null");
    srt_secbuf_wipe(&out);
    srt_json_free(doc);
}

static void quoting(void **state)
{
    struct srt_secbuf secret;
    struct srt_buf plain;

    (void)state;
    srt_secbuf_init(&secret, 0);
    srt_json_quote(&secret, "a\"\0\n" CANARY, 4 + sizeof(CANARY) - 1);
    assert_string_equal(srt_secbuf_text(&secret), "\"a\\\"\\u0000\\n" CANARY "\"");
    srt_json_quote(&secret, "", 0);
    assert_int_equal(secret.status, 0);
    srt_secbuf_wipe(&secret);
    srt_json_quote(&secret, "a\xFF", 2);
    assert_int_equal(secret.status, SECRETRT_ERR_INVALID);
    assert_int_equal(secret.len, 0);
    srt_secbuf_wipe(&secret);
    srt_buf_init(&plain, 0);
    srt_json_quote_plain(&plain, "a\xFF\xC3\xA9\"\x01\xE2\x82", 8);
    assert_string_equal(srt_buf_text(&plain), "\"a\xEF\xBF\xBD\xC3\xA9\\\"\\u0001"
                                              "\xEF\xBF\xBD\xEF\xBF\xBD\"");
    srt_buf_wipe(&plain);
}

static int watch_the_heap(void **state)
{
    (void)state;
    fail_alloc_begin(0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(out_of_memory_at_every_point),
        cmocka_unit_test(no_secret_passes_through_the_heap),
        cmocka_unit_test(writing_runs_out_of_memory_quietly),
        cmocka_unit_test(what_was_written_reads_the_same),
        cmocka_unit_test(quoting),
    };

    return cmocka_run_group_tests(tests, watch_the_heap, NULL);
}
