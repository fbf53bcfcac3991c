#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "contract/contract.h"
#include "tier2_dynamic/vault.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define K CONTRACT_CANARY
#define CONFIG "{\"vault\":{\"address\":\"https://vault:8200\"}}"
#define LEASE_ID "database/creds/app/y7aQiXSgdWCYOfbEHbeDvf4Q"
#define TAIL ",\"wrap_info\":null,\"warnings\":null,\"auth\":null}\n"
#define NO_LEASE "\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":0,"

/* Recorded from a server; only the secrets are replaced. */
#define CREDS                                                                          \
    "{\"request_id\":\"77307db8-d253-dd2c-28e9-3ace33e4b85c\",\"lease_id\":"           \
    "\"" LEASE_ID "\",\"renewable\":true,\"lease_duration\":60,\"data\":{"             \
    "\"password\":\"" K "-pass\",\"username\":\"" K "-user\"}" TAIL
#define KV2                                                                            \
    "{\"request_id\":\"c6a7e6bc-bbac-9e1e-51f8-a277ceaf605c\"," NO_LEASE               \
    "\"data\":{\"data\":{\"api_key\":\"" K                                             \
    "\",\"b\":true,\"l\":[\"a\",\"b\"],\"n\":5,"                                       \
    "\"o\":{\"a\":1},\"m\":[1,\"x\"],\"e\":[],\"z\":null},\"metadata\":{"              \
    "\"created_time\":\"2026-11-24T06:09:58.605665348Z\",\"custom_metadata\":null,"    \
    "\"deletion_time\":\"\",\"destroyed\":false,\"version\":7}}" TAIL
#define KV2_DELETED                                                                    \
    "{\"request_id\":\"88a51558-6f93-fc3c-96a0-682db9de3a61\"," NO_LEASE               \
    "\"data\":{\"data\":null,\"metadata\":{\"created_time\":"                          \
    "\"2026-11-24T06:09:58.605665348Z\",\"custom_metadata\":null,\"deletion_time\":"   \
    "\"2026-11-24T06:09:58.656026687Z\",\"destroyed\":false,\"version\":1}}" TAIL
#define KV1                                                                            \
    "{\"request_id\":\"8f8580c2-4b4b-3c1b-f9cf-bc529a601806\",\"lease_id\":\"\","      \
    "\"renewable\":false,\"lease_duration\":2764800,\"data\":{\"api_key\":\"" K "\","  \
    "\"l\":[\"a\",\"b\"]}" TAIL
#define STATIC                                                                         \
    "{\"request_id\":\"a702dbd8-886d-8b59-155c-e0e52ed6af97\"," NO_LEASE               \
    "\"data\":{\"last_vault_rotation\":\"2026-11-24T06:09:57.353642676Z\","            \
    "\"password\":\"" K "\",\"rotation_period\":3600,\"ttl\":3599,"                    \
    "\"username\":\"stat\"}" TAIL

#define CERTIFICATE                                                                    \
    "{\"request_id\":\"1d6f3b8c-0b53-8f0f-5a0e-7c1f4f6c9a11\"," NO_LEASE               \
    "\"data\":{\"ca_chain\":[\"-----BEGIN CERTIFICATE-----\\nMIID\"],\"certificate\":" \
    "\"-----BEGIN CERTIFICATE-----\\nMIIE\",\"expiration\":1795505861,\"issuing_ca\":" \
    "\"-----BEGIN "                                                                    \
    "CERTIFICATE-----\\nMIID\",\"not_before\":1795502231,\"private_key\":"             \
    "\"" K "\",\"private_key_type\":\"rsa\",\"serial_number\":\"12:26\"}" TAIL

static const struct contract creds = {
    .provider = &srt_provider_vault,
    .ref = "vault://database/creds/app",
    .config = CONFIG,
    .credential = "s." K,
    .reply = {{200, .body = CREDS}},
    .replies = 1,
};

static struct contract kept(const char *ref, const char *body)
{
    struct contract c = creds;

    c.ref = ref;
    c.reply[0].body = body;
    return c;
}

static enum srt_class refused(const struct contract *c, int status, const char *body)
{
    return contract_spoiled(c, (struct contract_reply){status, .body = body});
}

static void the_contract(void **state)
{
    const struct contract all[] = {
        creds,
        kept("vault://secret/data/app", KV2),
        kept("vault://kv1/app", KV1),
        kept("vault://database/static-creds/stat", STATIC),
        kept("vault://database/creds/app?x=y", CREDS),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        contract_http(&all[i]);
        contract_outcomes(&all[i]);
        contract_cut(&all[i], 0);
        contract_memory(&all[i]);
    }
}

/* All bytes but the newline at the end are needed. */
static void a_cut_answer_is_not_believed(void **state)
{
    struct contract c = creds;

    (void)state;
    c.reply[0].len = strlen(CREDS) - 1;
    contract_cut(&c, 1);
}

static void a_dynamic_secret_is_a_lease(void **state)
{
    struct contract c = creds;
    struct contract_run run;

    (void)state;
    c.config =
        "{\"vault\":{\"address\":\"https://vault:8200\",\"namespace\":\"team-a\","
        "\"ca_file\":\"/etc/ca.pem\"}}";
    c.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "GET /v1/database/creds/app\n");
    assert_string_equal(run.headers,
                        "X-Vault-Request: true\nX-Vault-Namespace: team-a\n"
                        "traceparent: "
                        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n");
    assert_string_equal(run.secret_header, "X-Vault-Token: s." K);
    assert_string_equal(run.body, "");
    assert_string_equal(run.ca_file, "/etc/ca.pem");
    assert_int_equal(run.idempotent, 0);
    assert_int_equal(srt_bundle_count(run.x.grant.bundle), 2);
    contract_field(&run, "username", K "-user");
    contract_field(&run, "password", K "-pass");
    assert_string_equal(srt_buf_text(&run.x.grant.lease_id), LEASE_ID);
    assert_int_equal(run.x.grant.ttl_ms, 60000);
    assert_int_equal(run.x.grant.renewable, 1);
    assert_int_equal(run.x.grant.revocable, 1);
    assert_int_equal(run.x.grant.tier, 2);
    assert_int_equal(run.x.grant.refresh_ms, 0);
    assert_string_equal(run.x.grant.request_id, "77307db8-d253-dd2c-28e9-3ace33e4b85c");
    contract_end(&run);
}

static void fields_of_all_types(void **state)
{
    const struct contract c = kept("vault://secret/data/app?version=7", KV2);
    struct contract_run run;

    (void)state;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "GET /v1/secret/data/app?version=7\n");
    assert_int_equal(srt_bundle_count(run.x.grant.bundle), 7);
    contract_field(&run, "api_key", K);
    contract_field(&run, "b", "true");
    contract_field(&run, "l", "a\nb");
    contract_field(&run, "n", "5");
    contract_field(&run, "o", "{\"a\":1}");
    contract_field(&run, "m", "[1,\"x\"]");
    contract_field(&run, "e", "");
    contract_field(&run, "z", NULL);
    assert_string_equal(run.x.grant.version, "7");
    assert_int_equal(run.x.grant.tier, 3);
    assert_int_equal(run.x.grant.ttl_ms, -1);
    assert_int_equal(run.x.grant.refresh_ms, 300000);
    assert_int_equal(run.x.grant.revocable, 0);
    assert_string_equal(srt_buf_text(&run.x.grant.lease_id), "");
    contract_end(&run);
}

static void a_value_may_hold_nul(void **state)
{
    const struct contract c =
        kept("vault://kv1/app", "{\"data\":{\"k\":\"a\\u0000b\"}}");
    struct contract_run run;
    const char *value;
    size_t len = 0;

    (void)state;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    value = srt_bundle_field(run.x.grant.bundle, "k", &len);
    assert_int_equal(len, 3);
    assert_memory_equal(value, "a\0b", 3);
    contract_end(&run);
    assert_int_equal(contract_changed(&c, "\"k\"", "\"k\\u0000\""), SRT_CLASS_PROTOCOL);
}

static void kv_v1_is_polled_though_it_claims_a_duration(void **state)
{
    const struct contract c = kept("vault://kv1/app?_refresh=30s", KV1);
    struct contract_run run;

    (void)state;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    contract_field(&run, "api_key", K);
    assert_int_equal(run.x.grant.ttl_ms, -1);
    assert_int_equal(run.x.grant.refresh_ms, 30000);
    contract_end(&run);
}

/* Its clock differs at each read, so it is no field: equal passwords are equal values.
 */
static void a_static_role_is_read_again_after_its_rotation(void **state)
{
    const struct contract c = kept("vault://database/static-creds/stat", STATIC);
    struct contract_run run;

    (void)state;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    assert_int_equal(run.x.grant.tier, 3);
    assert_int_equal(run.x.grant.refresh_ms, 3600000);
    contract_field(&run, "username", "stat");
    contract_field(&run, "password", K);
    contract_field(&run, "ttl", NULL);
    contract_field(&run, "last_vault_rotation", NULL);
    assert_string_equal(run.x.grant.version, "");
    contract_end(&run);
}

static void a_certificate_is_not_issued_again_and_again(void **state)
{
    const struct contract c =
        kept("vault://pki/issue/web?common_name=app.internal", CERTIFICATE);
    struct contract_run run;

    (void)state;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    assert_int_equal(run.x.grant.tier, 2);
    assert_int_equal(run.x.grant.ttl_ms, -1);
    assert_int_equal(run.x.grant.not_after_wall_ms, 1795505861000LL);
    assert_int_equal(run.x.grant.refresh_ms, 0);
    assert_int_equal(run.x.grant.revocable, 0);
    contract_field(&run, "private_key", K);
    contract_field(&run, "ca_chain", "-----BEGIN CERTIFICATE-----\nMIID");
    contract_end(&run);
}

static void parameters_make_it_a_post(void **state)
{
    static const struct {
        const char *ref;
        const char *log;
        const char *body;
    } table[] = {
        {"vault://pki/issue/web?common_name=app.internal&ttl=24h&_unique=1",
         "POST /v1/pki/issue/web\n",
         "{\"common_name\":\"app.internal\",\"ttl\":\"24h\"}"},
        {"vault://aws/sts/app?_method=post", "POST /v1/aws/sts/app\n", "{}"},
        {"vault://kv/a%20b/c%3Fd?_method=get", "GET /v1/kv/a%20b/c%3Fd\n", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct contract c = kept(table[i].ref, CREDS);
        struct contract_run run;

        contract_run(&run, &c);
        assert_int_equal(run.step, SRT_DONE);
        assert_string_equal(run.log, table[i].log);
        assert_string_equal(run.body, table[i].body);
        contract_end(&run);
    }
}

static void a_lease_of_wrong_types(void **state)
{
    static const char *const durations[] = {
        "\"3600\"", "-1", "9223372036854775808", "1e3", "1.5", "true", "null", "[60]"};

    (void)state;
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
        assert_int_equal(contract_changed(&creds, ":60,", ":"), SRT_CLASS_PROTOCOL);
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        char to[64] = ":";

        strncat(to, durations[i], sizeof(to) - 3);
        strncat(to, ",", 2);
        assert_int_equal(contract_changed(&creds, ":60,", to), SRT_CLASS_PROTOCOL);
    }
    assert_int_equal(contract_changed(&creds, ":true", ":\"yes\""), SRT_CLASS_PROTOCOL);
    assert_int_equal(contract_changed(&creds, "\"" LEASE_ID "\"", "17"),
                     SRT_CLASS_PROTOCOL);
    assert_int_equal(contract_changed(&creds, "creds/app/", "creds/\\u0000/"),
                     SRT_CLASS_PROTOCOL);
    assert_int_equal(contract_changed(&creds, "\"password\"", "\"username\""),
                     SRT_CLASS_PROTOCOL);
}

static void a_lease_of_ages_is_ten_years(void **state)
{
    const struct contract c = kept(
        "vault://x/y", "{\"lease_id\":\"l\",\"lease_duration\":9223372036854775807,"
                       "\"data\":{\"k\":\"v\"}}");
    struct contract_run run;

    (void)state;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    assert_int_equal(run.x.grant.ttl_ms, 10LL * 366 * 24 * 3600 * 1000);
    assert_int_equal(run.x.grant.renewable, 0);
    contract_end(&run);
}

static void an_answer_that_is_no_secret(void **state)
{
    static const char *const bodies[] = {
        "{\"data\":null,\"wrap_info\":{\"token\":\"" K "\"}}",
        "{\"data\":null,\"auth\":{\"client_token\":\"" K "\"}}",
        "{\"data\":null}",
        "{\"data\":{}}",
        "{\"data\":{\"k\":null}}",
        "{\"data\":\"" K "\"}",
        "{\"data\":{\"data\":{},\"metadata\":{\"version\":1}}}",
        "{\"lease_id\":\"l\",\"data\":{\"k\":\"v\"}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        assert_int_equal(refused(&creds, 200, bodies[i]), SRT_CLASS_PROTOCOL);
    assert_int_equal(refused(&creds, 200, KV2_DELETED), SRT_CLASS_NOT_FOUND);
}

static void too_many_fields(void **state)
{
    char body[8192] = "{\"data\":{\"x\":\"" K "\"";
    size_t at = strlen(body);

    (void)state;
    for (int i = 0; i < SRT_BUNDLE_FIELDS_MAX; i++)
        at += (size_t)snprintf(body + at, sizeof(body) - at, ",\"f%d\":%d", i, i);
    (void)snprintf(body + at, sizeof(body) - at, "}}");
    assert_int_equal(refused(&creds, 200, body), SRT_CLASS_PROTOCOL);
}

static void what_a_refused_read_means(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum srt_class expected;
        const char *text;
    } table[] = {
        {403, "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}",
         SRT_CLASS_AUTH, "the policy lacks read, or the token is dead"},
        {401, "{\"errors\":[]}", SRT_CLASS_AUTH, "the token is dead"},
        {400, "{\"errors\":[\"unknown role: nope\"]}", SRT_CLASS_CONFIG,
         "no such role: check the last part of the path"},
        {400,
         "{\"errors\":[\"Waiting for the primary to upgrade from non-versioned to "
         "versioned data.\"]}",
         SRT_CLASS_CONSISTENCY, "the standby is not ready yet"},
        {400, "{\"errors\":[\"" K "\"]}", SRT_CLASS_CONFIG,
         "the server can't make sense of the request: check path and options"},
        {404, "{\"errors\":[]}", SRT_CLASS_NOT_FOUND,
         "nothing is there: check the path (KV v2 needs \"data/\" after the mount)"},
        {404,
         "{\"errors\":[\"no handler for route \\\"x\\\". route entry not found.\"]}",
         SRT_CLASS_NOT_FOUND,
         "nothing is mounted there: check the path and the namespace"},
        {404, KV2_DELETED, SRT_CLASS_NOT_FOUND,
         "this version was deleted: undelete it, or write a new one"},
        {503, "{\"errors\":[\"Vault is sealed\"]}", SRT_CLASS_UNAVAILABLE,
         "vault is sealed"},
        {501, "", SRT_CLASS_SERVER, "vault is not initialised"},
        {500,
         "{\"errors\":[\"1 error occurred:\\n\\t* unable to start transaction: "
         "failed to connect to `user=postgres " K "`\"]}",
         SRT_CLASS_SERVER, "it can't reach what is behind it (a database?)"},
    };
    struct contract c = creds;

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct contract_run run;
        char expected[272];

        c.reply[0] = (struct contract_reply){table[i].status, .body = table[i].body};
        contract_run(&run, &c);
        assert_int_equal(run.step, SRT_FAIL);
        assert_int_equal(run.x.failure.failure_class, table[i].expected);
        (void)snprintf(expected, sizeof(expected), "vault %d at database/creds/app: %s",
                       table[i].status, table[i].text);
        assert_string_equal(run.x.failure.error.message, expected);
        assert_string_equal(run.x.failure.error.provider, "vault");
        contract_end(&run);
    }
}

static void a_check_without_a_lease_reads_again(void **state)
{
    struct contract c = kept("vault://secret/data/app", KV2);
    struct contract_run run;

    (void)state;
    c.op = CONTRACT_CHECK;
    c.lease_id = "";
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "GET /v1/secret/data/app\n");
    contract_field(&run, "api_key", K);
    contract_end(&run);
}

static void without_an_address_it_is_absent(void **state)
{
    struct contract c = creds;
    struct contract_run run;

    (void)state;
    c.config = NULL;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_FAIL);
    assert_int_equal(run.x.failure.failure_class, SRT_CLASS_ABSENT);
    assert_string_equal(run.x.failure.error.message,
                        "vault is not configured: set \"vault\": {\"address\": ...} or "
                        "BAO_ADDR");
    contract_end(&run);
}

static void a_token_that_would_break_the_header(void **state)
{
    struct contract c = creds;
    struct contract_run run;

    (void)state;
    c.credential = "s." K "\r\nX-Evil: 1";
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_FAIL);
    assert_int_equal(run.x.failure.failure_class, SRT_CLASS_PROTOCOL);
    assert_int_equal(run.sent, 0);
    contract_end(&run);
    c.credential = NULL;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_FAIL);
    contract_end(&run);
}

static void plans(void **state)
{
    static const char *const bad[] = {
        "vault://?version=1",
        "vault://kv/app?version=0",
        "vault://kv/app?version=x",
        "vault://kv/app?_refresh=soon",
        "vault://kv/app?_overlap=soon",
        "vault://kv/app?_method=put",
        "vault://kv/app?_method=get&ttl=1h",
        "vault://kv/app?_tier=1",
        "vault://kv/app?wrapped=1",
    };
    struct secretrt_error err;
    struct srt_plan plan;

    (void)state;
    assert_int_equal(contract_plan(&plan, &srt_provider_vault,
                                   "vault://kv/app?version=3&_refresh=30s&_overlap=9s"
                                   "&_unique=1&_method=get",
                                   CONFIG, &err),
                     0);
    assert_int_equal(plan.needs, 1);
    assert_string_equal(srt_buf_text(&plan.need[0].ref), "vault-login-token://vault");
    assert_int_equal(plan.need[0].reread, 0);
    assert_int_equal(plan.mints, 1);
    assert_int_equal(plan.keyed_by_store, 1);
    assert_int_equal(plan.login, 0);
    srt_plan_wipe(&plan);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(
            contract_plan(&plan, &srt_provider_vault, bad[i], CONFIG, &err),
            SECRETRT_ERR_INVALID);
        srt_plan_wipe(&plan);
    }
    assert_string_equal(err.message, "vault: option \"wrapped\" is not supported");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contract),
        cmocka_unit_test(a_cut_answer_is_not_believed),
        cmocka_unit_test(a_dynamic_secret_is_a_lease),
        cmocka_unit_test(fields_of_all_types),
        cmocka_unit_test(a_value_may_hold_nul),
        cmocka_unit_test(kv_v1_is_polled_though_it_claims_a_duration),
        cmocka_unit_test(a_static_role_is_read_again_after_its_rotation),
        cmocka_unit_test(a_certificate_is_not_issued_again_and_again),
        cmocka_unit_test(parameters_make_it_a_post),
        cmocka_unit_test(a_lease_of_wrong_types),
        cmocka_unit_test(a_lease_of_ages_is_ten_years),
        cmocka_unit_test(an_answer_that_is_no_secret),
        cmocka_unit_test(too_many_fields),
        cmocka_unit_test(what_a_refused_read_means),
        cmocka_unit_test(a_check_without_a_lease_reads_again),
        cmocka_unit_test(without_an_address_it_is_absent),
        cmocka_unit_test(a_token_that_would_break_the_header),
        cmocka_unit_test(plans),
    };

    return cmocka_run_group_tests(tests, contract_setup, NULL);
}
