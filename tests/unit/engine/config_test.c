#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/alloc.h"
#include "base/status.h"
#include "mem/arena.h"
#include "unit/engine/config_fixture.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static const char full[] =
    "{ // of the team\n"
    "  \"vault\": { \"address\": [\"https://v0:8200/\", \"http://127.0.0.1:8200\"],\n"
    "    \"namespace\": \"team-a\", \"ca_file\": \"~/ca.pem\", \"in_flight\": 7,\n"
    "    \"audiences\": \"one,two\", \"verify_interval\": \"2m\", \"unwrap\": true,\n"
    "    \"auth\": { \"method\": \"kubernetes\", \"role\": \"my-app\" } },\n"
    "  \"stores\": { \"vault-dr\": { \"address\": \"https://dr:8200\",\n"
    "     \"kind\": \"vault\", \"auth\": { \"method\": \"jwt\" } } },\n"
    "  \"secrets\": {\n"
    "    \"db\": { \"sources\": [\"vault://database/creds/app\", "
    "\"vault-dr://database/creds/app\",\n"
    "       \"env://?username=U&password=P\"], \"overlap\": \"30s\", \"fields\": "
    "[\"username\", \"password\"], \"verify\": true },\n"
    "    \"team/a.b_c-1\": { \"sources\": \"env://X\", \"refresh\": \"5m\",\n"
    "      \"lazy\": true, \"fallback_on_not_found\": true, \"leave_lease\": true,\n"
    "      \"weakest_tier\": 2, \"tier4_until\": \"2026-12-31\" } },\n"
    "  \"policy\": { \"weakest_tier\": 3, \"weakest_credential_tier\": 2,\n"
    "    \"tier4_until\": \"2027-03-31\" },\n"
    "  \"audit\": { \"file\": \"/var/log/a.jsonl\", \"required\": true },\n"
    "  \"memory\": \"strict\", \"strict_files\": true }";

static void reads_stores(void **state)
{
    const char *pairs[] = {"HOME",        "/home/u",         "BAO_ADDR",
                           "https://env", "VAULT_NAMESPACE", "other",
                           "AWS_REGION",  "eu-west-1",       NULL};
    struct srt_config *config = must_read(full, pairs);
    const struct srt_store_config *store = srt_config_store(config, "vault");
    const char *const *list;
    size_t n = 0;

    (void)state;
    list = srt_store_list(store, "address", &n);
    assert_int_equal(n, 2);
    assert_string_equal(list[0], "https://v0:8200");
    assert_string_equal(list[1], "http://127.0.0.1:8200");
    assert_string_equal(srt_store_text(store, "namespace"), "team-a");
    assert_string_equal(srt_store_text(store, "ca_file"), "/home/u/ca.pem");
    assert_int_equal(srt_store_number(store, "in_flight"), 7);
    assert_int_equal(srt_store_number(store, "verify_interval"), 120000);
    assert_int_equal(srt_store_flag(store, "unwrap"), 1);
    list = srt_store_list(store, "audiences", &n);
    assert_int_equal(n, 1);
    assert_string_equal(list[0], "one,two");
    assert_string_equal(srt_store_text(store, "auth.method"), "kubernetes");
    assert_string_equal(srt_store_text(store, "auth.role"), "my-app");
    assert_string_equal(srt_store_text(store, "auth.token_file"),
                        "/home/u/.vault-token");
    assert_string_equal(origin(store, "in_flight"), "line 3");
    assert_string_equal(origin(store, "auth.role"), "line 5");
    assert_string_equal(origin(store, "auth.token_file"), "default");

    store = srt_config_store(config, "vault-dr");
    assert_ptr_equal(store->provider, &vault);
    assert_string_equal(srt_store_text(store, "address"), "https://dr:8200");
    assert_null(srt_store_text(store, "namespace"));
    assert_int_equal(srt_store_number(store, "in_flight"), 4);
    assert_int_equal(srt_store_flag(store, "unwrap"), 0);
    assert_null(srt_store_list(store, "audiences", &n));
    assert_int_equal(n, 0);

    store = srt_config_store(config, "aws");
    assert_string_equal(srt_store_text(store, "region"), "eu-west-1");
    assert_string_equal(origin(store, "region"), "AWS_REGION");
    assert_null(srt_config_store(config, "env"));
    assert_null(srt_store_text(NULL, "region"));
    srt_config_free(config);
}

static void reads_secrets_and_the_rest(void **state)
{
    const char *pairs[] = {"HOME", "/home/u", NULL};
    struct srt_config *config = must_read(full, pairs);
    const struct srt_secret_config *db = srt_config_secret(config, "db");
    const struct srt_secret_config *other = srt_config_secret(config, "team/a.b_c-1");

    (void)state;
    assert_int_equal(config->secrets, 2);
    assert_int_equal(db->sources, 3);
    assert_string_equal(db->source[1], "vault-dr://database/creds/app");
    assert_int_equal(db->fields, 2);
    assert_string_equal(db->field[1], "password");
    assert_int_equal(db->overlap_ms, 30000);
    assert_int_equal(db->verify, 1);
    assert_int_equal(db->lazy + db->fallback_on_not_found + db->leave_lease, 0);
    assert_int_equal(db->weakest_tier, 0);
    assert_int_equal(other->sources, 1);
    assert_int_equal(other->refresh_ms, 300000);
    assert_int_equal(other->lazy, 1);
    assert_int_equal(other->fallback_on_not_found, 1);
    assert_int_equal(other->leave_lease, 1);
    assert_int_equal(other->weakest_tier, 2);
    assert_int_equal(other->tier4_until_ms, 1798761599999);
    assert_null(srt_config_secret(config, "nope"));
    assert_int_equal(config->policy.weakest_tier, 3);
    assert_int_equal(config->policy.weakest_credential_tier, 2);
    assert_true(config->policy.tier4_until_ms > other->tier4_until_ms);
    assert_string_equal(config->audit.file, "/var/log/a.jsonl");
    assert_int_equal(config->audit.required, 1);
    assert_int_equal(config->memory_strict, 1);
    assert_int_equal(config->strict_files, 1);
    srt_config_free(config);
}

static void works_without_a_text(void **state)
{
    struct srt_config *config = must_read(NULL, NULL);

    (void)state;
    assert_int_equal(config->stores, 2);
    assert_int_equal(config->secrets, 0);
    assert_int_equal(config->policy.weakest_tier, 4);
    assert_int_equal(config->policy.weakest_credential_tier, 4);
    assert_int_equal(config->policy.tier4_until_ms, 0);
    assert_int_equal(config->memory_strict, 0);
    assert_null(config->audit.file);
    /* No HOME: a default below it is no value. */
    assert_null(srt_store_text(srt_config_store(config, "vault"), "auth.token_file"));
    assert_int_equal(srt_store_number(srt_config_store(config, "vault"), "in_flight"),
                     4);
    srt_config_free(config);
    assert_int_equal(srt_config_read(&config, "{}", 2, registry, NULL, NULL), 0);
    srt_config_free(config);
    srt_config_free(NULL);
}

struct bad {
    const char *text;
    const char *message;
};

#define LONG_NAME                                                                      \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ENV "\"sources\": \"env://X\""

static const struct bad bads[] = {
    {"\n[]", "line 2, column 1: the configuration: must be an object"},
    {"{\"valt\": {}}",
     "line 1, column 2: unknown key \"valt\": did you mean \"vault\"?"},
    {"{\n  \"vault\": {\"adress\": \"https://h\"}}",
     "line 2, column 13: unknown key \"adress\" in \"vault\": did you mean "
     "\"address\"?"},
    {"{\"vault\": {\"zzzzzz\": 1}}",
     "line 1, column 12: unknown key \"zzzzzz\" in \"vault\" (known: address, "
     "namespace, ca_file, in_flight, audiences, verify_interval, unwrap, auth)"},
    {"{\"vault\": {\"auth\": {\"methd\": \"jwt\"}}}",
     "line 1, column 21: unknown key \"methd\" in \"vault.auth\": did you mean "
     "\"method\"?"},
    {"{\"vault\": {\"auth.method\": \"jwt\"}}",
     "line 1, column 12: unknown key \"auth.method\" in \"vault\" (known: address, "
     "namespace, ca_file, in_flight, audiences, verify_interval, unwrap, auth)"},
    {"{\"vault\": {\"kind\": \"vault\"}}",
     "line 1, column 12: unknown key \"kind\" in \"vault\" (known: address, namespace, "
     "ca_file, in_flight, audiences, verify_interval, unwrap, auth)"},
    {"{\"env\": {}}", NULL},
    {"{\"vault-login\": {}}", NULL},
    {"{\"vault\": 1}", "line 1, column 2: \"vault\": must be an object"},
    {"{\"vault\": {\"auth\": \"jwt\"}}",
     "line 1, column 12: \"auth\" in \"vault\": must be an object"},
    {"{\"vault\": {\"namespace\": 1}}",
     "line 1, column 12: \"namespace\" in \"vault\": must be a text"},
    {"{\"vault\": {\"namespace\": \"\"}}",
     "line 1, column 12: \"namespace\" in \"vault\": must not be empty"},
    {"{\"vault\": {\"namespace\": \"a\\nb\"}}",
     "line 1, column 12: \"namespace\" in \"vault\": holds a control character"},
    {"{\"vault\": {\"namespace\": \"a\\u0000b\"}}",
     "line 1, column 12: \"namespace\" in \"vault\": holds a control character"},
    {"{\"vault\": {\"audiences\": 1}}",
     "line 1, column 12: \"audiences\" in \"vault\": must be a text or an array of "
     "texts"},
    {"{\"vault\": {\"audiences\": []}}",
     "line 1, column 12: \"audiences\" in \"vault\": must not be empty"},
    {"{\"vault\": {\"audiences\": [\"a\",\n 1]}}",
     "line 2, column 2: \"audiences\" in \"vault\": must be an array of texts"},
    {"{\"vault\": {\"unwrap\": \"true\"}}",
     "line 1, column 12: \"unwrap\" in \"vault\": must be true or false"},
    {"{\"vault\": {\"in_flight\": \"4\"}}",
     "line 1, column 12: \"in_flight\" in \"vault\": must be an integer"},
    {"{\"vault\": {\"in_flight\": 0}}",
     "line 1, column 12: \"in_flight\" in \"vault\": must be an integer from 1 to "
     "1000000"},
    {"{\"vault\": {\"in_flight\": 1.5}}",
     "line 1, column 12: \"in_flight\" in \"vault\": must be an integer from 1 to "
     "1000000"},
    {"{\"vault\": {\"verify_interval\": \"soon\"}}",
     "line 1, column 12: \"verify_interval\" in \"vault\": must be a duration, such as "
     "\"30s\" or \"5m\""},
    {"{\"vault\": {\"verify_interval\": \"0s\"}}",
     "line 1, column 12: \"verify_interval\" in \"vault\": must be a duration over 0 "
     "and up to 10 years"},
    {"{\"vault\": {\"auth\": {\"method\": \"jwtt\"}}}",
     "line 1, column 21: \"method\" in \"vault.auth\": must be one of: token "
     "kubernetes jwt"},
    {"{\"vault\": {\"ca_file\": \"~/x\"}}",
     "line 1, column 12: \"ca_file\" in \"vault\": \"~/\" needs HOME, which is not "
     "set"},
    {"{\"stores\": []}", "line 1, column 2: \"stores\": must be an object"},
    {"{\"stores\": {\"x\": []}}",
     "line 1, column 13: \"x\" in \"stores\": must be an object"},
    {"{\"stores\": {\"x\": {}}}", "line 1, column 13: \"x\" in \"stores\": needs "
                                  "\"kind\", the scheme of a provider"},
    {"{\"stores\": {\"x\": {\"kind\": 1}}}",
     "line 1, column 19: \"kind\" in \"stores.x\": must be the scheme of a provider"},
    {"{\"stores\": {\"x\": {\"kind\": \"valt\"}}}",
     "line 1, column 19: \"kind\" in \"stores.x\": unknown \"valt\": did you mean "
     "\"vault\"?"},
    {"{\"stores\": {\"x\": {\"kind\": \"env\"}}}", NULL},
    {"{\"stores\": {\"x\": {\"kind\": \"vault-login\"}}}", NULL},
    {"{\"stores\": {\"x\": {\"kind\": \"vault\", \"adress\": \"\"}}}",
     "line 1, column 36: unknown key \"adress\" in \"stores.x\": did you mean "
     "\"address\"?"},
    {"{\"stores\": {\"env\": {\"kind\": \"vault\"}}}",
     "line 1, column 13: \"env\" in \"stores\": is the name of a provider"},
    {"{\"stores\": {\"X\": {\"kind\": \"vault\"}}}",
     "line 1, column 13: \"X\" in \"stores\": a store's name is a letter, then "
     "letters, "
     "digits, \"+\", \".\", \"-\", in lower case; at most 63"},
    {"{\"stores\": {\"x\": {\"kind\": \"vault\"}, \"x\": {\"kind\": \"vault\"}}}",
     NULL},
    {"{\"secrets\": 1}", "line 1, column 2: \"secrets\": must be an object"},
    {"{\"secrets\": {\"db\": \"env://X\"}}",
     "line 1, column 14: \"db\" in \"secrets\": must be an object"},
    {"{\"secrets\": {\"db\": {}}}",
     "line 1, column 14: \"db\" in \"secrets\": needs \"sources\""},
    {"{\"secrets\": {\"db\": {\"sources\": []}}}",
     "line 1, column 21: \"sources\" in \"secrets.db\": must not be empty"},
    {"{\"secrets\": {\"db\": {\"sources\": \"db\"}}}",
     "line 1, column 21: \"sources\" in \"secrets.db\": reference \"db\": there is no "
     "\"://\""},
    {"{\"secrets\": {\"db\": {\"sources\": [\"env://X\",\n\"env://a/../b\"]}}}",
     "line 2, column 1: \"sources\" in \"secrets.db\": reference \"env://a/../b\": a "
     "\"..\" segment is not allowed"},
    {"{\"secrets\": {\"db\": {\"sources\": \"valt://x\"}}}",
     "line 1, column 21: \"sources\" in \"secrets.db\": unknown scheme \"valt\": did "
     "you mean \"vault\"?"},
    {"{\"secrets\": {\"db\": {\"sources\": \"vault-login://vault\"}}}",
     "line 1, column 21: \"sources\" in \"secrets.db\": \"vault-login\" is not for "
     "references of its own"},
    {"{\"secrets\": {\"db\": {\"source\": \"env://X\"}}}",
     "line 1, column 21: unknown key \"source\" in \"secrets.db\": did you mean "
     "\"sources\"?"},
    {"{\"secrets\": {\"db\": {" ENV ", \"unset\": true}}}", NULL},
    {"{\"secrets\": {\"\": {" ENV "}}}", NULL},
    {"{\"secrets\": {\"a://b\": {" ENV "}}}",
     "line 1, column 14: \"a://b\" in \"secrets\": a name is of letters, digits, "
     "\".\", "
     "\"_\", \"/\", \"-\"; at most 128"},
    {"{\"secrets\": {\"" LONG_NAME "\": {" ENV "}}}", NULL},
    {"{\"secrets\": {\"d\\u0000\": {" ENV "}}}", NULL},
    {"{\"secrets\": {\"db\": {" ENV ", \"fields\": [\"\"]}}}",
     "line 1, column 54: \"fields\" in \"secrets.db\": must not be empty"},
    {"{\"secrets\": {\"db\": {" ENV ", \"lazy\": 1}}}",
     "line 1, column 43: \"lazy\" in \"secrets.db\": must be true or false"},
    {"{\"secrets\": {\"db\": {" ENV ", \"refresh\": 5}}}",
     "line 1, column 43: \"refresh\" in \"secrets.db\": must be a duration, such as "
     "\"30s\" or \"5m\""},
    {"{\"secrets\": {\"db\": {" ENV ", \"weakest_tier\": 5}}}",
     "line 1, column 43: \"weakest_tier\" in \"secrets.db\": must be a tier, from 1 to "
     "4"},
    {"{\"policy\": {\"weakest_tier\": 2}, \"secrets\": {\"db\": {" ENV
     ", \"weakest_tier\": 3}}}",
     "line 1, column 74: \"weakest_tier\" in \"secrets.db\": 3 is looser than 2, which "
     "\"policy\" says"},
    {"{\"secrets\": {\"db\": {" ENV ", \"tier4_until\": \"2027-04-01\"}}, \"policy\": "
     "{\"tier4_until\": \"2027-03-31\"}}",
     "line 1, column 43: \"tier4_until\" in \"secrets.db\": is later than \"policy\" "
     "allows"},
    {"{\"policy\": {\"tier4_until\": \"31.3.2027\"}}",
     "line 1, column 13: \"tier4_until\" in \"policy\": must be a date, such as "
     "\"2027-03-31\""},
    {"{\"policy\": {\"weakest\": 1}}", NULL},
    {"{\"audit\": {\"required\": true}}",
     "line 1, column 12: \"required\" in \"audit\": needs a \"file\" to record to"},
    {"{\"audit\": {\"file\": 1}}",
     "line 1, column 12: \"file\" in \"audit\": must be the path of a file"},
    {"{\"audit\": {\"syslog\": true}}",
     "line 1, column 12: unknown key \"syslog\" in \"audit\" (known: file, required)"},
    {"{\"audit\": {\"hmac_key\": \"k\"}}", NULL},
    {"{\"audit\": {\"spool\": \"/x\"}}", NULL},
    {"{\"audit\": {\"burst\": {\"reads\": 1}}}", NULL},
    {"{\"memory\": \"strikt\"}",
     "line 1, column 2: \"memory\": must be \"strict\" or \"normal\""},
    {"{\"strict_files\": 1}",
     "line 1, column 2: \"strict_files\": must be true or false"},
    {"{", NULL},
    {" ", NULL},
};

static void refuses_mistakes_and_says_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        struct srt_config *config = NULL;
        struct secretrt_error err;

        assert_int_equal(read_with(&config, bads[i].text, NULL, &err),
                         SECRETRT_ERR_CONFIG);
        assert_null(config);
        assert_int_equal(err.status, SECRETRT_ERR_CONFIG);
        assert_true(err.message[0] != '\0');
        if (bads[i].message != NULL)
            assert_string_equal(err.message, bads[i].message);
        assert_int_equal(srt_config_read(&config, bads[i].text, strlen(bads[i].text),
                                         registry, NULL, NULL),
                         SECRETRT_ERR_CONFIG);
    }
}

static void finds_what_a_scheme_means(void **state)
{
    struct srt_config *config =
        must_read("{\"stores\": {\"vault-dr\": {\"kind\": \"vault\"}}}", NULL);
    const struct srt_provider *provider = NULL;
    const struct srt_store_config *store = NULL;
    struct secretrt_error err;

    (void)state;
    assert_int_equal(srt_config_scheme(config, "vault", &provider, &store, NULL), 0);
    assert_ptr_equal(provider, &vault);
    assert_ptr_equal(store, srt_config_store(config, "vault"));
    assert_int_equal(srt_config_scheme(config, "vault-dr", &provider, &store, NULL), 0);
    assert_ptr_equal(provider, &vault);
    assert_string_equal(store->name, "vault-dr");
    assert_int_equal(srt_config_scheme(config, "env", &provider, &store, NULL), 0);
    assert_ptr_equal(provider, &env);
    assert_null(store);
    assert_int_equal(srt_config_scheme(config, "vault-login", &provider, &store, NULL),
                     0);
    assert_ptr_equal(provider, &login);
    srt_error_clear(&err);
    assert_int_equal(srt_config_scheme(config, "vault-d", &provider, &store, &err),
                     SECRETRT_ERR_CONFIG);
    assert_string_equal(err.message,
                        "unknown scheme \"vault-d\": did you mean \"vault-dr\"?");
    assert_null(provider);
    assert_null(store);
    srt_config_free(config);
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

/* Reads with the nth allocation (heap: 1, else arena) failing, until none does. */
static size_t starve(struct meter *meter, int heap)
{
    const char *pairs[] = {"HOME", "/home/u", "AWS_REGION", "eu-west-1", NULL};
    int status = SECRETRT_ERR_NOMEM;
    struct srt_config *config = NULL;
    struct secretrt_error err;
    size_t n;

    for (n = 1; status != 0; n++) {
        size_t live = meter->live;

        meter->left = heap ? n : 0;
        srt_arena_fail_after(heap ? 0 : n);
        status = read_with(&config, full, pairs, &err);
        if (status != 0) {
            assert_int_equal(status, SECRETRT_ERR_NOMEM);
            assert_int_equal(err.status, SECRETRT_ERR_NOMEM);
            assert_null(config);
            assert_int_equal(meter->live, live);
        }
    }
    meter->left = 0;
    srt_arena_fail_after(0);
    srt_config_free(config);
    return n;
}

static void survives_a_lack_of_memory_anywhere(void **state)
{
    struct meter meter = {0, 0};
    struct srt_allocator allocator = {meter_alloc, meter_release, &meter};
    struct srt_arena_stats before;
    struct srt_arena_stats after;

    (void)state;
    (void)srt_arena_probe();
    srt_arena_stats_get(&before);
    srt_allocator_set(&allocator);
    assert_true(starve(&meter, 1) > 60);
    assert_true(starve(&meter, 0) > 1);
    assert_int_equal(meter.live, 0);
    srt_allocator_set(NULL);
    srt_arena_stats_get(&after);
    assert_int_equal(after.used, before.used);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_stores),
        cmocka_unit_test(reads_secrets_and_the_rest),
        cmocka_unit_test(works_without_a_text),
        cmocka_unit_test(refuses_mistakes_and_says_where),
        cmocka_unit_test(finds_what_a_scheme_means),
        cmocka_unit_test(survives_a_lack_of_memory_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
