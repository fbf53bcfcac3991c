/* The life of a lease: real engine, real vault provider, fake time, scripted wire. */
#include "support/world.h"
#include <string.h>

#define LOGIN_PATH "POST /v1/auth/approle/login"
#define CREDS "GET /v1/database/creds/app"
#define RENEW "PUT /v1/sys/leases/renew"
#define REVOKE "PUT /v1/sys/leases/revoke"

static int begin(void **state)
{
    struct world *w = world_new(NULL);

    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 3600));
    *state = w;
    return 0;
}

static int end(void **state)
{
    world_free(*state);
    return 0;
}

static void a_secret_is_fetched_under_its_login(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    s = open_secret(w, "vault://database/creds/app");
    assert_string_equal(field(s, "username"), "one");
    assert_string_equal(field(s, "password"), "CANARY-one");
    assert_int_equal(generation(s), 1);
    assert_int_equal(world_lines(w->events, "ready 1"), 1);
    net_expect_done(w);
}

static void nothing_is_renewed_at_adoption(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    open_secret(w, "vault://database/creds/app");
    clock_advance_ms(w, 170 * 1000);
    assert_int_equal(net_count(w, RENEW), 0);
    net_reply(w, RENEW, 200, RENEWED("l1", 300));
    clock_advance_ms(w, 20 * 1000);
    net_expect_done(w);
}

static void keeps_the_last_value_when_renewal_fails(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, RENEW, 503, ERRORS("Vault is sealed"));
    net_reply(w, RENEW, 200, RENEWED("l1", 300));
    s = open_secret(w, "vault://database/creds/app");
    clock_advance_ms(w, 200 * 1000);
    assert_string_equal(field(s, "username"), "one");
    assert_int_equal(world_lines(w->events, "failed"), 1);
    net_expect_done(w);
}

static void a_truncated_grant_is_replaced_before_its_end(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 20, "one"));
    net_reply(w, RENEW, 200, RENEWED("l1", 20));
    net_reply(w, RENEW, 200, RENEWED("l1", 9));
    net_reply(w, CREDS, 200, LEASE("l2", 20, "two"));
    net_reply(w, RENEW, 200, RENEWED("l1", 4)); /* shortened */
    net_reply(w, REVOKE, 204, "");
    net_always(w, RENEW, 200, RENEWED("l2", 20));
    s = open_secret(w, "vault://database/creds/app");
    clock_advance_ms(w, 27 * 1000);
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(world_lines(w->events, "reload 2"), 1);
    clock_advance_ms(w, 10 * 1000);
    assert_int_equal(net_count(w, REVOKE), 1);
    assert_int_equal(world_lines(w->events, "drained"), 1);
    net_expect_done(w);
}

static void close_revokes_the_login_once(void **state)
{
    struct world *w = *state;
    unsigned left = 7;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, "POST /v1/auth/token/revoke-self", 204, "");
    open_secret(w, "vault://database/creds/app");
    srt_engine_close(w->engine);
    world_turn(w);
    assert_int_equal(srt_engine_closed(w->engine, &left), 1);
    assert_int_equal(left, 0);
    assert_int_equal(net_count(w, REVOKE), 0);
    assert_non_null(strstr(w->last_secret_header, "CANARY-token"));
    net_expect_done(w);
}

static void a_lease_that_is_gone_is_replaced_at_once(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, "PUT /v1/sys/leases/lookup", 400, ERRORS("invalid lease"));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    s = open_secret(w, "vault://database/creds/app");
    clock_advance_ms(w, 60 * 1000);
    srt_secret_reject(w->engine, s->secret, 1, 401);
    world_turn(w);
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(s->settled, SRT_SETTLED_PUBLISHED);
    assert_int_equal(world_lines(w->records, "secret.reject"), 1);
    net_expect_done(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_secret_is_fetched_under_its_login, begin,
                                        end),
        cmocka_unit_test_setup_teardown(nothing_is_renewed_at_adoption, begin, end),
        cmocka_unit_test_setup_teardown(keeps_the_last_value_when_renewal_fails, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_truncated_grant_is_replaced_before_its_end,
                                        begin, end),
        cmocka_unit_test_setup_teardown(close_revokes_the_login_once, begin, end),
        cmocka_unit_test_setup_teardown(a_lease_that_is_gone_is_replaced_at_once, begin,
                                        end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
