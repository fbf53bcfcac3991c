#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "unit/engine/config_fixture.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void completes_from_the_environment(void **state)
{
    const char *pairs[] = {"BAO_ADDR",
                           "",
                           "VAULT_ADDR",
                           "https://a , http://[::1]:8200/",
                           "VAULT_CACERT",
                           "~/x/ca.pem",
                           "VAULT_AUDIENCES",
                           "one, two",
                           "VAULT_UNWRAP",
                           "T",
                           "VAULT_IN_FLIGHT",
                           "12",
                           "VAULT_VERIFY",
                           "90",
                           "VAULT_AUTH",
                           "jwt",
                           "HOME",
                           "/home/u",
                           NULL};
    struct srt_config *config = must_read(NULL, pairs);
    const struct srt_store_config *store = srt_config_store(config, "vault");
    const char *const *list;
    size_t n = 0;

    (void)state;
    list = srt_store_list(store, "address", &n);
    assert_int_equal(n, 2);
    assert_string_equal(list[0], "https://a");
    assert_string_equal(list[1], "http://[::1]:8200");
    assert_string_equal(origin(store, "address"), "VAULT_ADDR");
    assert_string_equal(srt_store_text(store, "ca_file"), "/home/u/x/ca.pem");
    list = srt_store_list(store, "audiences", &n);
    assert_int_equal(n, 1);
    assert_string_equal(list[0], "one, two");
    assert_int_equal(srt_store_flag(store, "unwrap"), 1);
    assert_int_equal(srt_store_number(store, "in_flight"), 12);
    assert_int_equal(srt_store_number(store, "verify_interval"), 90000);
    assert_string_equal(srt_store_text(store, "auth.method"), "jwt");
    srt_config_free(config);
}

struct bad {
    const char *text;
    const char *message;
};

static const struct bad urls[] = {
    {"https://h", NULL},
    {"https://vault.team-a.svc:8200/base/", NULL},
    {"https://[2001:db8::1]:8200", NULL},
    {"http://localhost:8200", NULL},
    {"http://LOCALHOST", NULL},
    {"http://127.9.8.7", NULL},
    {"http://[::1]", NULL},
    {"http://[0:0:0:0:0:0:0:1]:1", NULL},
    {"http://10.0.0.1", "plain http to 10.0.0.1 is refused: use https"},
    {"http://127.0.0.1.evil.com",
     "plain http to 127.0.0.1.evil.com is refused: use https"},
    {"http://localhost.evil.com",
     "plain http to localhost.evil.com is refused: use https"},
    {"http://127.1", "plain http to 127.1 is refused: use https"},
    {"http://[::2]:80", "plain http to ::2 is refused: use https"},
    {"http://[::ffff:10.0.0.1]", "plain http to ::ffff:10.0.0.1 is refused: use https"},
    {"ftp://h", "must begin with \"https://\""},
    {"h:8200", "must begin with \"https://\""},
    {"unix:///run/x", "must begin with \"https://\""},
    {"https://", "names no host"},
    {"https:///x", "names no host"},
    {"https://:80", "names no host"},
    {"https://[]", "names no host"},
    {"https://[::1", "has a malformed host"},
    {"https://[::g]", "has a malformed host"},
    {"https://a$b", "has a malformed host"},
    {"https://h:", "has a malformed port"},
    {"https://h:0", "has a malformed port"},
    {"https://h:65536", "has a malformed port"},
    {"https://h:1:2", "has a malformed port"},
    {"https://[::1]x", "has a malformed port"},
    {"https://u:hunter2@h", "must not hold a user name or password"},
    {"http://localhost@evil.com", "must not hold a user name or password"},
    {"https://h/?a=b", "must not hold a query or a fragment"},
    {"https://h?a", "must not hold a query or a fragment"},
    {"https://h/#a", "must not hold a query or a fragment"},
    {"http://127.0.0.1\\@evil.com", "holds a character that no URL has"},
    {"https://h/a b", "holds a character that no URL has"},
    {"https://h\xC3\xA9", "holds a character that no URL has"},
};

static void looks_at_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        const char *pairs[] = {"BAO_ADDR", urls[i].text, NULL};
        struct srt_config *config = NULL;
        struct secretrt_error err;
        char want[300];
        int status = read_with(&config, NULL, pairs, &err);

        if (urls[i].message == NULL) {
            assert_int_equal(status, 0);
            srt_config_free(config);
            continue;
        }
        assert_int_equal(status, SECRETRT_ERR_CONFIG);
        (void)snprintf(want, sizeof(want), "BAO_ADDR: %s", urls[i].message);
        assert_string_equal(err.message, want);
    }
}

static void names_the_variable_but_never_its_value(void **state)
{
    static const struct bad rows[] = {
        {"VAULT_AUTH", "VAULT_AUTH: must be one of: token kubernetes jwt"},
        {"VAULT_IN_FLIGHT", "VAULT_IN_FLIGHT: must be an integer from 1 to 1000000"},
        {"VAULT_UNWRAP", "VAULT_UNWRAP: must be true or false"},
        {"VAULT_ADDR", "VAULT_ADDR: must begin with \"https://\""},
    };
    const char *comma[] = {"VAULT_ADDR", "https://a,", NULL};
    const char *control[] = {"VAULT_NAMESPACE", "a\r\nX-Evil: 1", NULL};
    struct srt_config *config = NULL;
    struct secretrt_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *pairs[] = {rows[i].text, "hunter2", NULL};

        assert_int_equal(read_with(&config, NULL, pairs, &err), SECRETRT_ERR_CONFIG);
        assert_string_equal(err.message, rows[i].message);
    }
    assert_int_equal(read_with(&config, NULL, comma, &err), SECRETRT_ERR_CONFIG);
    assert_string_equal(err.message, "VAULT_ADDR: must not be empty");
    assert_int_equal(read_with(&config, NULL, control, &err), SECRETRT_ERR_CONFIG);
    assert_string_equal(err.message, "VAULT_NAMESPACE: holds a control character");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(completes_from_the_environment),
        cmocka_unit_test(looks_at_addresses),
        cmocka_unit_test(names_the_variable_but_never_its_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
