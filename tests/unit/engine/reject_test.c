/* "This value was refused": one diagnosis, one fetch, an answer for everybody. */
#include "rig.h"

static void reject(struct world *w, struct world_secret *s, uint64_t generation)
{
    s->settles = 0;
    srt_secret_reject(w->engine, s->secret, generation, 401);
    world_turn(w);
}

static void a_newer_value_is_the_answer(void **state)
{
    struct world *w = *state;
    struct world_secret *s;
    unsigned requests;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_reply(w, RENEW, 200, RENEWED("l1", 30));
    s = open_secret(w, APP);
    clock_advance_ms(w, 5000);
    srt_secret_refresh(w->engine, s->secret);
    world_turn(w);
    requests = w->requests;
    reject(w, s, 1);
    assert_int_equal(s->settles, 1);
    assert_int_equal(s->settled, SRT_SETTLED_PUBLISHED);
    assert_int_equal(w->requests, requests);
    assert_int_equal(world_lines(w->records, "secret.reject"), 0);
}

static void a_lease_that_is_gone_is_replaced_at_once(void **state)
{
    struct world *w = *state;
    struct world_secret *s;
    int64_t before;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, LOOKUP, 400, ERRORS("invalid lease"));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 3000);
    before = w->boot_ms;
    reject(w, s, 1);
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(w->boot_ms, before);
    assert_int_equal(s->settled, SRT_SETTLED_PUBLISHED);
    net_expect_done(w);
}

static void a_young_one_gets_a_moment(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, LOOKUP, 200, FOUND(290));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_reply(w, RENEW, 200, RENEWED("l1", 30));
    s = open_secret(w, APP);
    clock_advance_ms(w, 10 * 1000);
    reject(w, s, 1);
    clock_advance_ms(w, 1999);
    assert_string_equal(field(s, "username"), "one");
    assert_int_equal(s->settles, 0);
    clock_advance_ms(w, 1);
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(s->settled, SRT_SETTLED_PUBLISHED);
    net_expect_done(w);
}

/* Young is what was issued lately, not what was renewed lately. */
static void an_old_one_gets_none_even_if_renewed(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, RENEW, 200, RENEWED("l1", 300));
    net_reply(w, LOOKUP, 200, FOUND(290));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_reply(w, RENEW, 200, RENEWED("l1", 30));
    s = open_secret(w, APP);
    clock_advance_ms(w, 185 * 1000); /* renewed at 180 s */
    reject(w, s, 1);
    assert_string_equal(field(s, "username"), "two");
    net_expect_done(w);
}

static void a_dead_login_is_one_login_and_one_fetch(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, LOOKUP, 403, ERRORS("permission denied"));
    net_reply(w, LOOKUP_SELF, 403, ERRORS("permission denied"));
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-t2", 864000));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 60 * 1000);
    reject(w, s, 1);
    clock_advance_ms(w, 1000);
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(net_count(w, LOGIN_PATH), 2);
    assert_int_equal(net_count(w, CREDS), 2);
    net_expect_done(w);
}

/* Nobody may look: the application's word is enough. */
static void what_may_not_be_looked_up_is_replaced(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, LOOKUP, 403, ERRORS("permission denied"));
    net_reply(w, LOOKUP_SELF, 200, FOUND(864000));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_reply(w, RENEW, 200, RENEWED("l1", 30));
    s = open_secret(w, APP);
    clock_advance_ms(w, 60 * 1000);
    reject(w, s, 1);
    assert_string_equal(field(s, "username"), "two");
    net_expect_done(w);
}

static void a_store_that_is_down_keeps_the_value_and_says_so(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, LOOKUP, 503, ERRORS("Vault is sealed"));
    net_reply(w, RENEW, 200, RENEWED("l1", 300)); /* it is back: and alive */
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_reply(w, RENEW, 200, RENEWED("l1", 30));
    s = open_secret(w, APP);
    clock_advance_ms(w, 60 * 1000);
    reject(w, s, 1);
    assert_int_equal(s->settles, 1);
    assert_int_equal(s->settled, SRT_SETTLED_TRYING);
    assert_string_equal(field(s, "username"), "one");
    clock_advance_ms(w, 2000);
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(s->settled, SRT_SETTLED_PUBLISHED);
    net_expect_done(w);
}

/* After it: the next refusal is heard again. */
static void a_refusal_is_heard_again_after_a_failed_one(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, LOOKUP, 503, ERRORS("Vault is sealed"));
    net_reply(w, RENEW, 200, RENEWED("l1", 300));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_reply(w, RENEW, 200, RENEWED("l1", 30));
    net_reply(w, LOOKUP, 400, ERRORS("invalid lease"));
    net_reply(w, CREDS, 200, LEASE("l3", 300, "three"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 60 * 1000);
    reject(w, s, 1);
    clock_advance_ms(w, 10 * 1000);
    reject(w, s, 2);
    clock_advance_ms(w, 5 * 1000);
    assert_string_equal(field(s, "username"), "three");
    assert_int_equal(world_lines(w->records, "secret.reject"), 2);
}

static void a_hundred_refusals_are_one_fetch(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, LOOKUP, 200, FOUND(200))->delay_ms = 20;
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"))->delay_ms = 20;
    net_reply(w, RENEW, 200, RENEWED("l1", 30));
    s = open_secret(w, APP);
    clock_advance_ms(w, 60 * 1000);
    s->settles = 0;
    for (int i = 0; i < 100; i++) {
        srt_secret_reject(w->engine, s->secret, 1, 401);
        if (i % 10 == 0)
            clock_advance_ms(w, 3);
    }
    clock_advance_ms(w, 100);
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(net_count(w, CREDS), 2);
    assert_int_equal(world_lines(w->records, "secret.reject"), 1);
    net_expect_done(w);
}

/* A grant that is wrong for good: each new one is refused at once, for ten minutes. */
static void a_storm_of_refusals_is_bounded(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_always(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_always(w, LOOKUP, 400, ERRORS("invalid lease"));
    s = open_secret(w, APP);
    for (int i = 0; i < 6000; i++) {
        srt_secret_reject(w->engine, s->secret, generation(s), 401);
        clock_advance_ms(w, 100);
    }
    assert_in_range(net_count(w, CREDS), 10, 64); /* burst 3, one each 10 s */
    assert_in_range(w->requests, 20, 130);
}

/* ---- values that are only kept in a store ---- */

static void an_unchanged_value_is_said_to_be_so(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, KV, 200, KEPT("one"));
    net_reply(w, KV, 200, KEPT("one"));
    s = open_secret(w, "vault://kv/data/one#key");
    clock_advance_ms(w, 60 * 1000);
    reject(w, s, 1);
    assert_int_equal(s->settles, 1);
    assert_int_equal(s->settled, SRT_SETTLED_UNCHANGED);
    assert_int_equal(net_count(w, KV), 2);
    assert_int_equal(generation(s), 1);
    clock_advance_ms(w, 60 * 1000);
    assert_int_equal(net_count(w, KV), 2);
}

static void a_changed_value_is_the_answer(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, KV, 200, KEPT("one"));
    net_reply(w, KV, 200, KEPT("two"));
    s = open_secret(w, "vault://kv/data/one#key");
    clock_advance_ms(w, 60 * 1000);
    reject(w, s, 1);
    assert_string_equal(field(s, "key"), "CANARY-two");
    assert_int_equal(s->settled, SRT_SETTLED_PUBLISHED);
}

static void a_storm_over_a_kept_value_is_bounded_and_answered(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_always(w, KV, 200, KEPT("one"));
    s = open_secret(w, "vault://kv/data/one#key");
    clock_advance_ms(w, 10 * 1000);
    for (int i = 0; i < 600; i++) {
        reject(w, s, 1);
        clock_advance_ms(w, 100);
        assert_int_equal(s->settles, 1);
    }
    assert_in_range(net_count(w, KV), 10, 40);
}

static void a_refused_variable_is_read_again(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, "ENV DB", 0, "CANARY-one");
    net_reply(w, "ENV DB", 0, "CANARY-two");
    s = open_secret(w, "env://DB");
    clock_advance_ms(w, 60 * 1000);
    reject(w, s, 1);
    assert_string_equal(field(s, "value"), "CANARY-two");
}

/* ---- nobody waits in vain ---- */

static void every_refusal_is_answered(void **state)
{
    static const struct {
        int status;
        const char *body;
    } rows[] = {{200, FOUND(200)},
                {400, ERRORS("invalid lease")},
                {403, ERRORS("permission denied")},
                {404, "{\"errors\":[]}"},
                {405, ERRORS("unsupported")},
                {429, ERRORS("rate limit")},
                {500, ERRORS("internal")},
                {503, ERRORS("Vault is sealed")}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t j = 0; j < sizeof(rows) / sizeof(rows[0]); j++) {
            struct world *w = world_new(NULL);
            struct world_secret *s;

            net_always(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
            net_always(w, LOOKUP_SELF, 200, FOUND(86400));
            net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
            net_reply(w, CREDS, rows[j].status, rows[j].body);
            net_always(w, CREDS, 200, LEASE("l2", 300, "two"));
            net_always(w, LOOKUP, rows[i].status, rows[i].body);
            net_always(w, RENEW, 200, RENEWED("l1", 300));
            net_always(w, REVOKE, 204, "");
            s = open_secret(w, APP);
            clock_advance_ms(w, 60 * 1000);
            reject(w, s, 1);
            clock_advance_ms(w, 10 * 1000);
            assert_true(s->settles > 0);
            world_free(w);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIVES(a_newer_value_is_the_answer),
        LIVES(a_lease_that_is_gone_is_replaced_at_once),
        LIVES(a_young_one_gets_a_moment),
        LIVES(an_old_one_gets_none_even_if_renewed),
        LIVES(a_dead_login_is_one_login_and_one_fetch),
        LIVES(what_may_not_be_looked_up_is_replaced),
        LIVES(a_store_that_is_down_keeps_the_value_and_says_so),
        LIVES(a_refusal_is_heard_again_after_a_failed_one),
        LIVES(a_hundred_refusals_are_one_fetch),
        LIVES(a_storm_of_refusals_is_bounded),
        LIVES(an_unchanged_value_is_said_to_be_so),
        LIVES(a_changed_value_is_the_answer),
        LIVES(a_storm_over_a_kept_value_is_bounded_and_answered),
        LIVES(a_refused_variable_is_read_again),
        OWNS(every_refusal_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
