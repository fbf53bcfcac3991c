/* The health of a store: how many at once, in which order, and when nobody may go. */
#include "rig.h"

#define CLUSTER                                                                        \
    "{\"vault\":{\"address\":[\"https://v0:8200\",\"https://v1:8200/\"],\"auth\":{"    \
    "\"method\":\"approle\",\"role_id\":\"r\"}}}"

static char text[96];

static const char *creds_of(int i)
{
    snprintf(text, sizeof(text), "GET /v1/database/creds/r%03d", i);
    return text;
}

static struct world_secret *open_nth(struct world *w, int i)
{
    snprintf(text, sizeof(text), "vault://database/creds/r%03d", i);
    return open_secret(w, text);
}

static void four_are_in_flight_at_most(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 40; i++) {
        net_reply(w, creds_of(i), 200, LEASE("l", 3600, "user"))->delay_ms = 100;
        open_nth(w, i);
    }
    assert_int_equal(w->flying, 4);
    clock_advance_ms(w, 999);
    assert_int_equal(w->flying, 4);
    clock_advance_ms(w, 1);
    assert_int_equal(w->flying_most, 4);
    for (int i = 0; i < 40; i++)
        assert_string_equal(field(&w->secret[i], "username"), "user");
}

static void the_limit_can_be_configured(void **state)
{
    struct world *w = world_new(
        "{\"vault\":{\"address\":\"https://vault:8200\",\"in_flight\":2,\"auth\":{"
        "\"method\":\"approle\",\"role_id\":\"r\"}}}");

    (void)state;
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    for (int i = 0; i < 10; i++) {
        net_reply(w, creds_of(i), 200, LEASE("l", 3600, "user"))->delay_ms = 100;
        open_nth(w, i);
    }
    clock_advance_ms(w, 1000);
    assert_int_equal(w->flying_most, 2);
    world_free(w);
}

/* Renews what it is asked for, and notes in which order. */
static int note_renewals(struct world *w, const char *key,
                         const struct srt_request *request, struct world_reply *out)
{
    const char *id = strstr(srt_secbuf_text(&request->body), "/app/");

    if (strcmp(key, RENEW) != 0 || id == NULL)
        return 0;
    strncat(w->data, id + strlen("/app/"), 1);
    out->status = 200;
    snprintf(out->body, sizeof(out->body), RENEWED("x", 3600));
    return 1;
}

static void the_most_urgent_goes_first(void **state)
{
    struct world *w = *state;
    static const int life[] = {500, 600, 550, 450, 650, 580};
    char body[512], order[64] = "";

    for (int i = 0; i < 6; i++) {
        snprintf(body, sizeof(body),
                 "{\"lease_id\":\"database/creds/app/%d\",\"renewable\":true,"
                 "\"lease_duration\":%d,\"data\":{\"username\":\"u\"},\"auth\":null}",
                 i, life[i]);
        net_reply(w, creds_of(i), 200, body);
        open_nth(w, i);
    }
    net_always(w, RENEW, 503, ERRORS("Vault is sealed"));
    clock_advance_ms(w, 420 * 1000); /* all of them wait for the store by now */
    w->data = order;
    w->server = note_renewals;
    clock_advance_ms(w, 6 * 1000);
    assert_string_equal(order, "302514");
}

/* ---- the breaker ---- */

static void five_failures_in_a_row_open_the_breaker(void **state)
{
    struct world *w = *state;
    unsigned before;

    net_clear(w);
    net_always(w, LOGIN_PATH, 503, ERRORS("Vault is sealed"));
    for (int i = 0; i < 100; i++)
        open_nth(w, i);
    clock_advance_ms(w, 60 * 1000);
    before = w->requests;
    assert_in_range(before, 5, 16);
    clock_advance_ms(w, 600 * 1000);
    assert_in_range(w->requests - before, 10, 24); /* 30 to 60 s apart */
}

static void an_open_breaker_lets_one_probe_go(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 30; i++)
        net_always(w, creds_of(i), 503, ERRORS("Vault is sealed"))->delay_ms = 300;
    for (int i = 0; i < 30; i++)
        open_nth(w, i);
    clock_advance_ms(w, 700); /* eight have failed: it is open */
    w->flying_most = w->flying;
    clock_advance_ms(w, 300 * 1000);
    assert_int_equal(w->flying_most, 1);
}

/* What was in flight as it opened is no probe: the first pause is a short one. */
static void failures_in_flight_do_not_lengthen_the_pause(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 30; i++)
        net_always(w, creds_of(i), 503, ERRORS("Vault is sealed"))->delay_ms = 300;
    for (int i = 0; i < 30; i++)
        open_nth(w, i);
    clock_advance_ms(w, 600); /* two rounds of four */
    assert_int_equal(w->requests, 9);
    clock_advance_ms(w, 600); /* half a second at least, for random 0 */
    assert_int_equal(w->requests, 10);
}

static void all_are_served_once_the_probe_succeeds(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 30; i++)
        net_always(w, creds_of(i), 503, ERRORS("Vault is sealed"));
    for (int i = 0; i < 30; i++)
        open_nth(w, i);
    clock_advance_ms(w, 120 * 1000);
    net_clear(w);
    for (int i = 0; i < 30; i++)
        net_reply(w, creds_of(i), 200, LEASE("l", 3600, "user"))->delay_ms = 20;
    clock_advance_ms(w, 61 * 1000);
    for (int i = 0; i < 30; i++)
        assert_string_equal(field(&w->secret[i], "username"), "user");
    net_expect_done(w);
}

/* ---- throttling ---- */

static void retry_after_is_honoured_for_the_whole_store(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 429, ERRORS("rate limit"))->retry_after_ms = 30 * 1000;
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    net_reply(w, CREDS_B, 200, LEASE("m1", 3600, "uno"));
    open_secret(w, APP);
    open_secret(w, BPP);
    clock_advance_ms(w, 29999);
    assert_int_equal(net_count(w, "creds"), 1);
    clock_advance_ms(w, 1);
    assert_int_equal(net_count(w, "creds"), 3);
    net_expect_done(w);
}

static void without_it_a_throttle_waits_a_second_or_two(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 429, ERRORS("rate limit"));
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    open_secret(w, APP);
    clock_advance_ms(w, 999);
    assert_int_equal(net_count(w, "creds"), 1);
    clock_advance_ms(w, 1001);
    assert_int_equal(net_count(w, "creds"), 2);
}

static void a_throttle_is_never_longer_than_five_minutes(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 429, ERRORS("rate limit"))->retry_after_ms = 86400 * 1000;
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    open_secret(w, APP);
    clock_advance_ms(w, 300 * 1000);
    assert_int_equal(net_count(w, "creds"), 2);
}

/* The pause is cut short for a value that would end in it, and for that one only. */
static void a_throttle_costs_no_live_value(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 60, "one"));
    net_reply(w, CREDS_B, 429, ERRORS("rate limit"))->retry_after_ms = 300 * 1000;
    net_always(w, RENEW, 200, RENEWED("l1", 60));
    s = open_secret(w, APP);
    clock_advance_ms(w, 10 * 1000);
    open_secret(w, BPP);
    for (int i = 0; i < 250; i++) {
        clock_advance_ms(w, 1000);
        assert_string_equal(field(s, "username"), "one");
    }
    assert_int_equal(net_count(w, CREDS_B), 1);
}

static void after_a_throttle_half_as_many_go_at_once(void **state)
{
    struct world *w = *state;

    net_reply(w, creds_of(0), 429, ERRORS("rate limit"))->retry_after_ms = 1000;
    for (int i = 0; i < 30; i++)
        net_reply(w, creds_of(i), 200, LEASE("l", 3600, "user"))->delay_ms = 500;
    open_nth(w, 0);
    for (int i = 1; i < 30; i++)
        open_nth(w, i);
    w->flying_most = 0;
    clock_advance_ms(w, 10 * 1000);
    assert_int_equal(w->flying_most, 2);
    assert_string_equal(field(&w->secret[29], "username"), "user");
}

/* ---- addresses ---- */

static void the_next_address_is_tried(void **state)
{
    struct world *w = world_new(CLUSTER);

    (void)state;
    net_fails(w, LOGIN_PATH, SRT_OUTCOME_UNREACHABLE);
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    open_secret(w, APP);
    clock_advance_ms(w, 2000);
    assert_int_equal(net_count(w, LOGIN_PATH " @https://v0:8200"), 1);
    assert_int_equal(net_count(w, LOGIN_PATH " @https://v1:8200"), 1);
    assert_int_equal(net_count(w, CREDS " @https://v1:8200"), 1);
    net_expect_done(w);
    world_free(w);
}

/* Two that fail at once on one address step on once, not back to where they were. */
static void failures_at_once_move_on_by_one_address(void **state)
{
    struct world *w = world_new(CLUSTER);

    (void)state;
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    net_fails(w, CREDS, SRT_OUTCOME_UNREACHABLE)->delay_ms = 100;
    net_fails(w, CREDS_B, SRT_OUTCOME_UNREACHABLE)->delay_ms = 100;
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    net_reply(w, CREDS_B, 200, LEASE("m1", 3600, "uno"));
    open_secret(w, APP);
    open_secret(w, BPP);
    clock_advance_ms(w, 3000);
    assert_int_equal(net_count(w, CREDS " @https://v1:8200"), 1);
    assert_int_equal(net_count(w, CREDS_B " @https://v1:8200"), 1);
    net_expect_done(w);
    world_free(w);
}

static void sent_elsewhere(struct world *w, const char *location)
{
    struct world_reply *reply = net_reply(w, CREDS, 307, "");

    snprintf(reply->location, sizeof(reply->location), "%s", location);
}

static void a_redirect_within_the_cluster_is_followed_once(void **state)
{
    struct world *w = world_new(CLUSTER);
    struct world_secret *s;

    (void)state;
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    sent_elsewhere(w, "https://v1:8200/v1/database/creds/app");
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    s = open_secret(w, APP);
    assert_string_equal(field(s, "username"), "one");
    assert_int_equal(net_count(w, CREDS " @https://v1:8200"), 1);
    net_expect_done(w);
    world_free(w);

    w = world_new(CLUSTER); /* two that point at each other */
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    sent_elsewhere(w, "https://v1:8200/v1/database/creds/app");
    sent_elsewhere(w, "https://v0:8200/v1/database/creds/app");
    s = open_secret(w, APP);
    assert_null(field(s, "username"));
    assert_int_equal(s->error.status, SECRETRT_ERR_UNAVAILABLE);
    assert_int_equal(net_count(w, CREDS), 2);
    world_free(w);
}

static void the_token_goes_to_no_other_host(void **state)
{
    static const char *const evil[] = {"https://evil:8200/v1/database/creds/app",
                                       "https://v1:8200.evil/v1/x",
                                       "https://v1:82000/v1/x",
                                       "http://v1:8200/v1/x",
                                       "https://v1:8200@evil/v1/x",
                                       "//evil/v1/x",
                                       "/v1/database/creds/app",
                                       ""};

    (void)state;
    for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
        struct world *w = world_new(CLUSTER);
        struct world_secret *s;

        net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
        sent_elsewhere(w, evil[i]);
        s = open_secret(w, APP);
        assert_int_equal(w->requests, 2);
        assert_null(strstr(w->trace, "evil"));
        assert_int_equal(s->settled, SRT_SETTLED_TRYING);
        assert_int_equal(s->error.status, SECRETRT_ERR_UNAVAILABLE);
        world_free(w);
    }
}

static void a_redirect_to_a_dead_leader_leaks_nothing(void **state)
{
    struct world *w = world_new(CLUSTER);

    (void)state;
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    sent_elsewhere(w, "https://v1:8200/v1/database/creds/app");
    net_fails(w, CREDS, SRT_OUTCOME_UNREACHABLE);
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    open_secret(w, APP);
    assert_int_equal(world_lines(w->records, "leak_possible"), 0);
    clock_advance_ms(w, 2000);
    assert_string_equal(field(&w->secret[0], "username"), "one");
    world_free(w);
}

static void a_replica_that_is_behind_is_asked_again_at_once(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    for (int i = 0; i < 3; i++)
        net_reply(w, CREDS, 412, ERRORS("required index state not present"));
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 3 * 200);
    assert_string_equal(field(s, "username"), "one");
    net_expect_done(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIVES(four_are_in_flight_at_most),
        OWNS(the_limit_can_be_configured),
        LIVES(the_most_urgent_goes_first),
        LIVES(five_failures_in_a_row_open_the_breaker),
        LIVES(an_open_breaker_lets_one_probe_go),
        LIVES(failures_in_flight_do_not_lengthen_the_pause),
        LIVES(all_are_served_once_the_probe_succeeds),
        LIVES(retry_after_is_honoured_for_the_whole_store),
        LIVES(without_it_a_throttle_waits_a_second_or_two),
        LIVES(a_throttle_is_never_longer_than_five_minutes),
        LIVES(a_throttle_costs_no_live_value),
        LIVES(after_a_throttle_half_as_many_go_at_once),
        OWNS(the_next_address_is_tried),
        OWNS(failures_at_once_move_on_by_one_address),
        OWNS(a_redirect_within_the_cluster_is_followed_once),
        OWNS(the_token_goes_to_no_other_host),
        OWNS(a_redirect_to_a_dead_leader_leaks_nothing),
        LIVES(a_replica_that_is_behind_is_asked_again_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
