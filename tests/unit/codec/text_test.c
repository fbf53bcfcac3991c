#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/text.h"
#include "codec/utf8.h"
#include "mem/arena.h"
#include <secretrt/error.h>

#define CANARY "CANARY-4b1f"

static void percent_keeps_what_it_is_told_to(void **state)
{
    struct srt_buf out;

    (void)state;
    srt_buf_init(&out, 0);
    srt_percent_encode(&out, "aZ09-._~/:@ +%\xC3\xA9\0", 17, "/:@+=");
    assert_string_equal(srt_buf_text(&out), "aZ09-._~/:@%20+%25%C3%A9%00");
    srt_buf_truncate(&out, 0);
    srt_percent_encode(&out, "a/b", 3, NULL);
    assert_string_equal(srt_buf_text(&out), "a%2Fb");
    srt_buf_wipe(&out);
}

static void a_secret_is_encoded_in_the_arena(void **state)
{
    struct srt_secbuf out;

    (void)state;
    srt_secbuf_init(&out, 0);
    srt_percent_encode_secret(&out, CANARY "/&=", sizeof(CANARY) + 2);
    assert_string_equal(srt_secbuf_text(&out), CANARY "%2F%26%3D");
    assert_true(srt_arena_owns(out.data));
    srt_secbuf_wipe(&out);
}

static void percent_decodes_or_adds_nothing(void **state)
{
    static const char *const bad[] = {"%", "%2", "a%2g", "%g2", "%00", "x%%41", "%-1"};
    struct srt_buf out;

    (void)state;
    srt_buf_init(&out, 0);
    assert_int_equal(srt_percent_decode(&out, "a%2Fb%c3%A9+", 12), 0);
    assert_string_equal(srt_buf_text(&out), "a/b\xC3\xA9+");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(srt_percent_decode(&out, bad[i], strlen(bad[i])),
                         SECRETRT_ERR_INVALID);
        assert_string_equal(srt_buf_text(&out), "a/b\xC3\xA9+");
    }
    assert_int_equal(srt_percent_decode(&out, "a\0b", 3), SECRETRT_ERR_INVALID);
    srt_buf_wipe(&out);
    srt_buf_init(&out, 2);
    assert_int_equal(srt_percent_decode(&out, "abc", 3), SECRETRT_ERR_PROTOCOL);
    srt_buf_wipe(&out);
}

/* RFC 4648, 10. */
static const struct {
    const char *plain;
    const char *coded;
} base64_vector[] = {{"", ""},
                     {"f", "Zg=="},
                     {"fo", "Zm8="},
                     {"foo", "Zm9v"},
                     {"foob", "Zm9vYg=="},
                     {"fooba", "Zm9vYmE="},
                     {"foobar", "Zm9vYmFy"}};

static void base64_vectors_with_and_without_padding(void **state)
{
    struct srt_secbuf out;
    const char *coded;

    (void)state;
    srt_secbuf_init(&out, 0);
    for (size_t i = 0; i < sizeof(base64_vector) / sizeof(base64_vector[0]); i++) {
        coded = base64_vector[i].coded;
        srt_base64_encode(&out, base64_vector[i].plain, strlen(base64_vector[i].plain));
        assert_string_equal(srt_secbuf_text(&out), coded);
        srt_secbuf_wipe(&out);
        assert_int_equal(srt_base64_decode(&out, coded, strlen(coded)), 0);
        assert_string_equal(srt_secbuf_text(&out), base64_vector[i].plain);
        srt_secbuf_wipe(&out);
        assert_int_equal(srt_base64_decode(&out, coded, strcspn(coded, "=")), 0);
        assert_string_equal(srt_secbuf_text(&out), base64_vector[i].plain);
        srt_secbuf_wipe(&out);
    }
}

static void base64_round_trip_of_every_byte(void **state)
{
    struct srt_secbuf coded;
    struct srt_secbuf plain;
    unsigned char bytes[256];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(255 - i);
    srt_secbuf_init(&coded, 0);
    srt_secbuf_init(&plain, 0);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        srt_base64_encode(&coded, bytes, len);
        for (size_t i = 0; i < coded.len; i++) {
            if (len % 2 == 0 && coded.data[i] == '+')
                coded.data[i] = '-';
            if (len % 2 == 0 && coded.data[i] == '/')
                coded.data[i] = '_';
        }
        assert_int_equal(srt_base64_decode(&plain, srt_secbuf_text(&coded), coded.len),
                         0);
        assert_int_equal(plain.len, len);
        assert_memory_equal(srt_secbuf_text(&plain), bytes, len);
        srt_secbuf_wipe(&coded);
        srt_secbuf_wipe(&plain);
    }
}

static void base64_takes_nothing_else(void **state)
{
    static const char *const bad[] = {
        "Z",      "Zg=",   "Zg===",  "Zg=a",    "=",    "====",     "Zm9v\n",
        " Zm9v",  "Zm 9v", "Zh==",   "Zm9=",    "Zm9",  "a+b_",     "Zm9vZ",
        "Zm9v==", "*m9v",  "Zm9v=A", "Zm9vYg=", "Z===", "\xC3m9vYg"};
    struct srt_secbuf out;

    (void)state;
    srt_secbuf_init(&out, 0);
    srt_secbuf_text_add(&out, "before");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(srt_base64_decode(&out, bad[i], strlen(bad[i])),
                         SECRETRT_ERR_PROTOCOL);
        assert_string_equal(srt_secbuf_text(&out), "before");
    }
    assert_int_equal(srt_base64_decode(&out, "Zm9v\0", 5), SECRETRT_ERR_PROTOCOL);
    srt_secbuf_wipe(&out);
}

static void base64_out_of_memory(void **state)
{
    struct srt_secbuf out;

    (void)state;
    srt_secbuf_init(&out, 0);
    srt_arena_fail_after(1);
    assert_int_equal(srt_base64_decode(&out, "Zm9v", 4), SECRETRT_ERR_NOMEM);
    srt_arena_fail_after(0);
    srt_secbuf_wipe(&out);
}

static void decimals_within_bounds(void **state)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "0x1",
                                      "1.0",
                                      "1e",
                                      "--1",
                                      "101",
                                      "-6",
                                      "9223372036854775808",
                                      "99999999999999999999",
                                      "-9223372036854775809"};
    int64_t value = 42;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(srt_decimal_parse(&value, bad[i], strlen(bad[i]), -5, 100),
                         SECRETRT_ERR_INVALID);
        assert_int_equal(value, 42);
    }
    assert_int_equal(srt_decimal_parse(&value, "100x", 3, -5, 100), 0);
    assert_int_equal(value, 100);
    assert_int_equal(srt_decimal_parse(&value, "-5", 2, -5, 100), 0);
    assert_int_equal(value, -5);
    assert_int_equal(
        srt_decimal_parse(&value, "-9223372036854775808", 20, INT64_MIN, INT64_MAX), 0);
    assert_true(value == INT64_MIN);
    assert_int_equal(
        srt_decimal_parse(&value, "9223372036854775807", 19, INT64_MIN, INT64_MAX), 0);
    assert_true(value == INT64_MAX);
    assert_int_equal(
        srt_decimal_parse(&value, "9223372036854775808", 19, INT64_MIN, INT64_MAX),
        SECRETRT_ERR_INVALID);
    assert_int_equal(srt_hex_digit('f'), 15);
    assert_int_equal(srt_hex_digit('A'), 10);
    assert_int_equal(srt_hex_digit('g'), -1);
}

static void edit_distances(void **state)
{
    char word[80];

    (void)state;
    assert_int_equal(srt_edit_distance("", ""), 0);
    assert_int_equal(srt_edit_distance("abc", ""), 3);
    assert_int_equal(srt_edit_distance("kitten", "sitting"), 3);
    assert_int_equal(srt_edit_distance("timeout", "tiemout"), 1);
    assert_int_equal(srt_edit_distance("role", "roles"), 1);
    memset(word, 'a', sizeof(word));
    word[79] = '\0';
    assert_int_equal(srt_edit_distance(word, "a"), 79);
    assert_int_equal(srt_edit_distance("a", word), 79);
    word[63] = '\0';
    assert_int_equal(srt_edit_distance(word, word + 1), 1);
}

static void the_nearest_word_is_near(void **state)
{
    static const char *const keys[] = {"stores", "secrets", "audit", "tier", "id"};

    (void)state;
    assert_string_equal(srt_nearest("secerts", keys, 5), "secrets");
    assert_string_equal(srt_nearest("store", keys, 5), "stores");
    assert_string_equal(srt_nearest("ip", keys, 5), "id");
    assert_string_equal(srt_nearest("audit", keys, 5), "audit");
    assert_null(srt_nearest("database", keys, 5));
    assert_null(srt_nearest("x", keys, 5));
    assert_null(srt_nearest("", keys, 5));
    assert_null(srt_nearest("audit", keys, 0));
}

static void utf8_is_strict(void **state)
{
    static const char *const good[] = {
        "\x7F",         "\xC2\x80",         "\xDF\xBF",
        "\xE0\xA0\x80", "\xED\x9F\xBF",     "\xEE\x80\x80",
        "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {"\x80",
                                      "\xBF",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xC2",
                                      "\xC2 ",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xED\xBF\xBF",
                                      "\xE2\x82",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xF8\x88\x80\x80\x80",
                                      "\xFE",
                                      "\xFF"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(srt_utf8_len(good[i], strlen(good[i])), strlen(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(srt_utf8_len(bad[i], strlen(bad[i])), 0);
    assert_int_equal(srt_utf8_len("", 0), 0);
    assert_true(srt_utf8_valid("a\0\xC3\xA9", 4));
    assert_false(srt_utf8_valid("a\xC3", 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percent_keeps_what_it_is_told_to),
        cmocka_unit_test(a_secret_is_encoded_in_the_arena),
        cmocka_unit_test(percent_decodes_or_adds_nothing),
        cmocka_unit_test(base64_vectors_with_and_without_padding),
        cmocka_unit_test(base64_round_trip_of_every_byte),
        cmocka_unit_test(base64_takes_nothing_else),
        cmocka_unit_test(base64_out_of_memory),
        cmocka_unit_test(decimals_within_bounds),
        cmocka_unit_test(edit_distances),
        cmocka_unit_test(the_nearest_word_is_near),
        cmocka_unit_test(utf8_is_strict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
