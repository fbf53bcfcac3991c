#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "contract/vault_bodies.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define AUTH_TAIL ",\"orphan\":true,\"mfa_requirement\":null,\"num_uses\":0}}\n"
#define POLICIES "\"policies\":[\"default\"],\"token_policies\":[\"default\"],"

/* Recorded from a server; only the secrets are replaced. */
#define KUBERNETES                                                                     \
    HEAD("236de9fc-5ac8-b6ba-1c5f-b89563bb2076")                                       \
    "\"data\":null,\"wrap_info\":null,\"warnings\":null,\"auth\":{\"client_token\":"   \
    "\"s." K "\",\"accessor\":\"dhwKJDSy1UzzQXD0y2B85jnX\"," POLICIES                  \
    "\"metadata\":{\"role\":\"app\",\"service_account_name\":\"app\","                 \
    "\"service_account_namespace\":\"ns\",\"service_account_secret_name\":\"\","       \
    "\"service_account_uid\":\"u-1\"},\"lease_duration\":600,\"renewable\":true,"      \
    "\"entity_id\":\"c0f82a47-b4d2-66f5-3499-6e872d92376e\",\"token_type\":"           \
    "\"service\"" AUTH_TAIL
#define JWT                                                                            \
    HEAD("7f9db759-9ef5-c247-dc17-99e363c2b6d4")                                       \
    "\"data\":null,\"wrap_info\":null,\"warnings\":null,\"auth\":{\"client_token\":"   \
    "\"s." K "\",\"accessor\":\"hd9MK56T1gaggHd3rqwlZKca\"," POLICIES                  \
    "\"metadata\":{\"role\":\"app\"},\"lease_duration\":600,\"renewable\":true,"       \
    "\"entity_id\":\"23839247-79fb-32cf-a92d-65e10af2f9cd\",\"token_type\":"           \
    "\"service\"" AUTH_TAIL
#define APPROLE                                                                        \
    HEAD("9a765c3d-9c9b-6bb6-f0d4-1ed65289b84d")                                       \
    "\"data\":null,\"wrap_info\":null,\"warnings\":null,\"auth\":{\"client_token\":"   \
    "\"s." K "\",\"accessor\":\"fI3RlDRqYWrHjEYYU8vqvPqx\"," POLICIES                  \
    "\"metadata\":{\"role_name\":\"app\"},\"lease_duration\":600,\"renewable\":true,"  \
    "\"entity_id\":\"cd1f40b3-5469-6cf1-4b6b-759f9d6654bc\",\"token_type\":"           \
    "\"service\"" AUTH_TAIL
#define BATCH                                                                          \
    HEAD("bfbe38f9-0d1b-f64e-e804-f2441bdd80de")                                       \
    "\"data\":null,\"wrap_info\":null,\"warnings\":null,\"auth\":{\"client_token\":"   \
    "\"b." K "\",\"accessor\":\"\"," POLICIES "\"metadata\":null,"                     \
    "\"lease_duration\":3600,\"renewable\":false,\"entity_id\":\"\",\"token_type\":"   \
    "\"batch\"" AUTH_TAIL
#define RENEWED                                                                        \
    HEAD("5f3dafaa-a771-e992-922e-09356fdd734b")                                       \
    "\"data\":null,\"wrap_info\":null,\"warnings\":null,\"auth\":{\"client_token\":"   \
    "\"s." K "\",\"accessor\":\"Iwfy2fLUIwsTmrmZjOMCWxI8\"," POLICIES                  \
    "\"metadata\":null,\"lease_duration\":120,\"renewable\":true,\"entity_id\":\"\","  \
    "\"token_type\":\"service\"" AUTH_TAIL

#define CONFIG_KUBERNETES WITH("\"method\":\"kubernetes\",\"role\":\"app\"")
#define CONFIG_JWT                                                                     \
    WITH("\"method\":\"jwt\",\"role\":\"app\",\"mount\":\"/ci/\",\"token_file\":"      \
         "\"/run/token\"")
#define CONFIG_APPROLE                                                                 \
    WITH("\"method\":\"approle\",\"role_id\":\"r-1\",\"secret_id_file\":\"/run/id\"")

static const struct contract kubernetes = {
    .provider = &srt_provider_vault_login_kubernetes,
    .ref = "vault-login-kubernetes://vault",
    .config = CONFIG_KUBERNETES,
    .credential = K ".jwt.sig",
    .reply = {{200, .body = KUBERNETES}},
    .replies = 1,
};

static const struct contract jwt = {
    .provider = &srt_provider_vault_login_jwt,
    .ref = "vault-login-jwt://vault",
    .config = CONFIG_JWT,
    .credential = K ".jwt.sig",
    .reply = {{200, .body = JWT}},
    .replies = 1,
};

static const struct contract approle = {
    .provider = &srt_provider_vault_login_approle,
    .ref = "vault-login-approle://vault",
    .config = CONFIG_APPROLE,
    .credential = K "-id",
    .reply = {{200, .body = APPROLE}},
    .replies = 1,
};

static struct contract on_token(enum contract_op op, int status, const char *body)
{
    struct contract c = kubernetes;

    c.op = op;
    c.credential = NULL;
    c.current = "s." K;
    c.increment_ms = 120000;
    c.reply[0].status = status;
    c.reply[0].body = body;
    return c;
}

static void the_contract(void **state)
{
    const struct contract revoke = on_token(CONTRACT_REVOKE, 204, NULL);
    const struct contract all[] = {
        kubernetes,
        jwt,
        approle,
        on_token(CONTRACT_RENEW, 200, RENEWED),
        on_token(CONTRACT_CHECK, 200, LOOKUP),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        contract_http(&all[i]);
        contract_outcomes(&all[i]);
        contract_cut(&all[i], 0);
        contract_memory(&all[i]);
    }
    contract_http(&revoke);
    contract_outcomes(&revoke);
    contract_memory(&revoke);
}

static void a_login_with_a_service_account(void **state)
{
    struct contract_run run;

    (void)state;
    contract_run(&run, &kubernetes);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "POST /v1/auth/kubernetes/login\n");
    assert_string_equal(run.body, "{\"role\":\"app\",\"jwt\":\"" K ".jwt.sig\"}");
    assert_string_equal(run.secret_header, "");
    assert_int_equal(run.idempotent, 0);
    assert_int_equal(srt_bundle_count(run.x.grant.bundle), 1);
    contract_field(&run, "token", "s." K);
    assert_string_equal(srt_buf_text(&run.x.grant.lease_id),
                        "dhwKJDSy1UzzQXD0y2B85jnX");
    assert_string_equal(run.x.grant.principal, "ns/ns:sa/app");
    assert_int_equal(run.x.grant.ttl_ms, 600000);
    assert_int_equal(run.x.grant.renewable, 1);
    assert_int_equal(run.x.grant.revocable, 1);
    assert_int_equal(run.x.grant.sweeps, 1);
    assert_int_equal(run.x.grant.tier, 1);
    assert_string_equal(run.x.grant.request_id, "236de9fc-5ac8-b6ba-1c5f-b89563bb2076");
    contract_end(&run);
}

static void a_login_with_a_jwt_at_its_own_mount(void **state)
{
    struct contract_run run;

    (void)state;
    contract_run(&run, &jwt);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "POST /v1/auth/ci/login\n");
    assert_string_equal(run.x.grant.principal, "role/app");
    assert_int_equal(run.x.grant.tier, 1);
    contract_end(&run);
}

static void a_login_with_approle(void **state)
{
    struct contract c = approle;
    struct contract_run run;

    (void)state;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "POST /v1/auth/approle/login\n");
    assert_string_equal(run.body, "{\"role_id\":\"r-1\",\"secret_id\":\"" K "-id\"}");
    assert_string_equal(run.x.grant.principal, "role/app");
    assert_int_equal(run.x.grant.tier, 3);
    contract_end(&run);
    c.credential = NULL; /* a role that is bound otherwise */
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.body, "{\"role_id\":\"r-1\"}");
    contract_end(&run);
}

static void a_batch_token_can_not_be_given_back(void **state)
{
    struct contract c = kubernetes;
    struct contract_run run;

    (void)state;
    c.reply[0].body = BATCH;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    contract_field(&run, "token", "b." K);
    assert_int_equal(run.x.grant.renewable, 0);
    assert_int_equal(run.x.grant.revocable, 0);
    assert_int_equal(run.x.grant.sweeps, 0);
    assert_string_equal(run.x.grant.principal, "");
    contract_end(&run);
}

static void a_login_of_wrong_types(void **state)
{
    static const char *const changes[][2] = {
        {":600,", ":\"600\","},
        {":600,", ":-1,"},
        {":600,", ":9223372036854775808,"},
        {":600,", ":null,"},
        {"\"renewable\":true", "\"renewable\":1"},
        {"\"s." K "\"", "null"},
        {"\"s." K "\"", "\"\""},
        {"\"s." K "\"", "{\"a\":\"" K "\"}"},
        {"\"auth\":{", "\"data2\":{"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        assert_int_equal(contract_changed(&kubernetes, changes[i][0], changes[i][1]),
                         SRT_CLASS_PROTOCOL);
    assert_int_equal(contract_changed(&kubernetes, "\"mfa_requirement\":null",
                                      "\"mfa_requirement\":{}"),
                     SRT_CLASS_LOGIN);
    assert_int_equal(contract_changed(&kubernetes, ":600,", ":0,"), SRT_CLASS_NONE);
}

static const struct {
    int status;
    const char *error;
    const char *text;
} refusals[] = {
    {400, "invalid role name \\\"zz\\\"",
     "no such role: set auth.role to one that exists there"},
    {400, "role \\\"zz\\\" could not be found",
     "no such role: set auth.role to one that exists there"},
    {400,
     "error validating token: invalid expiration time (exp) claim: token is "
     "expired",
     "our identity token has expired: is its file renewed, is the clock right?"},
    {400,
     "error validating token: invalid audience (aud) claim: audience claim does "
     "not match any expected audience",
     "our identity token is for another audience: it must be one of the role's "
     "bound "
     "audiences"},
    {400,
     "error validating token: error verifying token signature: no known key "
     "successfully validated the token signature",
     "the signature of our identity token is not trusted: check the auth method's "
     "keys"},
    {403, "service account name not authorized",
     "the role is not bound to this service account: see its "
     "bound_service_account_names"},
    {403, "namespace not authorized",
     "the role is not bound to this namespace: see its "
     "bound_service_account_namespaces"},
    {403, "permission denied",
     "permission denied: is the auth method mounted there, and may this workload "
     "use the role?"},
    {400, "invalid role or secret ID",
     "invalid role or secret ID: it is wrong, used up or expired; make a new "
     "secret "
     "ID"},
    {400, K " is no good", "the server refused it"},
    {403, K, "the server refused it"},
};

static void a_refused_login_says_what_to_do(void **state)
{
    struct contract c = kubernetes;

    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct contract_run run;
        char body[512];
        char expected[272];

        (void)snprintf(body, sizeof(body), "{\"errors\":[\"%s\"]}", refusals[i].error);
        c.reply[0] = (struct contract_reply){refusals[i].status, .body = body};
        contract_run(&run, &c);
        assert_int_equal(run.step, SRT_FAIL);
        assert_int_equal(run.x.failure.failure_class, SRT_CLASS_LOGIN);
        (void)snprintf(expected, sizeof(expected),
                       "vault %d logging in at auth/kubernetes as app: %s",
                       refusals[i].status, refusals[i].text);
        assert_string_equal(run.x.failure.error.message, expected);
        contract_end(&run);
    }
    assert_int_equal(refused(&kubernetes, 404, "no handler for route"),
                     SRT_CLASS_CONFIG);
    assert_int_equal(refused(&approle, 500, "missing role_id"), SRT_CLASS_CONFIG);
}

static void the_life_of_a_token(void **state)
{
    const struct contract renew = on_token(CONTRACT_RENEW, 200, RENEWED);
    const struct contract check = on_token(CONTRACT_CHECK, 200, LOOKUP);
    const struct contract revoke = on_token(CONTRACT_REVOKE, 204, NULL);
    struct contract_run run;

    (void)state;
    contract_run(&run, &renew);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "PUT /v1/auth/token/renew-self\n");
    assert_string_equal(run.body, "{\"increment\":120}");
    assert_string_equal(run.secret_header, "X-Vault-Token: s." K);
    assert_int_equal(run.x.grant.ttl_ms, 120000);
    assert_int_equal(run.x.grant.renewable, 1);
    contract_end(&run);

    contract_run(&run, &check);
    assert_int_equal(run.step, SRT_UNCHANGED);
    assert_string_equal(run.log, "GET /v1/auth/token/lookup-self\n");
    assert_int_equal(run.idempotent, 1);
    assert_int_equal(run.x.grant.ttl_ms, 3599000);
    contract_end(&run);

    contract_run(&run, &revoke);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "POST /v1/auth/token/revoke-self\n");
    assert_string_equal(run.secret_header, "X-Vault-Token: s." K);
    contract_end(&run);

    assert_int_equal(refused(&renew, 400, "lease is not renewable"),
                     SRT_CLASS_NOT_RENEWABLE);
    assert_int_equal(refused(&renew, 400, "batch tokens cannot be renewed"),
                     SRT_CLASS_NOT_RENEWABLE);
    assert_int_equal(refused(&renew, 403, "permission denied"), SRT_CLASS_AUTH);
    assert_int_equal(refused(&check, 403, "permission denied"), SRT_CLASS_GONE);
    assert_int_equal(refused(&revoke, 403, "permission denied"), SRT_CLASS_AUTH);
    assert_int_equal(refused(&revoke, 400, "batch tokens cannot be revoked"),
                     SRT_CLASS_BACKEND);
    assert_null(srt_provider_vault_login_token.revoke);
}

static void without_an_address_a_login_is_absent(void **state)
{
    const struct contract *const all[] = {&kubernetes, &jwt, &approle};

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct contract c = *all[i];
        struct contract_run run;

        c.config = NULL;
        contract_run(&run, &c);
        assert_int_equal(run.step, SRT_FAIL);
        assert_int_equal(run.x.failure.failure_class, SRT_CLASS_ABSENT);
        assert_int_equal(run.sent, 0);
        contract_end(&run);
    }
}

static void plans(void **state)
{
    static const struct {
        const struct srt_provider *provider;
        const char *config;
        int status;
        const char *need; /* or the message */
        int reread;
        int tier;
    } table[] = {
        {&srt_provider_vault, CONFIG_KUBERNETES, 0, "vault-login-kubernetes://vault", 0,
         0},
        {&srt_provider_vault_login_kubernetes, CONFIG_KUBERNETES, 0,
         "identity:///var/run/secrets/kubernetes.io/serviceaccount/token", 1, 1},
        {&srt_provider_vault_login_kubernetes, WITH("\"method\":\"kubernetes\""),
         SECRETRT_ERR_CONFIG, "vault: \"auth\" with method kubernetes needs \"role\"",
         0, 0},
        {&srt_provider_vault_login_jwt, CONFIG_JWT, 0, "identity:///run/token", 1, 1},
        {&srt_provider_vault_login_jwt, CONFIG, SECRETRT_ERR_CONFIG,
         "vault: \"auth\" with method jwt needs \"token_file\"", 0, 0},
        {&srt_provider_vault_login_jwt, WITH("\"token_file\":\"run/token\""),
         SECRETRT_ERR_CONFIG,
         "vault: the file \"run/token\" in \"auth\" must be an absolute path", 0, 0},
        {&srt_provider_vault_login_approle, CONFIG_APPROLE, 0, "file:///run/id", 1, 3},
        {&srt_provider_vault_login_approle, CONFIG_WRAPPED, 0, "vault-unwrap://vault",
         0, 3},
        {&srt_provider_vault_login_approle, WITH("\"role_id\":\"r\""), 0, NULL, 0, 3},
        {&srt_provider_vault_login_approle, CONFIG, SECRETRT_ERR_CONFIG,
         "vault: \"auth\" with method approle needs \"role_id\"", 0, 0},
        {&srt_provider_vault_unwrap, CONFIG_WRAPPED, 0, "file:///run/id", 0, 3},
        {&srt_provider_vault_unwrap, CONFIG, SECRETRT_ERR_CONFIG,
         "vault: \"auth\" with \"secret_id_wrapped\" needs \"secret_id_file\"", 0, 0},
        {&srt_provider_vault_login_token, CONFIG, 0, NULL, 0, 4},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct secretrt_error err;
        struct srt_plan plan;

        assert_int_equal(
            contract_plan(&plan, table[i].provider, "x://vault", table[i].config, &err),
            table[i].status);
        if (table[i].status != 0) {
            assert_string_equal(err.message, table[i].need);
        } else {
            assert_int_equal(plan.needs, table[i].need != NULL);
            assert_string_equal(srt_buf_text(&plan.need[0].ref),
                                table[i].need != NULL ? table[i].need : "");
            assert_int_equal(plan.need[0].reread, table[i].reread);
            assert_int_equal(plan.tier, table[i].tier);
            assert_int_equal(plan.keyed_by_store, 1);
        }
        srt_plan_wipe(&plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contract),
        cmocka_unit_test(a_login_with_a_service_account),
        cmocka_unit_test(a_login_with_a_jwt_at_its_own_mount),
        cmocka_unit_test(a_login_with_approle),
        cmocka_unit_test(a_batch_token_can_not_be_given_back),
        cmocka_unit_test(a_login_of_wrong_types),
        cmocka_unit_test(a_refused_login_says_what_to_do),
        cmocka_unit_test(the_life_of_a_token),
        cmocka_unit_test(without_an_address_a_login_is_absent),
        cmocka_unit_test(plans),
    };

    return cmocka_run_group_tests(tests, contract_setup, NULL);
}
