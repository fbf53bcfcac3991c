#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "contract/contract.h"
#include <cmocka.h>
#include <string.h>

#define K CONTRACT_CANARY

extern const struct srt_provider srt_provider_env;

static const struct contract one = {
    .provider = &srt_provider_env,
    .ref = "env://API_KEY",
    .reply = {{0, .body = K}},
    .replies = 1,
};

static const struct contract two = {
    .provider = &srt_provider_env,
    .ref = "env://?username=DB_USER&password=DB_PASSWORD&_unique=1",
    .reply = {{0, .body = "app"}, {0, .body = K " with spaces\n"}},
    .replies = 2,
};

static void the_contract(void **state)
{
    (void)state;
    contract_outcomes(&one);
    contract_cut(&one, 0);
    contract_memory(&one);
    contract_outcomes(&two);
    contract_memory(&two);
}

static void one_variable_is_a_value(void **state)
{
    struct contract_run run;

    (void)state;
    contract_run(&run, &one);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "ENV API_KEY\n");
    assert_int_equal(srt_bundle_count(run.x.grant.bundle), 1);
    contract_field(&run, "value", K);
    assert_int_equal(run.x.grant.tier, 4);
    assert_int_equal(run.x.grant.ttl_ms, -1);
    assert_int_equal(run.x.grant.refresh_ms, 0);
    assert_int_equal(run.x.grant.revocable, 0);
    contract_end(&run);
}

static void several_variables_are_fields(void **state)
{
    struct contract_run run;

    (void)state;
    contract_run(&run, &two);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "ENV DB_USER\nENV DB_PASSWORD\n");
    assert_int_equal(srt_bundle_count(run.x.grant.bundle), 2);
    contract_field(&run, "username", "app");
    contract_field(&run, "password", K " with spaces\n");
    contract_end(&run);
}

static void not_set_and_empty_are_absent(void **state)
{
    struct contract c = two;
    struct contract_run run;

    (void)state;
    c.reply[1] = (struct contract_reply){.outcome = SRT_OUTCOME_ABSENT};
    contract_run(&run, &c);
    assert_int_equal(run.x.failure.failure_class, SRT_CLASS_ABSENT);
    assert_string_equal(run.x.failure.error.message, "env: DB_PASSWORD is not set");
    contract_end(&run);
    c.reply[1] = (struct contract_reply){0, .body = NULL};
    contract_run(&run, &c);
    assert_int_equal(run.x.failure.failure_class, SRT_CLASS_ABSENT);
    assert_string_equal(run.x.failure.error.message, "env: DB_PASSWORD is empty");
    contract_end(&run);
}

static void values_beyond_the_ceiling(void **state)
{
    static char big[700 * 1024];
    struct contract c = two;
    struct contract_run run;

    (void)state;
    memset(big, 'x', sizeof(big));
    memcpy(big, K, strlen(K));
    c.reply[0] = c.reply[1] =
        (struct contract_reply){0, .body = big, .len = sizeof(big)};
    contract_run(&run, &c);
    assert_int_equal(run.x.failure.failure_class, SRT_CLASS_PROTOCOL);
    contract_end(&run);
}

static void plans(void **state)
{
    static const char *const bad[] = {
        "env://",
        "env://?_unique=1",
        "env://NAME?field=OTHER",
        "env://?field=A%3DB",
        "env://?field=",
        "env://A/B",
        "env://NAME?_refresh=5m",
        "env://NAME?_method=post",
    };
    struct secretrt_error err;
    struct srt_plan plan;

    (void)state;
    assert_int_equal(
        contract_plan(&plan, &srt_provider_env, "env://NAME?_overlap=1s", NULL, &err),
        0);
    assert_int_equal(plan.tier, 4);
    assert_int_equal(plan.needs, 0);
    assert_int_equal(plan.refresh_ms, 0);
    srt_plan_wipe(&plan);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(contract_plan(&plan, &srt_provider_env, bad[i], NULL, &err),
                         SECRETRT_ERR_INVALID);
        assert_true(err.message[0] != '\0');
        srt_plan_wipe(&plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contract),
        cmocka_unit_test(one_variable_is_a_value),
        cmocka_unit_test(several_variables_are_fields),
        cmocka_unit_test(not_set_and_empty_are_absent),
        cmocka_unit_test(values_beyond_the_ceiling),
        cmocka_unit_test(plans),
    };

    return cmocka_run_group_tests(tests, contract_setup, NULL);
}
