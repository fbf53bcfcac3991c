/* Clocks that leap: the wall clock is set, the machine was asleep. */
#include "mem/epoch.h"
#include "rig.h"

static int64_t stamp_of(const struct world_secret *s)
{
    const struct secretrt_value *value = atomic_load(&s->cell.value);

    return atomic_load(&value->life->end_wall_ms);
}

static void a_leap_forward_makes_leases_suspect_not_expired(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, LOOKUP, 200, FOUND(289));
    net_reply(w, LOOKUP_SELF, 200, FOUND(86400));
    s = open_secret(w, APP);
    clock_advance_ms(w, 10 * 1000);
    w->wall_ms += 2 * 3600 * 1000;
    world_turn(w);
    assert_string_equal(field(s, "username"), "one");
    assert_int_equal(stamp_of(s) - w->wall_ms,
                     288000); /* what the store says is left */
    assert_int_equal(world_lines(w->events, "expired"), 0);
    assert_string_equal(world_state(w, s), "FRESH");
    net_expect_done(w);
}

/* A virtual machine was stopped: its clocks know nothing, the store does. */
static void a_lease_that_died_meanwhile_is_replaced(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, LOOKUP, 400, ERRORS("invalid lease"));
    net_reply(w, LOOKUP_SELF, 200, FOUND(86400));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 10 * 1000);
    w->wall_ms += 3600 * 1000;
    world_turn(w);
    assert_string_equal(field(s, "username"), "two");
    net_expect_done(w);
}

static void a_leap_forward_finds_a_dead_login(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_always(w, LOOKUP, 403, ERRORS("permission denied"));
    net_reply(w, LOOKUP_SELF, 403, ERRORS("permission denied"));
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-t2", 86400));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 10 * 1000);
    w->wall_ms += 3600 * 1000;
    clock_advance_ms(w, 1000);
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(net_count(w, LOGIN_PATH), 2);
    net_expect_done(w);
}

static void a_store_that_is_away_then_degrades_nothing_dies(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, LOOKUP, 503, ERRORS("Vault is sealed"));
    net_reply(w, LOOKUP_SELF, 503, ERRORS("Vault is sealed"));
    net_always(w, RENEW, 200, RENEWED("l1", 300));
    net_always(w, RENEW_SELF, 200, RENEWED_LOGIN(864000));
    s = open_secret(w, APP);
    w->wall_ms += 3600 * 1000;
    world_turn(w);
    assert_string_equal(field(s, "username"), "one");
    clock_advance_ms(w, 10 * 1000);
    assert_string_equal(world_state(w, s), "FRESH");
    assert_string_equal(field(s, "username"), "one");
}

/* Readers compare a stamp of the wall clock: it must follow at once, or a value would
 * be served two hours past its end. */
static void a_leap_back_is_followed_at_once(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    s = open_secret(w, APP);
    assert_int_equal(stamp_of(s) - w->wall_ms, 299000);
    w->wall_ms -= 2 * 3600 * 1000;
    world_turn(w);
    assert_int_equal(stamp_of(s) - w->wall_ms, 299000);
    assert_int_equal(w->requests, 2); /* nothing is suspect */
    clock_advance_ms(w, 60 * 1000);
    assert_int_equal(stamp_of(s) - w->wall_ms, 239000);
}

static void small_corrections_ask_no_store(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    s = open_secret(w, APP);
    for (int i = 0; i < 150; i++) {
        w->wall_ms += i % 2 == 0 ? 900 : -870;
        clock_advance_ms(w, 1000);
        assert_in_range(stamp_of(s) - w->wall_ms, 299000 - (i + 1) * 1000 - 50,
                        299000 - (i + 1) * 1000 + 50);
    }
    assert_int_equal(w->requests, 2);
    assert_int_equal(world_lines(w->logs, "leapt"), 0);
}

/* The boot clock counts sleep: what ended meanwhile is not served, not even once. */
static void nothing_that_ended_asleep_is_served(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"))->delay_ms = 50;
    s = open_secret(w, APP);
    w->boot_ms += 600 * 1000;
    w->wall_ms += 600 * 1000;
    assert_null(field(s, "username")); /* before the engine has had a turn */
    assert_true(stamp_of(s) < w->wall_ms);
    world_turn(w);
    assert_null(field(s, "username"));
    assert_int_equal(world_lines(w->events, "expired"), 1);
    clock_advance_ms(w, 50);
    assert_string_equal(field(s, "username"), "two");
}

static void what_lives_on_after_sleep_is_renewed(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, RENEW, 200, RENEWED("l1", 300));
    s = open_secret(w, APP);
    w->boot_ms += 250 * 1000;
    w->wall_ms += 250 * 1000;
    world_turn(w);
    assert_string_equal(field(s, "username"), "one");
    net_expect_done(w);
}

/* A renewal that was in flight across a sleep counts from before it was sent. */
static void an_answer_from_before_the_sleep_is_not_believed_too_much(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, RENEW, 200, RENEWED("l1", 300))->delay_ms = 1;
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"))->delay_ms = 50;
    s = open_secret(w, APP);
    clock_advance_ms(w, 180 * 1000); /* sent */
    w->boot_ms += 110 * 1000;        /* asleep, within the first grant */
    w->wall_ms += 110 * 1000;
    world_turn(w);
    assert_string_equal(field(s, "username"), "one");
    assert_int_equal(stamp_of(s) - w->wall_ms, 189000);
}

static void a_check_can_be_asked_for_at_intervals(void **state)
{
    struct world *w =
        world_new("{\"vault\":{\"address\":\"https://vault:8200\",\"verify_interval\":"
                  "\"1m\",\"auth\":{\"method\":\"approle\",\"role_id\":\"r\"}}}");
    struct world_secret *s;

    (void)state;
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    net_always(w, LOOKUP_SELF, 200, FOUND(864000));
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    net_reply(w, LOOKUP, 200, FOUND(3546));
    net_reply(w, LOOKUP, 400, ERRORS("invalid lease")); /* an operator revoked it */
    net_reply(w, CREDS, 200, LEASE("l2", 3600, "two"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 55 * 1000);
    assert_int_equal(net_count(w, LOOKUP), 1);
    clock_advance_ms(w, 55 * 1000);
    assert_string_equal(field(s, "username"), "two");
    net_expect_done(w);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIVES(a_leap_forward_makes_leases_suspect_not_expired),
        LIVES(a_lease_that_died_meanwhile_is_replaced),
        LIVES(a_leap_forward_finds_a_dead_login),
        LIVES(a_store_that_is_away_then_degrades_nothing_dies),
        LIVES(a_leap_back_is_followed_at_once),
        LIVES(small_corrections_ask_no_store),
        LIVES(nothing_that_ended_asleep_is_served),
        LIVES(what_lives_on_after_sleep_is_renewed),
        LIVES(an_answer_from_before_the_sleep_is_not_believed_too_much),
        OWNS(a_check_can_be_asked_for_at_intervals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
