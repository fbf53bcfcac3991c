#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/text.h"
#include "contract/contract.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define K CONTRACT_CANARY
#define NOW_MS 1700000000000LL
#define TOKEN_MAX 4096

extern const struct srt_provider srt_provider_identity;

static void base64url(char *out, size_t cap, const char *text)
{
    struct srt_secbuf buf;

    srt_secbuf_init(&buf, 0);
    srt_base64_encode(&buf, text, strlen(text));
    (void)snprintf(out, cap, "%s", srt_secbuf_text(&buf));
    srt_secbuf_wipe(&buf);
    for (char *c = out; *c != '\0'; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    out[strcspn(out, "=")] = '\0';
}

/* header.payload.signature, the last a canary. */
static const char *jwt(const char *claims, const char *end)
{
    static char out[TOKEN_MAX];
    char payload[TOKEN_MAX / 2];

    base64url(payload, sizeof(payload), claims);
    (void)snprintf(out, sizeof(out), "eyJhbGciOiJSUzI1NiJ9.%s." K "%s", payload, end);
    return out;
}

static struct contract with(const char *token)
{
    return (struct contract){
        .provider = &srt_provider_identity,
        .ref = "identity:///run/token",
        .wall_ms = NOW_MS,
        .reply = {{0, .body = token, .file_mode = 0100644}},
        .replies = 1,
    };
}

static enum srt_class spoiled(const char *token)
{
    const struct contract c = with("x");

    return contract_spoiled(&c, (struct contract_reply){0, .body = token});
}

static void the_contract(void **state)
{
    const struct contract c = with(
        jwt("{\"sub\":\"system:serviceaccount:ns:app\",\"exp\":1700000600}", "\n"));

    (void)state;
    contract_outcomes(&c);
    contract_cut(&c, 0);
    contract_memory(&c);
}

static void a_projected_token(void **state)
{
    const struct contract c = with(
        jwt("{\"sub\":\"system:serviceaccount:ns:app\",\"exp\":1700000600}", "\n"));
    struct contract_run run;
    char expected[TOKEN_MAX];

    (void)state;
    (void)snprintf(expected, sizeof(expected), "%s", c.reply[0].body);
    expected[strlen(expected) - 1] = '\0';
    contract_run(&run, &c);
    assert_int_equal(run.step, SRT_DONE);
    assert_string_equal(run.log, "FILE /run/token\n");
    assert_int_equal(srt_bundle_count(run.x.grant.bundle), 1);
    contract_field(&run, "token", expected);
    assert_int_equal(run.x.grant.not_after_wall_ms, 1700000600000LL);
    assert_int_equal(run.x.grant.ttl_ms, -1);
    assert_int_equal(run.x.grant.tier, 1);
    assert_int_equal(run.x.grant.renewable, 0);
    assert_int_equal(run.x.grant.revocable, 0);
    assert_string_equal(run.x.grant.principal, "system:serviceaccount:ns:app");
    contract_end(&run);
}

static void the_end_of_a_token(void **state)
{
    static const struct {
        const char *claims;
        int64_t end_ms; /* -1: CONFIG */
    } table[] = {
        {"{}", 0},
        {"{\"exp\":1700000600.75}", 1700000600000LL},
        {"{\"exp\":253402300799}", 253402300799000LL},
        {"{\"exp\":\"1700000600\"}", -1},
        {"{\"exp\":-1}", -1},
        {"{\"exp\":9223372036854775808}", -1},
        {"{\"exp\":1e12}", -1},
        {"{\"exp\":1700000600.5e3}", -1},
        {"{\"exp\":null}", -1},
        {"{\"exp\":1700000600,\"exp\":1700000601}", -1},
        {"[]", -1},
        {"not JSON " K, -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct contract c = with(jwt(table[i].claims, ""));
        struct contract_run run;

        contract_run(&run, &c);
        assert_int_equal(run.step, table[i].end_ms < 0 ? SRT_FAIL : SRT_DONE);
        if (run.step == SRT_FAIL)
            assert_int_equal(run.x.failure.failure_class, SRT_CLASS_CONFIG);
        else
            assert_int_equal(run.x.grant.not_after_wall_ms, table[i].end_ms);
        contract_end(&run);
    }
}

static void an_expired_token(void **state)
{
    const struct contract c = with(jwt("{\"exp\":1700000000}", ""));
    struct contract_run run;

    (void)state;
    contract_run(&run, &c);
    assert_int_equal(run.x.failure.failure_class, SRT_CLASS_LOGIN);
    assert_string_equal(run.x.failure.error.message,
                        "identity: the token in /run/token expired at "
                        "2023-11-14T22:13:20.000Z: is it projected anew?");
    contract_end(&run);
}

static void what_is_no_token(void **state)
{
    static const char *const shapes[] = {
        K,           "a.b",      ".e30." K,  "a..c",        "a.e30.",
        "a.e30.b.c", "a.e3=0.b", "a.e/30.b", "a.e30.b\x7f", "a.e30.\xc3\xa9",
    };
    static char deep[TOKEN_MAX];
    char claims[1100];

    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        assert_int_equal(spoiled(shapes[i]), SRT_CLASS_CONFIG);
    memset(claims, '[', sizeof(claims));
    claims[1000] = '\0';
    (void)snprintf(deep, sizeof(deep), "%s", jwt(claims, ""));
    assert_int_equal(spoiled(deep), SRT_CLASS_CONFIG);
    assert_int_equal(spoiled(K " " K), SRT_CLASS_CONFIG);
    assert_int_equal(spoiled("a.e30.b\nc"), SRT_CLASS_CONFIG);
    assert_int_equal(spoiled("a.e30.b\n\n"), SRT_CLASS_CONFIG);
    assert_int_equal(spoiled("\n"), SRT_CLASS_CONFIG);
    assert_int_equal(spoiled("a.e30.b\r\n"), SRT_CLASS_NONE);
}

static void a_nul_in_it(void **state)
{
    const struct contract c = with("x");

    (void)state;
    assert_int_equal(
        contract_spoiled(&c,
                         (struct contract_reply){0, .body = "a.e30.b\0c", .len = 9}),
        SRT_CLASS_CONFIG);
}

static void a_file_that_everybody_may_write(void **state)
{
    struct contract c = with(jwt("{}", ""));
    struct contract_run run;

    (void)state;
    c.reply[0].file_mode = 0100646;
    contract_run(&run, &c);
    assert_int_equal(run.x.failure.failure_class, SRT_CLASS_CONFIG);
    assert_string_equal(run.x.failure.error.message,
                        "identity: the token in /run/token is refused: everybody may "
                        "write the file (chmod o-w)");
    contract_end(&run);
}

static void not_there(void **state)
{
    struct contract c = with("x");
    struct contract_run run;

    (void)state;
    c.reply[0] = (struct contract_reply){.outcome = SRT_OUTCOME_ABSENT};
    contract_run(&run, &c);
    assert_int_equal(run.x.failure.failure_class, SRT_CLASS_ABSENT);
    contract_end(&run);
}

static void plans(void **state)
{
    static const char *const bad[] = {
        "identity://run/token",
        "identity:///run/",
        "identity:///run/token?_refresh=soon",
        "identity:///run/token?audience=x",
    };
    struct secretrt_error err;
    struct srt_plan plan;

    (void)state;
    assert_int_equal(contract_plan(&plan, &srt_provider_identity,
                                   "identity:///run/token", NULL, &err),
                     0);
    assert_int_equal(plan.tier, 1);
    assert_int_equal(plan.needs, 0);
    assert_int_equal(plan.refresh_ms, 60000);
    srt_plan_wipe(&plan);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(
            contract_plan(&plan, &srt_provider_identity, bad[i], NULL, &err),
            SECRETRT_ERR_INVALID);
        srt_plan_wipe(&plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contract),
        cmocka_unit_test(a_projected_token),
        cmocka_unit_test(the_end_of_a_token),
        cmocka_unit_test(an_expired_token),
        cmocka_unit_test(what_is_no_token),
        cmocka_unit_test(a_nul_in_it),
        cmocka_unit_test(a_file_that_everybody_may_write),
        cmocka_unit_test(not_there),
        cmocka_unit_test(plans),
    };

    return cmocka_run_group_tests(tests, contract_setup, NULL);
}
