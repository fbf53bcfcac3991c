#include "api.h"
#include "mem/arena.h"

static struct secretrt_client *client;

static int begin(void **state)
{
    (void)state;
    (void)setenv("API_ODD", "it's a \\ \"b:c\"/d e&{}", 1);
    (void)setenv("API_LINES", "CANARY\r\nline", 1);
    (void)setenv("API_LATIN", "CANARY-\xe9", 1);
    client = api_open(
        "{\"secrets\": {\"odd\": {\"sources\": [\"env://?odd=API_ODD&user=API_USER\"]},"
        "\"one\": {\"sources\": [\"env://API_ONE\"]},"
        "\"latin\": {\"sources\": [\"env://API_LATIN\"]},"
        "\"lines\": {\"sources\": [\"env://API_LINES\"]}}}");
    return 0;
}

static int end(void **state)
{
    (void)state;
    secretrt_close(client);
    return 0;
}

static int format(char *out, const char *name, const char *text)
{
    struct secretrt_value *value = NULL;
    struct secretrt_value *result = NULL;
    struct secretrt_error err;
    int rc;

    assert_int_equal(secretrt_read(&value, client, name, NULL), 0);
    rc = secretrt_value_format(&result, value, text, &err);
    assert_int_equal(rc, err.status);
    assert_null(strstr(err.message, "CANARY"));
    if (rc == 0) {
        assert_true(srt_arena_owns(secretrt_value_text(result)));
        assert_string_equal(secretrt_value_info(result)->name, name);
        assert_int_equal(secretrt_value_info(result)->generation, 1);
        assert_int_equal(secretrt_value_is_current(result), 0);
        (void)snprintf(out, 256, "%s", secretrt_value_text(result));
    } else {
        assert_null(result);
    }
    secretrt_value_unref(result);
    secretrt_value_unref(value);
    return rc;
}

static void knows_its_filters(void **state)
{
    static const char *const cases[][2] = {
        {"{odd}", "it's a \\ \"b:c\"/d e&{}"},
        {"{odd|url}", "it%27s%20a%20%5C%20%22b%3Ac%22%2Fd%20e%26%7B%7D"},
        {"{odd|conninfo}", "'it\\'s a \\\\ \"b:c\"/d e&{}'"},
        {"{odd|pgpass}", "it's a \\\\ \"b\\:c\"/d e&{}"},
        {"{odd|json}", "\"it's a \\\\ \\\"b:c\\\"/d e&{}\""},
        {"{user|base64}", "dXNlci0w"},
        {"{{{user}}}", "{user-0}"},
        {"a{{b}}c", "a{b}c"},
        {"", ""},
        {"user={user|conninfo} x={user}", "user='user-0' x=user-0"},
    };
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(format(text, "odd", cases[i][0]), 0);
        assert_string_equal(text, cases[i][1]);
    }
    assert_int_equal(format(text, "one", "<{}>"), 0);
    assert_string_equal(text, "<CANARY-one>");
    assert_int_equal(format(text, "one", "{|json}"), 0);
    assert_string_equal(text, "\"CANARY-one\"");
    assert_int_equal(format(text, "odd#user", "{}"), 0);
    assert_string_equal(text, "user-0");
}

static void refuses_what_it_cannot_do(void **state)
{
    char text[256];
    char name[200];

    (void)state;
    assert_int_equal(format(text, "odd", "{}"), SECRETRT_ERR_NO_FIELD);
    assert_int_equal(format(text, "odd", "{other}"), SECRETRT_ERR_NO_FIELD);
    assert_int_equal(format(text, "odd", "{user|other}"), SECRETRT_ERR_INVALID);
    assert_int_equal(format(text, "odd", "{user|url|json}"), SECRETRT_ERR_INVALID);
    assert_int_equal(format(text, "odd", "{user|}x"), 0);
    assert_int_equal(format(text, "odd", "{user"), SECRETRT_ERR_INVALID);
    assert_int_equal(format(text, "odd", "user}"), SECRETRT_ERR_INVALID);
    assert_int_equal(format(text, "odd", "{"), SECRETRT_ERR_INVALID);
    memset(name, 'x', sizeof(name));
    name[0] = '{';
    name[sizeof(name) - 2] = '}';
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(format(text, "odd", name), SECRETRT_ERR_INVALID);
}

static void refuses_what_a_filter_cannot_carry(void **state)
{
    char text[256];

    (void)state;
    assert_int_equal(format(text, "lines", "{}"), SECRETRT_ERR_INVALID);
    assert_int_equal(format(text, "lines", "{|conninfo}"), SECRETRT_ERR_INVALID);
    assert_int_equal(format(text, "lines", "{|pgpass}"), SECRETRT_ERR_INVALID);
    assert_int_equal(format(text, "lines", "{|url}"), 0);
    assert_string_equal(text, "CANARY%0D%0Aline");
    assert_int_equal(format(text, "lines", "{|json}"), 0);
    assert_string_equal(text, "\"CANARY\\r\\nline\"");
    assert_int_equal(format(text, "lines", "{|base64}"), 0);
    assert_int_equal(format(text, "latin", "{|json}"), SECRETRT_ERR_INVALID);
    assert_int_equal(format(text, "latin", "{|url}"), 0);
    assert_string_equal(text, "CANARY-%E9");
}

/* A NUL can't come by the environment. */
static void carries_a_nul_where_it_can(void **state)
{
    char path[] = "/tmp/secretrt-api-XXXXXX";
    char reference[64];
    char text[256];
    int fd = mkstemp(path);

    (void)state;
    assert_int_equal(write(fd, "CANARY\0x", 8), 8);
    (void)close(fd);
    (void)snprintf(reference, sizeof(reference), "file://%s", path);
    assert_int_equal(format(text, reference, "{}"), SECRETRT_ERR_INVALID);
    assert_int_equal(format(text, reference, "{|json}"), SECRETRT_ERR_INVALID);
    assert_int_equal(format(text, reference, "{|base64}"), 0);
    assert_string_equal(text, "Q0FOQVJZAHg=");
    assert_int_equal(format(text, reference, "{|url}"), 0);
    assert_string_equal(text, "CANARY%00x");
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_its_filters),
        cmocka_unit_test(refuses_what_it_cannot_do),
        cmocka_unit_test(refuses_what_a_filter_cannot_carry),
        cmocka_unit_test(carries_a_nul_where_it_can),
    };

    api_environment();
    return cmocka_run_group_tests_name("api format", tests, begin, end);
}
