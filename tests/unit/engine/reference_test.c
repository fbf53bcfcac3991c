#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/alloc.h"
#include "base/status.h"
#include "engine/reference.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

struct good {
    const char *given;
    const char *scheme;
    const char *path;
    const char *field; /* NULL: none */
    const char *text;
};

static const struct good goods[] = {
    {"vault://database/creds/app", "vault", "database/creds/app", NULL,
     "vault://database/creds/app"},
    {"vault-dr://database/creds/app#password", "vault-dr", "database/creds/app",
     "password", "vault-dr://database/creds/app"},
    {"file:///etc/x", "file", "/etc/x", NULL, "file:///etc/x"},
    {"env://", "env", "", NULL, "env://"},
    {"env://?username=DB_USER&password=DB_PASSWORD", "env", "", NULL,
     "env://?username=DB_USER&password=DB_PASSWORD"},
    {"aws-rds://app@db.internal:5432", "aws-rds", "app@db.internal:5432", NULL,
     "aws-rds://app@db.internal:5432"},
    {"k8s.v1+x://a+b=c:d@e", "k8s.v1+x", "a+b=c:d@e", NULL, "k8s.v1+x://a+b=c:d@e"},
    {"vault://a%2Fb%7e%c3%a9%23#f%20g", "vault", "a/b~\xC3\xA9#", "f g",
     "vault://a/b~%C3%A9%23"},
    {"vault://a%2fb", "vault", "a/b", NULL, "vault://a/b"},
    {"vault://a/..b/c../.../.", "vault", "a/..b/c../.../.", NULL,
     "vault://a/..b/c../.../."},
    {"vault://pki/issue/web?common_name=app.internal&ttl=24h#private_key", "vault",
     "pki/issue/web", "private_key",
     "vault://pki/issue/web?common_name=app.internal&ttl=24h"},
    {"x://p?a=1+1&b=", "x", "p", NULL, "x://p?a=1+1&b="},
    {"x://p?u=https://h/?q=1", "x", "p", NULL, "x://p?u=https://h/%3Fq=1"},
};

static void parses_what_the_grammar_allows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        const struct good *good = &goods[i];
        struct secretrt_error err;
        struct srt_ref ref;

        srt_error_clear(&err);
        assert_int_equal(srt_ref_parse(&ref, good->given, &err), 0);
        assert_string_equal(ref.scheme, good->scheme);
        assert_string_equal(ref.path, good->path);
        assert_string_equal(ref.text, good->text);
        if (good->field == NULL)
            assert_null(ref.field);
        else
            assert_string_equal(ref.field, good->field);
        srt_ref_wipe(&ref);
        srt_ref_wipe(&ref);
        assert_null(ref.text);
    }
}

static void the_canonical_text_is_a_fixed_point(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        struct srt_ref ref;

        assert_int_equal(srt_ref_parse(&ref, goods[i].text, NULL), 0);
        assert_string_equal(ref.text, goods[i].text);
        assert_string_equal(ref.path, goods[i].path);
        srt_ref_wipe(&ref);
    }
}

static void keeps_options_in_order_and_plus_is_no_space(void **state)
{
    struct srt_ref ref;

    (void)state;
    assert_int_equal(srt_ref_parse(&ref, "x://p?z=1&a=b+c%26d&e%3Df=&u=a?b", NULL), 0);
    assert_int_equal(ref.options, 4);
    assert_string_equal(ref.option[0].name, "z");
    assert_string_equal(ref.option[1].name, "a");
    assert_string_equal(ref.option[2].name, "e=f");
    assert_string_equal(srt_ref_option(&ref, "a"), "b+c&d");
    assert_string_equal(srt_ref_option(&ref, "e=f"), "");
    assert_string_equal(srt_ref_option(&ref, "u"), "a?b");
    assert_null(srt_ref_option(&ref, "b"));
    assert_string_equal(ref.text, "x://p?z=1&a=b+c%26d&e%3Df=&u=a%3Fb");
    srt_ref_wipe(&ref);
}

struct bad {
    const char *given;
    const char *message;
};

static const struct bad bads[] = {
    {"", "reference \"\": there is no \"://\""},
    {"db", "reference \"db\": there is no \"://\""},
    {"vault:/x", "reference \"vault:/x\": there is no \"://\""},
    {"://x", "reference \"://x\": it must begin with a scheme, such as \"vault://\""},
    {"Vault://x",
     "reference \"Vault://x\": it must begin with a scheme, such as \"vault://\""},
    {"1a://x",
     "reference \"1a://x\": it must begin with a scheme, such as \"vault://\""},
    {"a_b://x",
     "reference \"a_b://x\": it must begin with a scheme, such as \"vault://\""},
    {"v://..", "reference \"v://..\": a \"..\" segment is not allowed"},
    {"v://a/../b", "reference \"v://a/../b\": a \"..\" segment is not allowed"},
    {"v://a/%2e%2E", "reference \"v://a/%2e%2E\": a \"..\" segment is not allowed"},
    {"v://a%2f..%2fb", "reference \"v://a%2f..%2fb\": a \"..\" segment is not allowed"},
    {"v://a%00b", "reference \"v://a%00b\": a NUL (%00) is not allowed"},
    {"v://a?b=%00", "reference \"v://a?b=%00\": a NUL (%00) is not allowed"},
    {"v://a#%00", "reference \"v://a#%00\": a NUL (%00) is not allowed"},
    {"v://a\nb", "reference \"v://a?b\": a control character is not allowed"},
    {"v://a%0ab", "reference \"v://a%0ab\": a control character is not allowed"},
    {"v://a%7F", "reference \"v://a%7F\": a control character is not allowed"},
    {"v://a b", "reference \"v://a b\": a space is written %20"},
    {"v://a%",
     "reference \"v://a%\": a \"%\" must be followed by two hexadecimal digits"},
    {"v://a%2",
     "reference \"v://a%2\": a \"%\" must be followed by two hexadecimal digits"},
    {"v://a%g0",
     "reference \"v://a%g0\": a \"%\" must be followed by two hexadecimal digits"},
    {"v://a?", "reference \"v://a?\": an option has no name"},
    {"v://a?b=1&", "reference \"v://a?b=1&\": an option has no name"},
    {"v://a?=1", "reference \"v://a?=1\": an option has no name"},
    {"v://a?b", "reference \"v://a?b\": an option has no \"=\" and value"},
    {"v://a?b=1&b=2", "reference \"v://a?b=1&b=2\": an option is repeated"},
    {"v://a?b=1&c=2&%62=3", "reference \"v://a?b=1&c=2&%62=3\": an option is repeated"},
    {"v://a#", "reference \"v://a#\": the field after \"#\" is empty"},
    {"v://a#b#c", "reference \"v://a#b#c\": a second \"#\" is written %23"},
};

static void refuses_the_rest_and_says_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        struct secretrt_error err;
        struct srt_ref ref;

        srt_error_clear(&err);
        assert_int_equal(srt_ref_parse(&ref, bads[i].given, &err),
                         SECRETRT_ERR_INVALID);
        assert_int_equal(err.status, SECRETRT_ERR_INVALID);
        assert_string_equal(err.message, bads[i].message);
        assert_null(ref.text);
        assert_null(ref.option);
        assert_int_equal(srt_ref_parse(&ref, bads[i].given, NULL),
                         SECRETRT_ERR_INVALID);
    }
}

static void has_a_ceiling(void **state)
{
    char text[SRT_REF_MAX + 2];
    struct secretrt_error err;
    struct srt_ref ref;

    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text, "v://", 4);
    text[SRT_REF_MAX] = '\0';
    assert_int_equal(srt_ref_parse(&ref, text, NULL), 0);
    srt_ref_wipe(&ref);
    text[SRT_REF_MAX] = 'a';
    text[SRT_REF_MAX + 1] = '\0';
    srt_error_clear(&err);
    assert_int_equal(srt_ref_parse(&ref, text, &err), SECRETRT_ERR_INVALID);
    assert_non_null(strstr(err.message, "it is too long"));
}

static void knows_a_reference_from_a_name(void **state)
{
    (void)state;
    assert_true(srt_ref_looks_like("vault://x"));
    assert_true(srt_ref_looks_like("://"));
    assert_false(srt_ref_looks_like("db"));
    assert_false(srt_ref_looks_like("team/db:1"));
}

struct meter {
    size_t left; /* allocations until one fails; 0: none does */
    size_t live;
};

static void *meter_alloc(size_t len, void *data)
{
    struct meter *meter = data;
    void *ptr;

    if (meter->left > 0 && --meter->left == 0)
        return NULL;
    ptr = malloc(len);
    meter->live += ptr != NULL;
    return ptr;
}

static void meter_release(void *ptr, void *data)
{
    struct meter *meter = data;

    meter->live--;
    free(ptr);
}

static void survives_a_lack_of_memory_anywhere(void **state)
{
    struct meter meter = {0, 0};
    struct srt_allocator allocator = {meter_alloc, meter_release, &meter};
    int status = SECRETRT_ERR_NOMEM;
    struct secretrt_error err;
    struct srt_ref ref;
    size_t n;

    (void)state;
    srt_allocator_set(&allocator);
    for (n = 1; status != 0; n++) {
        meter.left = n;
        srt_error_clear(&err);
        status = srt_ref_parse(&ref, "x://a%20b?c=d&e=f&g=h#i", &err);
        if (status != 0) {
            assert_int_equal(status, SECRETRT_ERR_NOMEM);
            assert_int_equal(err.status, SECRETRT_ERR_NOMEM);
            assert_null(ref.text);
            assert_int_equal(meter.live, 0);
        }
    }
    assert_true(n > 10);
    srt_ref_wipe(&ref);
    assert_int_equal(meter.live, 0);
    srt_allocator_set(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_what_the_grammar_allows),
        cmocka_unit_test(the_canonical_text_is_a_fixed_point),
        cmocka_unit_test(keeps_options_in_order_and_plus_is_no_space),
        cmocka_unit_test(refuses_the_rest_and_says_why),
        cmocka_unit_test(has_a_ceiling),
        cmocka_unit_test(knows_a_reference_from_a_name),
        cmocka_unit_test(survives_a_lack_of_memory_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
