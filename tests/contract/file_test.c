#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "contract/contract.h"
#include <cmocka.h>
#include <string.h>

#define K CONTRACT_CANARY

extern const struct srt_provider srt_provider_file;

static const struct contract secret = {
    .provider = &srt_provider_file,
    .ref = "file:///run/secrets/api%20key",
    .reply = {{0, .body = K "\n", .file_mode = 0100644}},
    .replies = 1,
};

static void the_contract(void **state)
{
    (void)state;
    contract_outcomes(&secret);
    contract_cut(&secret, 0);
    contract_memory(&secret);
}

static void one_file_is_one_field(void **state)
{
    struct contract_run run;

    (void)state;
    contract_run(&run, &secret);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "FILE /run/secrets/api key\n");
    assert_int_equal(srt_bundle_count(run.x.grant.bundle), 1);
    contract_field(&run, "api key", K);
    assert_int_equal(run.x.grant.tier, 3);
    assert_int_equal(run.x.grant.ttl_ms, -1);
    assert_int_equal(run.x.grant.revocable, 0);
    contract_end(&run);
}

static void bytes_stay_as_they_are_but_one_newline(void **state)
{
    struct contract c = secret;
    struct contract_run run;
    const char *value;
    size_t len = 0;

    (void)state;
    c.reply[0] = (struct contract_reply){0, .body = "a\0\r\n\n", .len = 5};
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    value = srt_bundle_field(run.x.grant.bundle, "api key", &len);
    assert_int_equal(len, 4);
    assert_memory_equal(value, "a\0\r\n", 4);
    contract_end(&run);
}

static void what_a_failure_means(void **state)
{
    static char big[SRT_SECBUF_MAX];
    struct contract c = secret;
    struct contract_run run;

    (void)state;
    c.reply[0] = (struct contract_reply){.outcome = SRT_OUTCOME_ABSENT};
    contract_run(&run, &c);
    assert_int_equal(run.x.failure.failure_class, SRT_CLASS_NOT_FOUND);
    assert_string_equal(run.x.failure.error.message,
                        "file: /run/secrets/api key is not there");
    contract_end(&run);
    assert_int_equal(
        contract_spoiled(&secret, (struct contract_reply){0, .body = "\n"}),
        SRT_CLASS_CONFIG);
    assert_int_equal(
        contract_spoiled(&secret, (struct contract_reply){0, .body = NULL}),
        SRT_CLASS_CONFIG);
    memset(big, 'x', sizeof(big));
    assert_int_equal(
        contract_spoiled(&secret,
                         (struct contract_reply){0, .body = big, .len = sizeof(big)}),
        SRT_CLASS_PROTOCOL);
}

static void plans(void **state)
{
    static const struct {
        const char *ref;
        int status;
    } bad[] = {
        {"file://run/secret", SECRETRT_ERR_INVALID},
        {"file:///run/secrets/", SECRETRT_ERR_CONFIG},
        {"file:///run/secret?_refresh=soon", SECRETRT_ERR_INVALID},
        {"file:///run/secret?version=1", SECRETRT_ERR_INVALID},
        {"file:///run/secret?_method=post", SECRETRT_ERR_INVALID},
    };
    struct secretrt_error err;
    struct srt_plan plan;

    (void)state;
    assert_int_equal(contract_plan(&plan, &srt_provider_file,
                                   "file:///run/secret?_overlap=1s", NULL, &err),
                     0);
    assert_int_equal(plan.tier, 3);
    assert_int_equal(plan.refresh_ms, 300000);
    srt_plan_wipe(&plan);
    assert_int_equal(contract_plan(&plan, &srt_provider_file,
                                   "file:///run/secret?_refresh=10s", NULL, &err),
                     0);
    assert_int_equal(plan.refresh_ms, 10000);
    srt_plan_wipe(&plan);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(
            contract_plan(&plan, &srt_provider_file, bad[i].ref, NULL, &err),
            bad[i].status);
        srt_plan_wipe(&plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contract),
        cmocka_unit_test(one_file_is_one_field),
        cmocka_unit_test(bytes_stay_as_they_are_but_one_newline),
        cmocka_unit_test(what_a_failure_means),
        cmocka_unit_test(plans),
    };

    return cmocka_run_group_tests(tests, contract_setup, NULL);
}
