/* Giving back: the login takes its leases along; what it can't, goes one by one. */
#include "rig.h"

#define GIVEN                                                                          \
    "{\"vault\":{\"address\":\"https://vault:8200\",\"auth\":{\"method\":\"token\","   \
    "\"token_file\":\"/run/token\"}}}"

static int begin_given(void **state) /* a token that we were given */
{
    struct world *w = world_new(GIVEN);

    net_reply(w, "FILE /run/token", 0, "CANARY-given");
    net_reply(w, LOOKUP_SELF, 200, FOUND(864000));
    *state = w;
    return 0;
}

#define GIVES(test) cmocka_unit_test_setup_teardown(test, begin_given, end)

/* ---- the client is closed ---- */

static void the_login_is_revoked_once_for_all(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, CREDS_B, 200, LEASE("m1", 300, "uno"));
    net_reply(w, REVOKE_SELF, 204, "");
    open_secret(w, APP);
    open_secret(w, BPP);
    assert_int_equal(world_close(w, 2000), 0);
    assert_int_equal(net_count(w, REVOKE), 0);
    assert_non_null(strstr(w->last_secret_header, "CANARY-token"));
    assert_int_equal(world_lines(w->records, "auth.revoke success"), 1);
    net_expect_done(w);
}

static void nothing_is_served_once_it_closes(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, REVOKE_SELF, 204, "")->delay_ms = 500;
    s = open_secret(w, APP);
    srt_engine_close(w->engine);
    assert_null(field(s, "username"));
    assert_int_equal(generation(s), 0);
    world_close(w, 2000);
}

static void the_leases_of_a_given_token_go_one_by_one(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, CREDS_B, 200, LEASE("m1", 300, "uno"));
    net_reply(w, REVOKE, 204, "");
    net_reply(w, REVOKE, 204, "");
    open_secret(w, APP);
    open_secret(w, BPP);
    assert_int_equal(world_close(w, 2000), 0);
    assert_int_equal(net_count(w, REVOKE_SELF), 0);
    assert_int_equal(world_lines(w->records, "lease.revoke success"), 2);
    net_expect_done(w);
}

/* The default policy allows renewals, not revocations: a second is left to it. */
static void what_may_not_be_revoked_is_shortened(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, REVOKE, 403, ERRORS("permission denied"));
    net_reply(w, RENEW, 200, RENEWED("l1", 1));
    open_secret(w, APP);
    assert_int_equal(world_close(w, 2000), 0);
    assert_non_null(strstr(w->last_body, "\"increment\":1}"));
    net_expect_done(w);
}

static void what_can_neither_be_revoked_nor_shortened_is_counted(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 200, FIXED_LEASE("l1", 300, "one"));
    net_reply(w, REVOKE, 403, ERRORS("permission denied"));
    open_secret(w, APP);
    assert_int_equal(world_close(w, 2000), 1);
    assert_int_equal(world_lines(w->records, "lease.leak_possible denied"), 1);
    net_expect_done(w);
}

static void what_can_not_be_reached_is_counted_after_three_tries(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_always(w, REVOKE_SELF, 503, ERRORS("Vault is sealed"));
    open_secret(w, APP);
    assert_int_equal(world_close(w, 10 * 1000), 1);
    assert_int_equal(net_count(w, REVOKE_SELF), 3);
    assert_int_equal(world_lines(w->records, "lease.leak_possible"), 1);
}

/* Made for nobody: it comes after the close began, and goes with the login. */
static void a_fetch_in_flight_is_awaited_and_given_back(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"))->delay_ms = 1000;
    net_reply(w, REVOKE_SELF, 204, "");
    open_secret(w, APP);
    srt_engine_close(w->engine);
    clock_advance_ms(w, 500);
    assert_int_equal(net_count(w, REVOKE_SELF), 0); /* it would live on */
    assert_int_equal(world_close(w, 2000), 0);
    assert_int_equal(net_count(w, REVOKE_SELF), 1);
    net_expect_done(w);
}

static void a_fetch_in_flight_under_a_given_token_is_revoked(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"))->delay_ms = 1000;
    net_reply(w, REVOKE, 204, "");
    open_secret(w, APP);
    assert_int_equal(world_close(w, 2000), 0);
    assert_non_null(strstr(w->last_body, "/l1"));
    net_expect_done(w);
}

static void a_login_in_flight_is_given_back(void **state)
{
    struct world *w = *state;

    net_clear(w);
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 3600))->delay_ms = 1000;
    net_reply(w, REVOKE_SELF, 204, "");
    open_secret(w, APP);
    assert_int_equal(world_close(w, 3000), 0);
    assert_int_equal(net_count(w, CREDS), 0);
    net_expect_done(w);
}

static void a_candidate_is_given_back(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, REVOKE_SELF, 204, "");
    w->record_later = 1;
    open_secret(w, APP);
    world_answer(w, 0);
    assert_int_equal(w->tickets, 1);
    assert_int_equal(world_close(w, 2000), 0);
    world_answer(w, SECRETRT_ERR_CLOSED);
    net_expect_done(w);
}

static void what_waits_to_be_retried_is_dropped(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 503, ERRORS("Vault is sealed"));
    net_reply(w, REVOKE_SELF, 204, "");
    open_secret(w, APP);
    assert_int_equal(world_close(w, 2000), 0);
    clock_advance_ms(w, 3600 * 1000);
    assert_int_equal(net_count(w, CREDS), 1);
    net_expect_done(w);
}

static void nothing_is_begun_after_the_close(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, REVOKE_SELF, 204, "");
    s = open_secret(w, APP);
    assert_int_equal(world_close(w, 2000), 0);
    srt_secret_want(w->engine, s->secret);
    srt_secret_refresh(w->engine, s->secret);
    srt_secret_reject(w->engine, s->secret, 1, 401);
    clock_advance_ms(w, 3600 * 1000);
    assert_int_equal(net_count(w, CREDS), 1);
    assert_int_equal(world_next_ms(w), SRT_NEVER);
}

/* ---- one secret is closed ---- */

static void the_last_handle_gives_the_lease_back(void **state)
{
    struct world *w = *state;
    struct world_secret *a, *b;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, REVOKE, 204, "");
    a = open_secret(w, APP "#username");
    b = open_secret(w, APP "#password");
    close_secret(w, a);
    clock_advance_ms(w, 1000);
    assert_int_equal(net_count(w, REVOKE), 0);
    assert_string_equal(field(b, "username"), "one");
    close_secret(w, b);
    assert_int_equal(net_count(w, REVOKE), 1);
    assert_int_equal(net_count(w, REVOKE_SELF), 0); /* the login serves the next */
    net_expect_done(w);
}

static void others_are_not_disturbed(void **state)
{
    struct world *w = *state;
    struct world_secret *a, *b;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, CREDS_B, 200, LEASE("m1", 300, "uno"));
    net_reply(w, REVOKE, 204, "");
    net_always(w, RENEW, 200, RENEWED("m1", 300));
    a = open_secret(w, APP);
    b = open_secret(w, BPP);
    close_secret(w, a);
    clock_advance_ms(w, 1800 * 1000);
    assert_string_equal(field(b, "username"), "uno");
    assert_int_equal(net_count(w, REVOKE), 1);
}

static void the_overlap_of_an_older_lease_ends_too(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_reply(w, RENEW, 200, RENEWED("l1", 30));
    net_always(w, REVOKE, 204, "");
    s = open_secret(w, APP);
    clock_advance_ms(w, 5000);
    srt_secret_refresh(w->engine, s->secret);
    world_turn(w);
    close_secret(w, s);
    assert_int_equal(net_count(w, REVOKE), 2);
}

static void a_secret_closed_while_it_is_fetched_is_given_back(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"))->delay_ms = 1000;
    net_reply(w, REVOKE, 204, "");
    s = open_secret(w, APP);
    close_secret(w, s);
    clock_advance_ms(w, 1000);
    assert_int_equal(net_count(w, REVOKE), 1);
    net_expect_done(w);
}

static void a_secret_closed_before_its_login_fetches_nothing(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_clear(w);
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 3600))->delay_ms = 1000;
    s = open_secret(w, APP);
    close_secret(w, s);
    clock_advance_ms(w, 2000);
    assert_int_equal(net_count(w, CREDS), 0);
    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    s = open_secret(w, APP);
    assert_string_equal(field(s, "username"), "one");
}

static void open_and_close_in_a_loop_logs_in_once(void **state)
{
    struct world *w = *state;

    net_always(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_always(w, REVOKE, 204, "");
    for (int i = 0; i < 50; i++) {
        close_secret(w, open_secret(w, APP));
        clock_advance_ms(w, 10);
    }
    clock_advance_ms(w, 1000);
    assert_int_equal(net_count(w, LOGIN_PATH), 1);
    assert_int_equal(net_count(w, CREDS), net_count(w, REVOKE));
}

/* ---- an exec wrapper's ---- */

#define WRAPPER                                                                        \
    "{\"vault\":{\"address\":\"https://vault:8200\",\"auth\":{\"method\":\"approle\"," \
    "\"role_id\":\"r\"}},\"secrets\":{\"db\":{\"sources\":[\"" APP                     \
    "\"],\"leave_lease\":true}}}"

static void a_lease_that_is_left_outlives_the_client(void **state)
{
    struct world *w = world_new(WRAPPER);

    (void)state;
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 3600));
    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, CREDS_B, 200, LEASE("m1", 300, "uno"));
    net_reply(w, REVOKE, 204, "");
    open_secret(w, "db");
    open_secret(w, BPP);
    assert_int_equal(world_close(w, 2000), 0);
    assert_int_equal(net_count(w, REVOKE_SELF), 0); /* it would take it along */
    assert_int_equal(net_count(w, REVOKE), 1);      /* the other one's */
    assert_non_null(strstr(w->last_body, "/m1"));
    net_expect_done(w);
    world_free(w);
}

static void a_lease_that_is_left_is_replaced_like_any_other(void **state)
{
    struct world *w = world_new(WRAPPER);
    struct world_secret *s;

    (void)state;
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 3600));
    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_reply(w, RENEW, 200, RENEWED("l1", 30));
    net_reply(w, REVOKE, 204, "");
    s = open_secret(w, "db");
    clock_advance_ms(w, 5000);
    srt_secret_refresh(w->engine, s->secret);
    clock_advance_ms(w, 31 * 1000);
    assert_int_equal(net_count(w, REVOKE), 1);
    net_expect_done(w);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIVES(the_login_is_revoked_once_for_all),
        LIVES(nothing_is_served_once_it_closes),
        GIVES(the_leases_of_a_given_token_go_one_by_one),
        GIVES(what_may_not_be_revoked_is_shortened),
        GIVES(what_can_neither_be_revoked_nor_shortened_is_counted),
        LIVES(what_can_not_be_reached_is_counted_after_three_tries),
        LIVES(a_fetch_in_flight_is_awaited_and_given_back),
        GIVES(a_fetch_in_flight_under_a_given_token_is_revoked),
        LIVES(a_login_in_flight_is_given_back),
        LIVES(a_candidate_is_given_back),
        LIVES(what_waits_to_be_retried_is_dropped),
        LIVES(nothing_is_begun_after_the_close),
        LIVES(the_last_handle_gives_the_lease_back),
        LIVES(others_are_not_disturbed),
        LIVES(the_overlap_of_an_older_lease_ends_too),
        LIVES(a_secret_closed_while_it_is_fetched_is_given_back),
        LIVES(a_secret_closed_before_its_login_fetches_nothing),
        LIVES(open_and_close_in_a_loop_logs_in_once),
        OWNS(a_lease_that_is_left_outlives_the_client),
        OWNS(a_lease_that_is_left_is_replaced_like_any_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
