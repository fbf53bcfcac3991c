#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "contract/vault_bodies.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define LOOKUP_ROOT                                                                    \
    HEAD("ff2d5ccd-f0a4-35cf-d976-921e6a227afd")                                       \
    "\"data\":{\"accessor\":\"ZVVwj0ITBZ0sACDq8Wr3Fk2X\",\"creation_time\":"           \
    "1795500562,"                                                                      \
    "\"creation_ttl\":0,\"display_name\":\"root\",\"entity_id\":\"\","                 \
    "\"expire_time\":null,\"explicit_max_ttl\":0,\"id\":\"" K "\",\"issue_time\":"     \
    "\"2026-11-24T06:09:22.704383272Z\",\"meta\":null,\"num_uses\":0,\"orphan\":true," \
    "\"path\":\"auth/token/root\",\"policies\":[\"root\"],\"renewable\":false,"        \
    "\"ttl\":0,\"type\":\"service\"}" NO_AUTH

static const struct contract token = {
    .provider = &srt_provider_vault_login_token,
    .ref = "vault-login-token://vault",
    .config = CONFIG,
    .reply = {{0, .body = "s." K}, {200, .body = LOOKUP}},
    .replies = 2,
};

static void the_contract(void **state)
{
    (void)state;
    contract_http(&token);
    contract_outcomes(&token);
    contract_cut(&token, 0);
    contract_memory(&token);
}

static void a_token_of_the_environment(void **state)
{
    struct contract_run run;

    (void)state;
    contract_run(&run, &token);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "ENV BAO_TOKEN\nGET /v1/auth/token/lookup-self\n");
    assert_string_equal(run.secret_header, "X-Vault-Token: s." K);
    assert_int_equal(run.idempotent, 1);
    contract_field(&run, "token", "s." K);
    assert_int_equal(run.x.grant.ttl_ms, 3599000);
    assert_int_equal(run.x.grant.renewable, 1);
    assert_int_equal(run.x.grant.revocable, 0);
    assert_int_equal(run.x.grant.sweeps, 0);
    assert_int_equal(run.x.grant.tier, 4);
    assert_string_equal(run.x.grant.principal, "token-x");
    assert_string_equal(srt_buf_text(&run.x.grant.lease_id),
                        "Iwfy2fLUIwsTmrmZjOMCWxI8");
    contract_end(&run);
}

static void a_token_of_the_home_directory(void **state)
{
    const struct contract c = {
        .provider = &srt_provider_vault_login_token,
        .ref = "vault-login-token://vault",
        .config = CONFIG,
        .reply = {{.outcome = SRT_OUTCOME_ABSENT},
                  {0, .body = NULL}, /* set but empty */
                  {0, .body = K "\n", .file_mode = 0100600},
                  {200, .body = LOOKUP_ROOT}},
        .replies = 4,
    };
    struct contract_run run;

    (void)state;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "ENV BAO_TOKEN\nENV VAULT_TOKEN\n"
                                 "FILE /home/app/.vault-token\n"
                                 "GET /v1/auth/token/lookup-self\n");
    contract_field(&run, "token", K);
    assert_int_equal(run.x.grant.ttl_ms, -1); /* a root token has no end */
    assert_int_equal(run.x.grant.renewable, 0);
    contract_end(&run);
    contract_memory(&c);
}

static void no_token_anywhere(void **state)
{
    const struct contract c = {
        .provider = &srt_provider_vault_login_token,
        .ref = "vault-login-token://vault",
        .config = CONFIG,
        .reply = {{.outcome = SRT_OUTCOME_ABSENT},
                  {.outcome = SRT_OUTCOME_ABSENT},
                  {.outcome = SRT_OUTCOME_ABSENT}},
        .replies = 3,
    };
    struct contract_run run;

    (void)state;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_FAIL);
    assert_int_equal(run.x.failure.failure_class, SRT_CLASS_ABSENT);
    assert_string_equal(run.x.failure.error.message,
                        "vault: no token: set BAO_TOKEN, or configure \"auth\"");
    contract_end(&run);
}

static void a_token_that_is_none(void **state)
{
    static const struct {
        struct contract_reply reply;
        const char *text;
    } table[] = {
        {{0, .body = K " " K},
         "vault: the token from /run/token holds white space or a byte that no token "
         "has"},
        {{0, .body = K "\nX-Evil: 1"},
         "vault: the token from /run/token holds white space or a byte that no token "
         "has"},
        {{0, .body = K "\0x", .len = sizeof(K) + 1},
         "vault: the token from /run/token holds white space or a byte that no token "
         "has"},
        {{0, .body = "\n"}, "vault: the token from /run/token is empty"},
        {{.outcome = SRT_OUTCOME_ABSENT},
         "vault: the token from /run/token is not there: is what writes the file "
         "running?"},
        {{0, .body = K, .file_mode = 0100666},
         "vault: the token from /run/token is refused: everybody may write the file"},
    };
    struct contract c = token;

    (void)state;
    c.config = WITH("\"token_file\":\"/run/token\"");
    c.replies = 1;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct contract_run run;

        c.reply[0] = table[i].reply;
        contract_run(&run, &c);
        assert_int_equal(run.step, SRT_FAIL);
        assert_int_equal(run.x.failure.failure_class, SRT_CLASS_CONFIG);
        assert_string_equal(run.x.failure.error.message, table[i].text);
        assert_string_equal(run.log, "FILE /run/token\n");
        contract_end(&run);
    }
    contract_outcomes(&c);
}

static void a_given_token_that_is_dead(void **state)
{
    struct contract c = token;
    struct contract_run run;

    (void)state;
    c.reply[1] = (struct contract_reply){403, .body = "{\"errors\":[\"" K "\"]}"};
    contract_run(&run, &c);
    assert_int_equal(run.x.failure.failure_class, SRT_CLASS_LOGIN);
    assert_string_equal(run.x.failure.error.message,
                        "vault 403: the token from BAO_TOKEN is not valid (any more): "
                        "get a new one");
    contract_end(&run);
    assert_int_equal(contract_changed(&token, ":3599,", ":\"3599\","),
                     SRT_CLASS_PROTOCOL);
}

/* 0 says "no end" of a root token, and "no second left" of one that has an end. */
static void a_token_in_its_last_second(void **state)
{
    struct contract c = token;
    struct contract_run run;

    (void)state;
    c.reply[1].body = "{\"data\":{\"expire_time\":\"2026-11-24T07:09:58Z\",\"ttl\":0}}";
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    assert_int_equal(run.x.grant.ttl_ms, 0);
    contract_end(&run);
}

static void without_an_address_it_is_absent(void **state)
{
    struct contract c = token;
    struct contract_run run;

    (void)state;
    c.config = NULL;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_FAIL);
    assert_int_equal(run.x.failure.failure_class, SRT_CLASS_ABSENT);
    assert_int_equal(run.sent, 0);
    contract_end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contract),
        cmocka_unit_test(a_token_of_the_environment),
        cmocka_unit_test(a_token_of_the_home_directory),
        cmocka_unit_test(no_token_anywhere),
        cmocka_unit_test(a_token_that_is_none),
        cmocka_unit_test(a_given_token_that_is_dead),
        cmocka_unit_test(a_token_in_its_last_second),
        cmocka_unit_test(without_an_address_it_is_absent),
    };

    return cmocka_run_group_tests(tests, contract_setup, NULL);
}
