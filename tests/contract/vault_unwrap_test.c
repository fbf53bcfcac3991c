#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "contract/vault_bodies.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define WRAP_LOOKUP                                                                    \
    HEAD("14e47679-e05f-a298-c068-65a3512d017f")                                       \
    "\"data\":{\"creation_path\":\"auth/approle/role/app/secret-id\","                 \
    "\"creation_time\":\"2026-11-24T06:09:59.35928085Z\",\"creation_ttl\":60}" NO_AUTH
#define UNWRAPPED                                                                      \
    HEAD("5dadd0d0-e293-8bc9-ef81-07b852a6007f")                                       \
    "\"data\":{\"secret_id\":\"" K "-id\",\"secret_id_accessor\":"                     \
    "\"b82474e2-1eec-bcbb-76ff-e436702c9ed9\",\"secret_id_num_uses\":0,"               \
    "\"secret_id_ttl\":0}" NO_AUTH

static const struct contract unwrap = {
    .provider = &srt_provider_vault_unwrap,
    .ref = "vault-unwrap://vault",
    .config = CONFIG_WRAPPED,
    .credential = K,
    .reply = {{200, .body = WRAP_LOOKUP}, {200, .body = UNWRAPPED}},
    .replies = 2,
};

static void the_contract(void **state)
{
    struct contract look = unwrap;

    (void)state;
    contract_http(&unwrap);
    contract_outcomes(&unwrap);
    contract_cut(&unwrap, 0);
    contract_memory(&unwrap);
    look.replies = 1; /* its first reply spoiled: it never comes to the second */
    contract_http(&look);
    contract_outcomes(&look);
}

static void a_wrapped_secret_id(void **state)
{
    struct contract_run run;
    struct contract c = unwrap;

    (void)state;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log,
                        "POST /v1/sys/wrapping/lookup\nPOST /v1/sys/wrapping/unwrap\n");
    assert_string_equal(run.secret_header, "X-Vault-Token: " K);
    assert_string_equal(run.body, "");
    contract_field(&run, "secret_id", K "-id");
    assert_int_equal(run.x.grant.ttl_ms, -1);
    assert_int_equal(run.x.grant.tier, 3);
    assert_int_equal(run.x.grant.revocable, 0);
    contract_end(&run);

    c.replies = 1; /* the look-up sends no token header */
    c.reply[0] = (struct contract_reply){.outcome = SRT_OUTCOME_TIMEOUT};
    contract_run(&run, &c);
    assert_string_equal(run.secret_header, "");
    assert_string_equal(run.body, "{\"token\":\"" K "\"}");
    contract_end(&run);
    assert_int_equal(contract_changed(&unwrap, "\"" K "-id\"", "null"),
                     SRT_CLASS_PROTOCOL);
}

static void a_wrapping_token_of_somebody_else(void **state)
{
    static const char *const paths[] = {
        "auth/approle/role/other/secret-id",
        "auth/approle2/role/app/secret-id",
        "auth/approle/role/app/secret-id/x",
        "auth/approle/role/app/role-id",
        "secret/data/app",
        "auth/approle/role//secret-id",
        "sys/wrapping/wrap",
        "x\\u001b[31m\\u0000",
    };
    static const char dead[] = "wrapping token is not valid or does not exist";
    struct contract look = unwrap;

    (void)state;
    look.replies = 1;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_int_equal(
            contract_changed(&look, "auth/approle/role/app/secret-id", paths[i]),
            SRT_CLASS_SECURITY);
    assert_int_equal(
        contract_changed(&look, "\"auth/approle/role/app/secret-id\"", "1"),
        SRT_CLASS_PROTOCOL);
    assert_int_equal(refused(&look, 400, dead), SRT_CLASS_SECURITY);
    assert_int_equal(refused(&unwrap, 400, dead), SRT_CLASS_SECURITY);
    assert_int_equal(refused(&unwrap, 403, "permission denied"), SRT_CLASS_LOGIN);
}

static void an_unwrapped_secret_id_is_not_unwrapped_again(void **state)
{
    struct contract c = unwrap;
    struct contract_run run;

    (void)state;
    c.op = CONTRACT_CHECK;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_UNCHANGED);
    assert_int_equal(run.sent, 0);
    assert_int_equal(run.x.grant.ttl_ms, -1);
    contract_end(&run);
}

static void without_an_address_it_is_absent(void **state)
{
    struct contract c = unwrap;
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
        cmocka_unit_test(a_wrapped_secret_id),
        cmocka_unit_test(a_wrapping_token_of_somebody_else),
        cmocka_unit_test(an_unwrapped_secret_id_is_not_unwrapped_again),
        cmocka_unit_test(without_an_address_it_is_absent),
    };

    return cmocka_run_group_tests(tests, contract_setup, NULL);
}
