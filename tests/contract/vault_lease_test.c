#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "contract/vault_bodies.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define LEASE_ID "database/creds/app/y7aQiXSgdWCYOfbEHbeDvf4Q"
#define RENEWED                                                                        \
    "{\"request_id\":\"0e04467a-242b-e979-6533-b94e0cbd38e3\",\"lease_id\":"           \
    "\"" LEASE_ID "\",\"renewable\":true,\"lease_duration\":300,\"data\":null,"        \
    "\"wrap_info\":null,\"warnings\":[\"TTL of \\\"1h40m\\\" exceeded the effective "  \
    "max_ttl of \\\"5m\\\"; TTL value is capped accordingly\"],\"auth\":null}\n"
#define LOOKED_UP                                                                      \
    HEAD("22c93474-b5d4-ee0c-e85f-4fc10936233a")                                       \
    "\"data\":{\"expire_time\":\"2026-11-24T06:14:57.503111826Z\",\"id\":"             \
    "\"" LEASE_ID "\",\"issue_time\":\"2026-11-24T06:09:57.366887754Z\","              \
    "\"last_renewal\":\"2026-11-24T06:09:57.503111946Z\",\"path\":"                    \
    "\"database/creds/app\",\"renewable\":true,\"ttl\":299}" NO_AUTH

static struct contract on_lease(enum contract_op op, int status, const char *body)
{
    struct contract c = {
        .provider = &srt_provider_vault,
        .ref = "vault://database/creds/app",
        .config = CONFIG,
        .credential = "s." K,
        .replies = 1,
    };

    c.op = op;
    c.lease_id = LEASE_ID;
    c.increment_ms = 60001;
    c.reply[0].status = status;
    c.reply[0].body = body;
    return c;
}

static void the_contract(void **state)
{
    const struct contract all[] = {
        on_lease(CONTRACT_RENEW, 200, RENEWED),
        on_lease(CONTRACT_CHECK, 200, LOOKED_UP),
        on_lease(CONTRACT_REVOKE, 204, NULL),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        contract_http(&all[i]);
        contract_outcomes(&all[i]);
        contract_memory(&all[i]);
        if (all[i].reply[0].body != NULL)
            contract_cut(&all[i], 0);
    }
}

static void a_renewal(void **state)
{
    const struct contract c = on_lease(CONTRACT_RENEW, 200, RENEWED);
    struct contract_run run;

    (void)state;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "PUT /v1/sys/leases/renew\n");
    assert_string_equal(run.body, "{\"lease_id\":\"" LEASE_ID "\",\"increment\":61}");
    assert_int_equal(run.x.grant.ttl_ms, 300000);
    assert_int_equal(run.x.grant.renewable, 1);
    assert_null(run.x.grant.bundle);
    contract_end(&run);
}

static void what_a_refused_renewal_means(void **state)
{
    static const struct {
        const char *text;
        enum srt_class expected;
    } table[] = {
        {"lease not found", SRT_CLASS_GONE},
        {"invalid lease", SRT_CLASS_GONE},
        {"lease expired", SRT_CLASS_GONE},
        {"lease is expired and has failed previous revocation", SRT_CLASS_GONE},
        {"lease is not renewable", SRT_CLASS_NOT_RENEWABLE},
        {"batch tokens cannot be renewed", SRT_CLASS_NOT_RENEWABLE},
        {"cannot renew lease, no valid associated token", SRT_CLASS_NOT_RENEWABLE},
        {"failed to renew entry: failed to connect: " K, SRT_CLASS_BACKEND},
        {"failed to renew entry: lease not found", SRT_CLASS_BACKEND},
        {K, SRT_CLASS_BACKEND},
    };
    const struct contract c = on_lease(CONTRACT_RENEW, 200, RENEWED);

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_int_equal(refused(&c, 400, table[i].text), table[i].expected);
    }
    assert_int_equal(refused(&c, 403, "permission denied"), SRT_CLASS_AUTH);
    assert_int_equal(contract_changed(&c, ":300,", ":\"300\","), SRT_CLASS_PROTOCOL);
    assert_int_equal(contract_changed(&c, ":300,", ":-300,"), SRT_CLASS_PROTOCOL);
}

static void a_check(void **state)
{
    const struct contract c = on_lease(CONTRACT_CHECK, 200, LOOKED_UP);
    struct contract_run run;

    (void)state;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_UNCHANGED);
    assert_string_equal(run.log, "PUT /v1/sys/leases/lookup\n");
    assert_string_equal(run.body, "{\"lease_id\":\"" LEASE_ID "\"}");
    assert_int_equal(run.idempotent, 1);
    assert_int_equal(run.x.grant.ttl_ms, 299000);
    contract_end(&run);
    assert_int_equal(refused(&c, 400, "invalid lease"), SRT_CLASS_GONE);
    assert_int_equal(refused(&c, 403, "permission denied"), SRT_CLASS_AUTH);
}

static void a_revocation(void **state)
{
    const struct contract c = on_lease(CONTRACT_REVOKE, 204, NULL);
    struct contract_run run;

    (void)state;
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "PUT /v1/sys/leases/revoke\n");
    assert_string_equal(run.body, "{\"lease_id\":\"" LEASE_ID "\"}");
    contract_end(&run);
    assert_int_equal(refused(&c, 403, "permission denied"), SRT_CLASS_AUTH);
    assert_int_equal(refused(&c, 400, "failed to revoke entry: " K), SRT_CLASS_BACKEND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contract),
        cmocka_unit_test(a_renewal),
        cmocka_unit_test(what_a_refused_renewal_means),
        cmocka_unit_test(a_check),
        cmocka_unit_test(a_revocation),
    };

    return cmocka_run_group_tests(tests, contract_setup, NULL);
}
