#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/status.h"
#include "codec/json.h"
#include "mem/arena.h"

#define CANARY "CANARY-7d20"
#define MIB (1024 * 1024)

/* A place where a reader past the end is seen: the text has no NUL of its own. */
static int parse(struct srt_json **out, const char *text, size_t len, unsigned flags,
                 struct secretrt_error *err)
{
    char *exact = malloc(len > 0 ? len : 1);
    int rc;

    assert_non_null(exact);
    memcpy(exact, text, len);
    srt_error_clear(err);
    rc = srt_json_parse(out, exact, len, flags, err);
    free(exact);
    assert_int_equal(rc, err->status);
    assert_int_equal(rc == 0, *out != NULL);
    return rc;
}

static struct srt_json *good(const char *text)
{
    struct secretrt_error err;
    struct srt_json *doc;

    assert_int_equal(parse(&doc, text, strlen(text), 0, &err), 0);
    assert_string_equal(err.message, "");
    return doc;
}

static void bad(const char *text, size_t len, const char *message)
{
    struct secretrt_error err;
    struct srt_json *doc;

    assert_int_equal(parse(&doc, text, len, 0, &err), SECRETRT_ERR_PROTOCOL);
    if (message != NULL)
        assert_string_equal(err.message, message);
    assert_null(strstr(err.message, "CANARY"));
}

static void values_of_each_type(void **state)
{
    struct srt_json *doc = good(" {\"o\":{\"a\":[1,-2.5e3,true,false,null,\"\"]},"
                                "\"s\":\"x\\n\\u00e9\\ud83d\\ude00\\/\"} ");
    srt_json_ref list = srt_json_path(doc, SRT_JSON_ROOT, "o.a");
    srt_json_ref at = srt_json_first(doc, list);
    size_t len;

    (void)state;
    assert_int_equal(srt_json_type(doc, SRT_JSON_ROOT), SRT_JSON_OBJECT);
    assert_int_equal(srt_json_count(doc, SRT_JSON_ROOT), 2);
    assert_int_equal(srt_json_count(doc, list), 6);
    assert_string_equal(srt_json_text(doc, at, &len), "1");
    assert_int_equal(len, 1);
    at = srt_json_next(doc, at);
    assert_int_equal(srt_json_type(doc, at), SRT_JSON_NUMBER);
    assert_string_equal(srt_json_text(doc, at, NULL), "-2.5e3");
    at = srt_json_next(doc, at);
    assert_string_equal(srt_json_text(doc, at, &len), "true");
    assert_int_equal(len, 4);
    assert_int_equal(srt_json_bool(doc, at, 0), 1);
    at = srt_json_next(doc, at);
    assert_string_equal(srt_json_text(doc, at, NULL), "false");
    assert_int_equal(srt_json_bool(doc, at, 1), 0);
    at = srt_json_next(doc, at);
    assert_int_equal(srt_json_type(doc, at), SRT_JSON_NULL);
    assert_null(srt_json_text(doc, at, &len));
    assert_int_equal(len, 0);
    at = srt_json_next(doc, at);
    assert_true(srt_json_equals(doc, at, ""));
    assert_int_equal(srt_json_next(doc, at), 0);
    at = srt_json_get(doc, SRT_JSON_ROOT, "s");
    assert_string_equal(srt_json_text(doc, at, &len), "x\n\xC3\xA9\xF0\x9F\x98\x80/");
    assert_int_equal(len, 9);
    assert_string_equal(srt_json_key(doc, at, &len), "s");
    assert_true(srt_arena_owns(srt_json_text(doc, at, NULL)));
    srt_json_free(doc);
    srt_json_free(NULL);
}

static void what_is_absent_is_harmless(void **state)
{
    struct srt_json *doc = good("{\"a\":{\"b\":1},\"\":2}");
    unsigned line = 9;
    unsigned column = 9;
    int64_t value = 5;

    (void)state;
    assert_int_equal(srt_json_get(doc, SRT_JSON_ROOT, "x"), 0);
    assert_int_equal(srt_json_get(doc, 0, "a"), 0);
    assert_int_equal(srt_json_path(doc, SRT_JSON_ROOT, "a.b.c"), 0);
    assert_int_equal(srt_json_path(doc, SRT_JSON_ROOT, "a."), 0);
    assert_int_not_equal(srt_json_get(doc, SRT_JSON_ROOT, ""), 0);
    assert_int_equal(srt_json_type(doc, 0), SRT_JSON_NULL);
    assert_int_equal(srt_json_type(doc, 99), SRT_JSON_NULL);
    assert_null(srt_json_text(doc, 0, NULL));
    assert_null(srt_json_key(doc, SRT_JSON_ROOT, NULL));
    assert_int_equal(srt_json_count(doc, 0), 0);
    assert_int_equal(srt_json_count(doc, srt_json_path(doc, 1, "a.b")), 0);
    assert_int_equal(srt_json_first(doc, srt_json_path(doc, 1, "a.b")), 0);
    assert_int_equal(srt_json_next(doc, 0), 0);
    assert_int_equal(srt_json_bool(doc, 0, 7), 7);
    assert_false(srt_json_equals(doc, 0, ""));
    assert_int_equal(srt_json_int(&value, doc, 0, 0, 9), SECRETRT_ERR_PROTOCOL);
    assert_int_equal(value, 5);
    srt_json_where(doc, 0, &line, &column);
    assert_int_equal(line + column, 0);
    srt_json_free(doc);
}

static void integers_within_bounds(void **state)
{
    struct srt_json *doc = good("[10,-10,0,1.0,1e2,\"3\",true,9223372036854775807,"
                                "9223372036854775808,-9223372036854775808,"
                                "123456789012345678901234567890123456789012345678]");
    static const int fits[] = {1, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0};
    srt_json_ref at = srt_json_first(doc, SRT_JSON_ROOT);
    int64_t value;

    (void)state;
    for (size_t i = 0; i < 11; i++, at = srt_json_next(doc, at))
        assert_int_equal(srt_json_int(&value, doc, at, INT64_MIN, INT64_MAX) == 0,
                         fits[i]);
    at = srt_json_first(doc, SRT_JSON_ROOT);
    assert_int_equal(srt_json_int(&value, doc, at, 0, 9), SECRETRT_ERR_PROTOCOL);
    assert_int_equal(srt_json_int(&value, doc, at, 10, 10), 0);
    assert_int_equal(value, 10);
    srt_json_free(doc);
}

static void a_root_need_not_be_a_container(void **state)
{
    static const char *const text[] = {"12", "-0.5e-7", "true", "null", "\"\"", " 7 "};
    struct srt_secbuf out;
    struct srt_json *doc;

    (void)state;
    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        doc = good(text[i]);
        srt_secbuf_init(&out, 0);
        srt_json_write(&out, doc, SRT_JSON_ROOT);
        assert_non_null(strstr(text[i], srt_secbuf_text(&out)));
        srt_secbuf_wipe(&out);
        srt_json_free(doc);
    }
}

static void a_string_may_hold_nul(void **state)
{
    struct srt_json *doc = good("{\"a\\u0000b\":\"x\\u0000y\\u0000\"}");
    srt_json_ref at = srt_json_first(doc, SRT_JSON_ROOT);
    struct srt_secbuf out;
    size_t len;

    (void)state;
    assert_memory_equal(srt_json_text(doc, at, &len), "x\0y\0", 5);
    assert_int_equal(len, 4);
    assert_memory_equal(srt_json_key(doc, at, &len), "a\0b", 4);
    assert_int_equal(len, 3);
    assert_int_equal(srt_json_get(doc, SRT_JSON_ROOT, "a"), 0);
    assert_false(srt_json_equals(doc, at, "x"));
    srt_secbuf_init(&out, 0);
    srt_json_write(&out, doc, SRT_JSON_ROOT);
    assert_string_equal(srt_secbuf_text(&out), "{\"a\\u0000b\":\"x\\u0000y\\u0000\"}");
    srt_secbuf_wipe(&out);
    srt_json_free(doc);
}

static void nested(size_t depth, int objects, const char *message)
{
    const char *open = objects ? "{\"a\":" : "[";
    size_t width = strlen(open);
    char *text = malloc(depth * (width + 1) + 1);

    assert_non_null(text);
    for (size_t i = 0; i < depth; i++)
        memcpy(text + i * width, open, width);
    text[depth * width] = '1';
    memset(text + depth * width + 1, objects ? '}' : ']', depth);
    if (message == NULL) {
        struct secretrt_error err;
        struct srt_json *doc;

        assert_int_equal(parse(&doc, text, depth * (width + 1) + 1, 0, &err), 0);
        srt_json_free(doc);
    } else {
        bad(text, depth * (width + 1) + 1, message);
    }
    free(text);
}

static void depth_has_a_limit(void **state)
{
    (void)state;
    for (int objects = 0; objects < 2; objects++) {
        nested(31, objects, NULL);
        nested(32, objects, NULL);
    }
    nested(33, 0, "JSON is nested deeper than 32 levels at line 1, column 33");
    nested(33, 1, "JSON is nested deeper than 32 levels at line 1, column 161");
    nested(100000, 0, "JSON is nested deeper than 32 levels at line 1, column 33");
    nested(100000, 1, "JSON is nested deeper than 32 levels at line 1, column 161");
}

static void many(char *text, size_t n)
{
    text[0] = '[';
    for (size_t i = 0; i < n; i++)
        memcpy(text + 1 + 2 * i, i + 1 < n ? "1," : "1]", 2);
}

static void the_number_of_values_has_a_limit(void **state)
{
    static char text[2 * SRT_JSON_NODES_MAX + 2];
    struct secretrt_error err;
    struct srt_json *doc;

    (void)state;
    many(text, SRT_JSON_NODES_MAX - 1);
    assert_int_equal(parse(&doc, text, 2 * SRT_JSON_NODES_MAX - 1, 0, &err), 0);
    assert_int_equal(srt_json_count(doc, SRT_JSON_ROOT), SRT_JSON_NODES_MAX - 1);
    srt_json_free(doc);
    many(text, SRT_JSON_NODES_MAX);
    bad(text, 2 * SRT_JSON_NODES_MAX + 1,
        "JSON holds more than 65536 values at line 1, column 131072");
}

static void the_length_has_a_limit(void **state)
{
    char *text = malloc(SRT_JSON_BYTES_MAX + 1);
    struct secretrt_error err;
    struct srt_json *doc;

    (void)state;
    memset(text, ' ', SRT_JSON_BYTES_MAX + 1);
    text[0] = '1';
    assert_int_equal(parse(&doc, text, SRT_JSON_BYTES_MAX, 0, &err), 0);
    srt_json_free(doc);
    bad(text, SRT_JSON_BYTES_MAX + 1, NULL);
    free(text);
}

static void the_same_key_twice_is_refused(void **state)
{
    (void)state;
    bad("{\"" CANARY "\":1,\n \"b\":2, \"" CANARY "\":3}", 42,
        "JSON object holds the same key twice at line 2, column 9");
    bad("[{\"k\":1,\"\\u006b\":2}]", 20,
        "JSON object holds the same key twice at line 1, column 9");
    bad("{\"\":1,\"\":2}", 11, NULL);
    srt_json_free(good("[{\"k\":{\"k\":1}},{\"k\":2}]"));
    srt_json_free(good("{\"a\\u0000\":1,\"a\":2,\"a\\u0000\\u0000\":3,\"A\":4}"));
}

static void ten_thousand_keys_take_no_seconds(void **state)
{
    const size_t n = 10000;
    char *text = malloc(n * 24 + 64);
    clock_t begin = clock();
    struct secretrt_error err;
    struct srt_json *doc;
    size_t len = 0;

    (void)state;
    text[len++] = '{';
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(text + len, 24, "\"key-%05zu\":%zu,", i, i);
    text[len - 1] = '}';
    assert_int_equal(parse(&doc, text, len, 0, &err), 0);
    assert_int_equal(srt_json_count(doc, SRT_JSON_ROOT), n);
    assert_int_not_equal(srt_json_get(doc, SRT_JSON_ROOT, "key-09999"), 0);
    srt_json_free(doc);
    len += (size_t)snprintf(text + len - 1, 24, ",\"key-05000\":0}") - 1;
    bad(text, len, NULL);
    assert_true((clock() - begin) / CLOCKS_PER_SEC < 2);
    free(text);
}

static const char sample[] =
    "{\n  \"lease_id\": \"db/creds/app/" CANARY "\",\n  \"renewable\": true,\n"
    "  \"lease_duration\": 3600, \"wrap\": null,\n"
    "  \"data\": {\"password\": \"" CANARY "\\u0041\\n\\ud83d\\ude00\xC3\xA9\", "
    "\"list\": [1, -2.5E+3, [], {}, false]}\n}";

static void every_cut_is_noticed(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(sample) - 1; len++)
        bad(sample, len, NULL);
    srt_json_free(good(sample));
    bad("", 0, "JSON ends too early at line 1, column 1");
    bad("{\n\"a\":", 6, "JSON ends too early at line 2, column 5");
    bad("\"" CANARY, 12, "JSON ends too early at line 1, column 13");
    bad("tru", 3, "JSON ends too early at line 1, column 4");
    bad("-", 1, NULL);
    bad("1.", 2, NULL);
    bad("1e", 2, NULL);
    bad("\"\\", 2, NULL);
    bad("\"\\u00", 5, NULL);
    bad("\"\\ud83d", 7, NULL);
}

static void nothing_may_follow(void **state)
{
    static const char *const tail[] = {"x",    "1",      "{",   "}",  "]", ",", ":",
                                       "\"ab", "\"ab\"", "tru", "//", "/", "-", "/* "};
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof(tail) / sizeof(tail[0]); i++) {
        (void)snprintf(text, sizeof(text), "{\"a\":1}\n %s", tail[i]);
        bad(text, strlen(text),
            tail[i][0] == ',' || tail[i][0] == ':'
                ? NULL
                : "JSON goes on after its end at line 2, column 2");
        (void)snprintf(text, sizeof(text), "\"x\" %s", tail[i]);
        bad(text, strlen(text), NULL);
        (void)snprintf(text, sizeof(text), "12 %s", tail[i]);
        bad(text, strlen(text), NULL);
    }
    bad("1\0", 2, NULL);
    bad("{}\0", 3, NULL);
}

static void malformed_text_is_refused(void **state)
{
    static const char *const text[] = {
        "[1,]",       "{\"a\":1,}", "[,1]",      "[1 2]",          "{\"a\" 1}",
        "{a:1}",      "{'a':1}",    "{1:2}",     "[01]",           "[+1]",
        "[.5]",       "[1.]",       "[0x10]",    "[NaN]",          "[Infinity]",
        "[1}",        "{\"a\":1]",  "[\"\\x\"]", "[\"\\u12g4\"]",  "[\"\t\"]",
        "[\"\n\"]",   "[True]",     "[1\f]",     "\xEF\xBB\xBF{}", "{\"a\"}",
        "[1,,2]",     "[\"a\":1]",  "[--1]",     "[nul]",          "[// x\n1]",
        "[/* x */1]", "]",          "{\"a\":}",  "[1e+]",          "[\v1]",
        "[-]"};

    (void)state;
    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++)
        bad(text[i], strlen(text[i]), NULL);
    bad("[\"a\0b\"]", 7, NULL);
    bad("{\"a\": 1\n \"" CANARY "\": 2}", 26, "JSON is malformed at line 2, column 2");
    bad("[1, \xC3\xA9]", 7, "JSON is malformed at line 1, column 5");
    bad("[\"\xC3\xA9\xC3\xA9\" x]", 10, "JSON is malformed at line 1, column 7");
}

static void strings_are_utf8(void **state)
{
    static const char *const text[] = {
        "[\"\xFF\"]",         "[\"\xC3\"]",         "[\"\xC0\x80\"]",
        "[\"\xED\xA0\x80\"]", "[\"\xE0\x80\xAF\"]", "[\"\xF4\x90\x80\x80\"]",
        "[\"\x80\"]",         "{\"\xFF\":1}",       "[\"\xE2\x82\"]"};

    (void)state;
    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++)
        bad(text[i], strlen(text[i]), "JSON is not UTF-8 at line 1, column 3");
    bad("[\"\\ud800\"]", 10, "JSON has half a surrogate pair at line 1, column 3");
    bad("[\"\\udc00\"]", 10, "JSON has half a surrogate pair at line 1, column 3");
    bad("[\"\\ud800\\u0041\"]", 16, NULL);
    bad("[\"\\ud800x\"]", 11, NULL);
    bad("[\"\\ud83d\\ud83d\"]", 16, NULL);
    srt_json_free(good("[\"\\\\ud800\"]"));
}

static void large(char filler, size_t width, size_t factor)
{
    size_t n = MIB / width;
    char *text = malloc(n * width + 2);
    struct secretrt_error err;
    struct srt_json *doc;
    size_t len;

    assert_non_null(text);
    memset(text, filler, n * width + 2);
    text[0] = '"';
    for (size_t i = 0; width > 1 && i < n; i++)
        memcpy(text + 1 + i * width, "\\u20ac", width);
    text[n * width + 1] = '"';
    assert_int_equal(parse(&doc, text, n * width + 2, 0, &err), 0);
    assert_non_null(srt_json_text(doc, SRT_JSON_ROOT, &len));
    assert_int_equal(len, n * factor);
    srt_json_free(doc);
    /* Cut: the parser buffers all of it. */
    assert_int_equal(parse(&doc, text, n * width + 1, 0, &err), SECRETRT_ERR_PROTOCOL);
    free(text);
}

static void strings_of_a_mebibyte(void **state)
{
    (void)state;
    large('a', 1, 1);
    large('\\', 6, 3);
}

/* The parser's buffers double at powers of two: each length around one. */
static void strings_of_every_length_near_a_doubling(void **state)
{
    static char text[9000];
    struct secretrt_error err;
    struct srt_json *doc;
    size_t len;

    (void)state;
    for (size_t n = 2; n < 8300; n = n == 2060 ? 4080 : n == 4110 ? 8180 : n + 1) {
        memset(text, 'a', n + 2);
        memcpy(text, "\"\\n", 3);
        text[n + 1] = '"';
        assert_int_equal(parse(&doc, text, n + 2, 0, &err), 0);
        assert_non_null(srt_json_text(doc, SRT_JSON_ROOT, &len));
        assert_int_equal(len, n - 1);
        srt_json_free(doc);
        assert_int_equal(parse(&doc, text, n + 1, 0, &err), SECRETRT_ERR_PROTOCOL);
        memset(text, '1', n);
        assert_int_equal(parse(&doc, text, n, 0, &err), 0);
        srt_json_free(doc);
    }
}

static void comments_only_where_they_are_allowed(void **state)
{
    static const char text[] = "// \"quoted\" \\\n{ /* \\ud83x ** */ \"a\": // b\n"
                               "  [1, /**/ \"x//y\"] /* end */\n} // last";
    static const char *const open[] = {
        "/* " CANARY, "/", "/*/", "{}/* x", "[1,/* \" */", "[1 // \n", "{} // a\n x"};
    struct secretrt_error err;
    struct srt_json *doc;
    unsigned line;
    unsigned column;

    (void)state;
    assert_int_equal(parse(&doc, text, sizeof(text) - 1, SRT_JSON_COMMENTS, &err), 0);
    srt_json_where(doc, srt_json_get(doc, SRT_JSON_ROOT, "a"), &line, &column);
    assert_int_equal(line, 2);
    assert_int_equal(column, 19);
    srt_json_where(doc, srt_json_first(doc, srt_json_get(doc, SRT_JSON_ROOT, "a")),
                   &line, &column);
    assert_int_equal(line, 3);
    assert_int_equal(column, 4);
    srt_json_free(doc);
    bad(text, sizeof(text) - 1, "JSON is malformed at line 1, column 1");
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        assert_int_equal(parse(&doc, open[i], strlen(open[i]), SRT_JSON_COMMENTS, &err),
                         SECRETRT_ERR_PROTOCOL);
        assert_null(strstr(err.message, "CANARY"));
    }
}

static void place(const struct srt_json *doc, const char *path, unsigned want_line,
                  unsigned want_column)
{
    srt_json_ref node = SRT_JSON_ROOT;
    unsigned line;
    unsigned column;

    if (path[0] != '\0')
        node = srt_json_path(doc, SRT_JSON_ROOT, path);
    srt_json_where(doc, node, &line, &column);
    assert_int_equal(line, want_line);
    assert_int_equal(column, want_column);
}

static void places_are_those_of_keys(void **state)
{
    struct srt_json *doc = good("\n {\"a\": 1,\r\n\t\"b\" : {\n\n\"\\u0063\":\"x\"  },"
                                "\"\xC3\xA9\":2, \"d\"\n:\n3}");

    (void)state;
    place(doc, "", 2, 2);
    place(doc, "a", 2, 3);
    place(doc, "b", 3, 2);
    place(doc, "b.c", 5, 1);
    place(doc, "\xC3\xA9", 5, 17);
    place(doc, "d", 5, 24);
    srt_json_free(doc);
}

static void the_first_message_is_kept(void **state)
{
    struct secretrt_error err;
    struct srt_json *doc;

    (void)state;
    srt_error_clear(&err);
    srt_fail(&err, SECRETRT_ERR_CONFIG, "deeper");
    assert_int_equal(srt_json_parse(&doc, "[", 1, 0, &err), SECRETRT_ERR_PROTOCOL);
    assert_string_equal(err.message, "deeper");
    assert_int_equal(srt_json_parse(&doc, "[", 1, 0, NULL), SECRETRT_ERR_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_each_type),
        cmocka_unit_test(what_is_absent_is_harmless),
        cmocka_unit_test(integers_within_bounds),
        cmocka_unit_test(a_root_need_not_be_a_container),
        cmocka_unit_test(a_string_may_hold_nul),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(the_number_of_values_has_a_limit),
        cmocka_unit_test(the_length_has_a_limit),
        cmocka_unit_test(the_same_key_twice_is_refused),
        cmocka_unit_test(ten_thousand_keys_take_no_seconds),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(nothing_may_follow),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(strings_are_utf8),
        cmocka_unit_test(strings_of_a_mebibyte),
        cmocka_unit_test(strings_of_every_length_near_a_doubling),
        cmocka_unit_test(comments_only_where_they_are_allowed),
        cmocka_unit_test(places_are_those_of_keys),
        cmocka_unit_test(the_first_message_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
