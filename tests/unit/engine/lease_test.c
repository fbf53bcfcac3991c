/* The life of a lease: real engine, real vault provider, fake time, scripted wire. */
#include "rig.h"

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

/* ---- to the end of a life ---- */

static void an_expired_value_is_never_served(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 20, "one"));
    net_always(w, RENEW, 503, ERRORS("Vault is sealed"));
    net_always(w, CREDS, 503, ERRORS("Vault is sealed"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 18999);
    assert_string_equal(field(s, "username"), "one"); /* to the last moment */
    clock_advance_ms(w, 1);
    assert_null(field(s, "username"));
    assert_int_equal(generation(s), 0);
    assert_int_equal(world_lines(w->events, "expired"), 1);
    assert_int_equal(world_lines(w->records, "lease.expire"), 1);
    clock_advance_ms(w, 600 * 1000);
    assert_int_equal(world_lines(w->events, "expired"), 1);
}

static void an_expired_secret_comes_back(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 20, "one"));
    net_always(w, RENEW, 503, ERRORS("Vault is sealed"));
    net_always(w, CREDS, 503, ERRORS("Vault is sealed"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 120 * 1000);
    net_clear(w);
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    clock_advance_ms(w, 61 * 1000); /* the back-off's ceiling */
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(world_lines(w->events, "ready 2"), 1);
    net_expect_done(w);
}

static void a_term_is_counted_from_before_the_request(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 20, "one"))->delay_ms = 8000;
    net_always(w, RENEW, 503, ERRORS("Vault is sealed"));
    net_always(w, CREDS, 503, ERRORS("Vault is sealed"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 18999); /* 8 s of them waiting for the answer */
    assert_non_null(field(s, "username"));
    clock_advance_ms(w, 1);
    assert_null(field(s, "username"));
}

static void a_renewal_is_counted_from_before_its_request(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, RENEW, 200, RENEWED("l1", 300))->delay_ms = 4000; /* at 180 s */
    net_always(w, RENEW, 503, ERRORS("Vault is sealed"));
    net_always(w, CREDS, 503, ERRORS("Vault is sealed"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 180 * 1000 + 299 * 1000 - 1);
    assert_non_null(field(s, "username"));
    clock_advance_ms(w, 1);
    assert_null(field(s, "username"));
}

static void a_lease_of_two_seconds_is_kept_alive(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 2, "one"));
    net_always(w, RENEW, 200, RENEWED("l1", 2))->delay_ms = 100;
    s = open_secret(w, APP);
    for (int i = 0; i < 600; i++) {
        clock_advance_ms(w, 100);
        assert_string_equal(field(s, "username"), "one");
    }
    assert_in_range(net_count(w, RENEW), 60, 80);
}

static void a_lease_of_two_seconds_is_replaced_in_time(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_always(w, CREDS, 200, FIXED_LEASE("l1", 2, "one"))->delay_ms = 200;
    net_always(w, REVOKE, 204, "");
    s = open_secret(w, APP);
    clock_advance_ms(w, 200);
    for (int i = 0; i < 600; i++) {
        clock_advance_ms(w, 100);
        assert_non_null(field(s, "username"));
    }
    assert_int_equal(world_lines(w->events, "expired"), 0);
    assert_in_range(net_count(w, CREDS), 50, 62); /* one each second: E - P */
}

/* ---- degraded ---- */

static void a_degradation_is_told_once(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    for (int i = 0; i < 4; i++)
        net_reply(w, RENEW, 503, ERRORS("Vault is sealed"));
    net_reply(w, RENEW, 200, RENEWED("l1", 300));
    net_reply(w, RENEW, 503, ERRORS("Vault is sealed"));
    net_reply(w, RENEW, 200, RENEWED("l1", 300));
    s = open_secret(w, APP);
    clock_advance_ms(w, 200 * 1000);
    assert_int_equal(world_lines(w->events, "failed"), 1);
    assert_string_equal(world_state(w, s), "FRESH");
    clock_advance_ms(w, 182 * 1000);
    assert_int_equal(world_lines(w->events, "failed"), 2);
    assert_int_equal(world_lines(w->events, "expiring"), 0);
    net_expect_done(w);
}

/* Renewals fail for ever while credentials can be had: not one user more than needed.
 */
static void a_bad_renewal_statement_costs_one_credential_a_life(void **state)
{
    struct world *w = *state;

    net_always(w, RENEW, 400, ERRORS("failed to renew entry: bad SQL"));
    net_always(w, CREDS, 200, LEASE("l1", 60, "one"));
    net_always(w, REVOKE, 204, "");
    open_secret(w, APP);
    clock_advance_ms(w, 600 * 1000);
    assert_int_equal(world_lines(w->events, "expired"), 0);
    assert_in_range(net_count(w, CREDS), 8, 12);
}

static void four_hundreds_never_run_hot(void **state)
{
    struct world *w = *state;

    net_always(w, CREDS, 400, ERRORS("unknown role: app"));
    open_secret(w, APP);
    clock_advance_ms(w, 60 * 1000);
    assert_in_range(net_count(w, CREDS), 2, 6);
}

static void an_ill_database_is_not_asked_for_users_in_a_storm(void **state)
{
    struct world *w = *state;

    net_always(w, CREDS, 500, ERRORS("failed to connect"));
    open_secret(w, APP);
    clock_advance_ms(w, 60 * 1000);
    assert_in_range(net_count(w, CREDS), 4, 8); /* burst 3, then one each 10 s */
}

static void an_outage_at_the_end_mints_only_what_is_needed(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_always(w, RENEW, 503, ERRORS("Vault is sealed"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 284 * 1000 - 1); /* E - B: 299 - 15 */
    assert_int_equal(net_count(w, CREDS), 1);
    assert_int_equal(world_lines(w->events, "expiring"), 1); /* at E - P/2 */
    net_always(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_always(w, REVOKE, 204, "");
    clock_advance_ms(w, 15 * 1000);
    assert_int_equal(net_count(w, CREDS), 2);
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(world_lines(w->events, "expired"), 0);
}

static void a_failed_refresh_keeps_the_renewals_going(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_always(w, CREDS, 500, ERRORS("failed to connect"));
    net_always(w, RENEW, 200, RENEWED("l1", 300));
    s = open_secret(w, APP);
    clock_advance_ms(w, 60 * 1000);
    srt_secret_refresh(w->engine, s->secret);
    clock_advance_ms(w, 3600 * 1000);
    assert_string_equal(field(s, "username"), "one");
    assert_int_equal(world_lines(w->events, "expired"), 0);
    assert_in_range(net_count(w, RENEW), 17, 22);
}

static void a_refresh_replaces_the_value(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_reply(w, RENEW, 200, RENEWED("l1", 30));
    s = open_secret(w, APP);
    clock_advance_ms(w, 60 * 1000);
    s->settles = 0;
    srt_secret_refresh(w->engine, s->secret);
    world_turn(w);
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(s->settles, 1);
    assert_int_equal(s->settled, SRT_SETTLED_PUBLISHED);
    net_expect_done(w);
}

/* ---- what may be renewed ---- */

static void a_lease_that_turns_out_fixed_is_replaced_on_time(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, RENEW, 400, ERRORS("lease is not renewable"));
    net_reply(w, CREDS, 200, FIXED_LEASE("l2", 300, "two"));
    net_reply(w, REVOKE, 204, "");
    s = open_secret(w, APP);
    clock_advance_ms(w, 254 * 1000 - 1); /* E - P */
    assert_string_equal(field(s, "username"), "one");
    clock_advance_ms(w, 1);
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(net_count(w, RENEW), 1);
    assert_int_equal(world_lines(w->events, "failed"), 0);
    clock_advance_ms(w, 31 * 1000);
    net_expect_done(w);
}

/* The replacement is out at least P/2 before the end, wherever truncation is met. */
static void a_replacement_is_published_half_its_lead_before_the_end(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct world *w = world_new(NULL);
        struct world_secret *s;
        int64_t max_end;

        w->seed = (uint64_t)(i + 1) * 7919;
        net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 3600));
        net_reply(w, CREDS, 200, LEASE("l1", 20, "one"));
        net_reply(w, RENEW, 200, RENEWED("l1", 12));
        net_reply(w, CREDS, 200, LEASE("l2", 300, "two"))->delay_ms = 2000;
        net_always(w, RENEW, 200, RENEWED("l2", 300));
        net_always(w, REVOKE, 204, "");
        s = open_secret(w, APP);
        clock_advance_ms(w, 13000); /* renewed at 10 to 12 s */
        max_end = net_time(w, RENEW, 1) + 12 * 1000 - 1000;
        while (strcmp(field(s, "username"), "one") == 0)
            clock_advance_ms(w, 100);
        assert_true(w->boot_ms <= max_end - 4000 + 100);
        world_free(w);
    }
}

static void only_one_renewal_is_in_flight(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_always(w, RENEW, 200, RENEWED("l1", 300))->delay_ms = 9000;
    open_secret(w, APP);
    clock_advance_ms(w, 1800 * 1000);
    assert_int_equal(w->flying_most, 1);
    assert_in_range(net_count(w, RENEW), 9, 10);
}

/* ---- overlap ---- */

static void the_old_lease_lives_through_its_overlap(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    net_reply(w, RENEW, 200, RENEWED("l1", 1200)); /* at 2160 s: the maximum is near */
    net_reply(w, CREDS, 200, LEASE("l2", 3600, "two"));
    net_reply(w, RENEW, 200, RENEWED("l1", 30));
    net_reply(w, REVOKE, 204, "");
    open_secret(w, APP);
    clock_advance_ms(w, (2160 + 1199 - 90) * 1000); /* E - P: replaced and shortened */
    assert_non_null(strstr(w->events, "reload 2 old=1 status=0 left=30000"));
    assert_non_null(strstr(w->last_body, "\"increment\":30"));
    clock_advance_ms(w, 29999);
    assert_int_equal(net_count(w, REVOKE), 0); /* not too early */
    clock_advance_ms(w, 1);
    assert_int_equal(net_count(w, REVOKE), 1);
    assert_int_equal(world_lines(w->events, "drained 2 old=1"), 1);
    net_expect_done(w);
}

/* What is left of the old one is what the event says, not more. */
static void a_reload_says_how_long_the_old_one_lives(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 200, LEASE("l1", 20, "one"));
    net_reply(w, RENEW, 200, RENEWED("l1", 6)); /* ends before its overlap */
    net_reply(w, CREDS, 200, LEASE("l2", 3600, "two"))->delay_ms = 3000;
    net_reply(w, REVOKE, 204, "");
    open_secret(w, APP);
    clock_advance_ms(w, 14 * 1000);
    assert_non_null(strstr(w->events, "reload 2 old=1 status=0 left=2400"));
    clock_advance_ms(w, 2 * 1000);
    assert_int_equal(world_lines(w->events, "expired"), 0);
    clock_advance_ms(w, 1000);
    net_expect_done(w);
}

static void drained_ends_the_overlap(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_reply(w, RENEW, 200, RENEWED("l1", 30));
    net_reply(w, REVOKE, 204, "");
    s = open_secret(w, APP);
    assert_int_equal(srt_secret_drained(w->engine, s->secret, 1),
                     SECRETRT_ERR_NOT_FOUND);
    clock_advance_ms(w, 6000);
    srt_secret_refresh(w->engine, s->secret);
    world_turn(w);
    clock_advance_ms(w, 1000);
    assert_int_equal(net_count(w, REVOKE), 0);
    assert_int_equal(srt_secret_drained(w->engine, s->secret, 1), 0);
    world_turn(w);
    assert_int_equal(net_count(w, REVOKE), 1);
    assert_int_equal(world_lines(w->events, "drained 2 old=1"), 1);
    assert_int_equal(srt_secret_drained(w->engine, s->secret, 1),
                     SECRETRT_ERR_NOT_FOUND);
    net_expect_done(w);
}

/* Two secrets on one lease: the overlap ends when both have let go. */
static void drained_by_one_does_not_end_the_others_overlap(void **state)
{
    struct world *w = *state;
    struct world_secret *a, *b;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_reply(w, RENEW, 200, RENEWED("l1", 30));
    net_reply(w, REVOKE, 204, "");
    a = open_secret(w, APP "#username");
    b = open_secret(w, APP "#password");
    clock_advance_ms(w, 6000);
    srt_secret_refresh(w->engine, a->secret);
    clock_advance_ms(w, 1000);
    assert_int_equal(srt_secret_drained(w->engine, a->secret, 1), 0);
    clock_advance_ms(w, 1000);
    assert_int_equal(net_count(w, REVOKE), 0);
    assert_int_equal(srt_secret_drained(w->engine, b->secret, 1), 0);
    world_turn(w);
    assert_int_equal(net_count(w, REVOKE), 1);
    net_expect_done(w);
}

/* ---- what a lost answer may have left behind ---- */

static void a_lost_answer_is_a_possible_leak(void **state)
{
    static const struct {
        enum srt_outcome outcome;
        unsigned leaks;
    } rows[] = {{SRT_OUTCOME_TIMEOUT, 1},
                {SRT_OUTCOME_TRUNCATED, 1},
                {SRT_OUTCOME_TOO_LARGE, 1},
                {SRT_OUTCOME_UNREACHABLE, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world *w = world_new(NULL);

        net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 3600));
        net_fails(w, CREDS, rows[i].outcome);
        open_secret(w, APP);
        assert_int_equal(world_lines(w->records, "lease.leak_possible"), rows[i].leaks);
        world_free(w);
    }
}

static void an_answer_that_makes_no_sense_is_a_possible_leak(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 200, "{\"lease_id\":\"x\",\"lease_duration\":\"3600\"");
    open_secret(w, APP);
    assert_int_equal(world_lines(w->records, "lease.leak_possible"), 1);
}

static void a_refusal_leaks_nothing(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 400, ERRORS("unknown role: app"));
    open_secret(w, APP);
    assert_int_equal(world_lines(w->records, "lease.leak_possible"), 0);
}

/* ---- values that are kept in a store ---- */

static void a_kept_value_is_published_when_it_changes(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, KV, 200, KEPT("one"));
    net_reply(w, KV, 200, KEPT("one")); /* at 270 s: 300 less a tenth */
    net_reply(w, KV, 200, KEPT("two"));
    s = open_secret(w, "vault://kv/data/one#key");
    clock_advance_ms(w, 271 * 1000);
    assert_int_equal(net_count(w, KV), 2);
    assert_int_equal(world_lines(w->events, "reload"), 0);
    clock_advance_ms(w, 271 * 1000);
    assert_string_equal(field(s, "key"), "CANARY-two");
    assert_int_equal(world_lines(w->events, "reload 2"), 1);
    net_expect_done(w);
}

static void a_kept_value_outlives_an_outage_and_its_login(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_clear(w);
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 3600));
    net_reply(w, KV, 200, KEPT("one"));
    net_always(w, KV, 503, ERRORS("Vault is sealed"));
    net_always(w, RENEW_SELF, 503, ERRORS("Vault is sealed"));
    net_always(w, LOGIN_PATH, 503, ERRORS("Vault is sealed"));
    s = open_secret(w, "vault://kv/data/one#key");
    clock_advance_ms(w, 4 * 3600 * 1000);
    assert_string_equal(field(s, "key"), "CANARY-one");
    assert_int_equal(world_lines(w->events, "expired"), 0);
}

static void a_static_role_is_read_just_after_its_rotation(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, "GET /v1/database/static-creds/app", 200, ROTATED("one", 3600));
    net_reply(w, "GET /v1/database/static-creds/app", 200, ROTATED("one", 0));
    net_reply(w, "GET /v1/database/static-creds/app", 200, ROTATED("two", 3598));
    w->chance = 0.999;
    s = open_secret(w, "vault://database/static-creds/app");
    clock_advance_ms(w, 3601 * 1000 - 1); /* never before */
    assert_int_equal(net_count(w, "static-creds"), 1);
    clock_advance_ms(w, 2 * 1000 + 1);
    assert_int_equal(net_count(w, "static-creds"), 2);
    assert_string_equal(field(s, "password"), "CANARY-one"); /* not rotated yet */
    clock_advance_ms(w, 4 * 1000);
    assert_string_equal(field(s, "password"), "CANARY-two");
    assert_int_equal(world_lines(w->events, "reload"), 1);
    net_expect_done(w);
}

/* Some servers start the next period before the password has changed. */
static void a_rotation_that_is_late_is_looked_for(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, "GET /v1/database/static-creds/app", 200, ROTATED("one", 3600));
    net_reply(w, "GET /v1/database/static-creds/app", 200, ROTATED("one", 3600));
    net_reply(w, "GET /v1/database/static-creds/app", 200, ROTATED("one", 3598));
    net_reply(w, "GET /v1/database/static-creds/app", 200, ROTATED("two", 3594));
    s = open_secret(w, "vault://database/static-creds/app");
    clock_advance_ms(w, 3640 * 1000);
    assert_string_equal(field(s, "password"), "CANARY-two");
    net_expect_done(w);
}

/* ---- events and counts ---- */

static void events_come_once_and_in_order(void **state)
{
    struct world *w = *state;
    const char *at;
    static const char *const order[] = {
        "ready 1 ", "failed 1 ",       "expiring 1 ",     "expired 1 ",
        "ready 2 ", "reload 3 old=2 ", "drained 3 old=2 "};

    net_reply(w, CREDS, 200, LEASE("l1", 60, "one"));
    for (int i = 0; i < 30; i++)
        net_reply(w, RENEW, 503, ERRORS("Vault is sealed"));
    net_always(w, CREDS, 503, ERRORS("Vault is sealed"));
    open_secret(w, APP);
    clock_advance_ms(w, 62 * 1000);
    net_clear(w);
    net_reply(w, CREDS, 200, LEASE("l2", 60, "two"));
    net_reply(w, RENEW, 400, ERRORS("lease is not renewable"));
    net_reply(w, CREDS, 200, LEASE("l3", 3600, "three"));
    net_reply(w, REVOKE, 204, "");
    clock_advance_ms(w, 160 * 1000);
    at = w->events;
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        assert_int_equal(world_lines(w->events, order[i]), 1);
        at = strstr(at, order[i]);
        assert_non_null(at);
    }
    assert_int_equal(world_lines(w->events, ""), sizeof(order) / sizeof(order[0]));
    net_expect_done(w);
}

static void count_reads(struct world_secret *s, uint64_t of_generation, uint64_t n)
{
    assert_int_equal(srt_reader_count(srt_reader_self(), s->cell.slot,
                                      (unsigned)(of_generation & 1), n),
                     0);
}

static void reads_are_summed_up_for_the_generation_that_served_them(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_reply(w, CREDS, 200, LEASE("l3", 300, "three"));
    net_always(w, RENEW, 200, RENEWED("l1", 30));
    net_always(w, REVOKE, 204, "");
    s = open_secret(w, APP);
    count_reads(s, 1, 41);
    clock_advance_ms(w, 6000);
    srt_secret_refresh(w->engine, s->secret);
    world_turn(w);
    assert_int_equal(world_lines(w->records, "secret.read success " APP " 1 41"), 1);
    count_reads(s, 1, 1); /* a reader that was late */
    count_reads(s, 2, 7);
    clock_advance_ms(w, 6000);
    srt_secret_refresh(w->engine, s->secret);
    world_turn(w);
    assert_int_equal(world_lines(w->records, "secret.read success " APP " 1 1"), 1);
    assert_int_equal(world_lines(w->records, "secret.read success " APP " 2 7"), 1);
    count_reads(s, 3, 2);
    close_secret(w, s);
    assert_int_equal(world_lines(w->records, "secret.read success " APP " 3 2"), 1);
    assert_int_equal(world_lines(w->records, "secret.read"), 4);
}

/* ---- many on one ---- */

static void two_secrets_on_one_reference_share_a_lease(void **state)
{
    struct world *w = *state;
    struct world_secret *a, *b;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    a = open_secret(w, APP "#username");
    b = open_secret(w, APP "#password");
    assert_string_equal(field(a, "username"), "one");
    assert_string_equal(field(b, "username"), "one");
    assert_int_equal(net_count(w, CREDS), 1);
    assert_int_equal(world_lines(w->events, "ready 1"), 2);
    assert_int_equal(world_lines(w->records, "lease.acquire success"), 2);
}

static void a_secret_that_is_opened_again_while_it_is_fetched_is_served(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"))->delay_ms = 1000;
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_reply(w, REVOKE, 204, "")->delay_ms = 5000;
    s = open_secret(w, APP);
    close_secret(w, s);        /* its fetch is on its way */
    clock_advance_ms(w, 1000); /* it comes, and is given back */
    s = open_secret(w, APP);   /* before that is done */
    clock_advance_ms(w, 10000);
    assert_string_equal(field(s, "username"), "two");
    net_expect_done(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIVES(a_secret_is_fetched_under_its_login),
        LIVES(nothing_is_renewed_at_adoption),
        LIVES(keeps_the_last_value_when_renewal_fails),
        LIVES(a_truncated_grant_is_replaced_before_its_end),
        LIVES(close_revokes_the_login_once),
        LIVES(a_lease_that_is_gone_is_replaced_at_once),
        LIVES(an_expired_value_is_never_served),
        LIVES(an_expired_secret_comes_back),
        LIVES(a_term_is_counted_from_before_the_request),
        LIVES(a_renewal_is_counted_from_before_its_request),
        LIVES(a_lease_of_two_seconds_is_kept_alive),
        LIVES(a_lease_of_two_seconds_is_replaced_in_time),
        LIVES(a_degradation_is_told_once),
        LIVES(a_bad_renewal_statement_costs_one_credential_a_life),
        LIVES(four_hundreds_never_run_hot),
        LIVES(an_ill_database_is_not_asked_for_users_in_a_storm),
        LIVES(an_outage_at_the_end_mints_only_what_is_needed),
        LIVES(a_failed_refresh_keeps_the_renewals_going),
        LIVES(a_refresh_replaces_the_value),
        LIVES(a_lease_that_turns_out_fixed_is_replaced_on_time),
        OWNS(a_replacement_is_published_half_its_lead_before_the_end),
        LIVES(only_one_renewal_is_in_flight),
        LIVES(the_old_lease_lives_through_its_overlap),
        LIVES(a_reload_says_how_long_the_old_one_lives),
        LIVES(drained_ends_the_overlap),
        LIVES(drained_by_one_does_not_end_the_others_overlap),
        OWNS(a_lost_answer_is_a_possible_leak),
        LIVES(an_answer_that_makes_no_sense_is_a_possible_leak),
        LIVES(a_refusal_leaks_nothing),
        LIVES(a_kept_value_is_published_when_it_changes),
        LIVES(a_kept_value_outlives_an_outage_and_its_login),
        LIVES(a_static_role_is_read_just_after_its_rotation),
        LIVES(a_rotation_that_is_late_is_looked_for),
        LIVES(events_come_once_and_in_order),
        LIVES(reads_are_summed_up_for_the_generation_that_served_them),
        LIVES(two_secrets_on_one_reference_share_a_lease),
        LIVES(a_secret_that_is_opened_again_while_it_is_fetched_is_served),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
