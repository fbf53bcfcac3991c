/* What stands between a grant and its publication: records, verdicts, fields. */
#include "rig.h"

#define VERIFIED                                                                       \
    "{\"vault\":{\"address\":\"https://vault:8200\",\"auth\":{\"method\":\"approle\"," \
    "\"role_id\":\"r\"}},\"secrets\":{\"db\":{\"sources\":[\"" APP                     \
    "\"],\"verify\":true},\"two\":{\"sources\":[\"" APP                                \
    "\"],\"verify\":true},\"fussy\":{\"sources\":[\"" APP                              \
    "\"],\"fields\":[\"username\",\"host\"]}}}"

static int begin_verified(void **state)
{
    struct world *w = world_new(VERIFIED);

    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    *state = w;
    return 0;
}

#define VERIFIES(test) cmocka_unit_test_setup_teardown(test, begin_verified, end)

/* ---- records ---- */

static void nothing_is_published_before_it_is_recorded(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    w->record_later = 1;
    s = open_secret(w, APP);
    world_answer(w, 0); /* the login's */
    assert_int_equal(world_lines(w->records, "lease.acquire success " APP " 1"), 1);
    assert_null(field(s, "username"));
    assert_int_equal(world_lines(w->events, "ready"), 0);
    world_answer(w, 0);
    assert_string_equal(field(s, "username"), "one");
    assert_int_equal(world_lines(w->events, "ready 1"), 1);
}

static void what_can_not_be_recorded_is_given_back(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, REVOKE, 204, "");
    w->record_later = 1;
    s = open_secret(w, APP);
    world_answer(w, 0);
    world_answer(w, SECRETRT_ERR_AUDIT);
    assert_null(field(s, "username"));
    assert_int_equal(s->settled, SRT_SETTLED_FAILED);
    assert_int_equal(s->error.status, SECRETRT_ERR_AUDIT);
    net_expect_done(w);
}

static void a_login_that_can_not_be_recorded_is_not_used(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, REVOKE_SELF, 204, "");
    w->record_status = SECRETRT_ERR_AUDIT;
    s = open_secret(w, APP);
    assert_int_equal(net_count(w, CREDS), 0);
    assert_int_equal(s->error.status, SECRETRT_ERR_AUDIT);
    net_expect_done(w);
}

/* Audit is down for the new one: the old one is renewed and serves on. */
static void the_old_one_is_renewed_while_the_new_one_can_not_be_recorded(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_always(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_always(w, REVOKE, 204, "");
    net_always(w, RENEW, 200, RENEWED("l1", 300));
    s = open_secret(w, APP);
    w->record_status = SECRETRT_ERR_AUDIT;
    clock_advance_ms(w, 10 * 1000);
    srt_secret_refresh(w->engine, s->secret);
    clock_advance_ms(w, 1800 * 1000);
    assert_string_equal(field(s, "username"), "one");
    assert_int_equal(generation(s), 1);
    assert_int_equal(world_lines(w->events, "expired"), 0);
    assert_in_range(net_count(w, RENEW), 8, 11);
    assert_int_equal(net_count(w, CREDS) - 1, net_count(w, REVOKE));
    w->record_status = 0;
    srt_secret_refresh(w->engine, s->secret);
    clock_advance_ms(w, 5000);
    assert_string_equal(field(s, "username"), "two");
}

static void a_secret_that_joins_is_recorded_first(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    open_secret(w, APP "#username");
    w->record_later = 1;
    s = open_secret(w, APP "#password");
    assert_null(field(s, "username"));
    world_answer(w, 0);
    assert_string_equal(field(s, "username"), "one");

    s = open_secret(w, APP);
    world_answer(w, SECRETRT_ERR_AUDIT);
    assert_null(field(s, "username"));
    assert_int_equal(s->error.status, SECRETRT_ERR_AUDIT);
    w->record_later = 0;
    clock_advance_ms(w, 30 * 1000); /* the disk has room again */
    assert_string_equal(field(s, "username"), "one");
    assert_int_equal(net_count(w, CREDS), 1);
}

/* The answer of a record comes after its secret, its node, everything was closed. */
static void answers_that_come_late_harm_nobody(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, REVOKE, 204, "");
    w->record_later = 1;
    s = open_secret(w, APP);
    world_answer(w, 0);
    assert_int_equal(w->tickets, 1);
    close_secret(w, s);
    clock_advance_ms(w, 60 * 1000); /* revoked, and its node is gone */
    world_answer(w, SECRETRT_ERR_CLOSED);
    net_expect_done(w);
}

static void a_joining_secret_may_be_closed_before_the_answer(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    open_secret(w, APP "#username");
    w->record_later = 1;
    s = open_secret(w, APP "#password");
    close_secret(w, s);
    world_answer(w, 0);
    s = open_secret(w, APP "#password");
    close_secret(w, s);
    world_answer(w, SECRETRT_ERR_CLOSED);
}

/* ---- verdicts ---- */

static void a_verdict_is_awaited(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    w->verify_later = 1;
    s = open_secret(w, "db");
    assert_int_equal(w->verifications, 1);
    assert_null(field(s, "username"));
    clock_advance_ms(w, 5000);
    assert_null(field(s, "username"));
    world_answer(w, 0);
    assert_string_equal(field(s, "username"), "one");
}

static void a_refused_candidate_is_given_back_and_the_old_one_serves(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_reply(w, REVOKE, 204, "");
    s = open_secret(w, "db");
    w->verify_later = 1;
    clock_advance_ms(w, 10 * 1000);
    srt_secret_refresh(w->engine, s->secret);
    world_turn(w);
    assert_string_equal(field(s, "username"), "one");
    world_answer(w, SECRETRT_ERR_DENIED);
    assert_string_equal(field(s, "username"), "one");
    assert_int_equal(s->settled, SRT_SETTLED_FAILED);
    assert_int_equal(world_lines(w->events, "failed 1"), 1);
    assert_non_null(strstr(w->last_body, "/l2"));
    net_expect_done(w);
}

static void without_a_verdict_the_first_one_is_published_in_the_end(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    w->verify_later = 1;
    s = open_secret(w, "db");
    clock_advance_ms(w, 9999);
    assert_null(field(s, "username"));
    clock_advance_ms(w, 1);
    assert_string_equal(field(s, "username"), "one");
    assert_int_equal(world_lines(w->records, "secret.unverified"), 1);
    assert_int_equal(world_lines(w->logs, "without a verdict"), 1);
    world_answer(w, SECRETRT_ERR_DENIED); /* too late */
    assert_string_equal(field(s, "username"), "one");
}

static void without_a_verdict_a_successor_is_published_before_the_end(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, FIXED_LEASE("l1", 300, "one"));
    net_reply(w, CREDS, 200, FIXED_LEASE("l2", 300, "two"));
    s = open_secret(w, "db");
    w->verify_later = 1;
    clock_advance_ms(w, 299 * 1000 - 7500 - 1); /* E - B/2 */
    assert_string_equal(field(s, "username"), "one");
    clock_advance_ms(w, 1);
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(world_lines(w->events, "expired"), 0);
    world_answer(w, 0);
}

/* A verdict that is overdue does not stand in for a record that is not written. */
static void without_a_record_nothing_is_published_ever(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    net_reply(w, REVOKE, 204, "");
    s = open_secret(w, APP); /* so that the login is there */
    close_secret(w, s);
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    w->verify_later = w->record_later = 1;
    s = open_secret(w, "db");
    clock_advance_ms(w, 60 * 1000);
    assert_null(field(s, "username"));
    world_answer(w, 0);
    assert_string_equal(field(s, "username"), "one");
}

static void all_who_verify_are_asked(void **state)
{
    struct world *w = *state;
    struct world_secret *a, *b;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"))->delay_ms = 100;
    w->verify_later = 1;
    a = open_secret(w, "db");
    b = open_secret(w, "two");
    clock_advance_ms(w, 100);
    assert_int_equal(w->tickets, 2);
    srt_engine_answered(w->engine, w->ticket[0], 0);
    assert_null(field(a, "username"));
    srt_engine_answered(w->engine, w->ticket[1], 0);
    assert_string_equal(field(a, "username"), "one");
    assert_string_equal(field(b, "username"), "one");
    w->tickets = 0;
}

static void a_secret_that_joins_verifies_on_its_own(void **state)
{
    struct world *w = *state;
    struct world_secret *a, *b;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    a = open_secret(w, APP);
    w->verify_later = 1;
    b = open_secret(w, "db");
    assert_string_equal(field(a, "username"), "one");
    assert_null(field(b, "username"));
    world_answer(w, SECRETRT_ERR_DENIED);
    assert_null(field(b, "username"));
    assert_int_equal(b->settled, SRT_SETTLED_FAILED);
    assert_string_equal(field(a, "username"), "one");
}

static void a_joining_secret_does_not_wait_for_a_verdict_for_ever(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    open_secret(w, APP);
    w->verify_later = 1;
    s = open_secret(w, "db");
    clock_advance_ms(w, 9999);
    assert_null(field(s, "username"));
    clock_advance_ms(w, 1);
    assert_string_equal(field(s, "username"), "one");
    world_answer(w, SECRETRT_ERR_DENIED);
    assert_string_equal(field(s, "username"), "one");
}

/* ---- fields ---- */

static void a_field_that_is_missing_is_an_error(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, REVOKE, 204, "");
    s = open_secret(w, "fussy");
    assert_null(field(s, "username"));
    assert_int_equal(s->settled, SRT_SETTLED_FAILED);
    assert_int_equal(s->error.status, SECRETRT_ERR_NO_FIELD);
    assert_non_null(strstr(s->error.message, "\"host\""));
    assert_int_equal(world_lines(w->records, "secret.deny denied fussy"), 1);
    net_expect_done(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIVES(nothing_is_published_before_it_is_recorded),
        LIVES(what_can_not_be_recorded_is_given_back),
        LIVES(a_login_that_can_not_be_recorded_is_not_used),
        LIVES(the_old_one_is_renewed_while_the_new_one_can_not_be_recorded),
        LIVES(a_secret_that_joins_is_recorded_first),
        LIVES(answers_that_come_late_harm_nobody),
        LIVES(a_joining_secret_may_be_closed_before_the_answer),
        VERIFIES(a_verdict_is_awaited),
        VERIFIES(a_refused_candidate_is_given_back_and_the_old_one_serves),
        VERIFIES(without_a_verdict_the_first_one_is_published_in_the_end),
        VERIFIES(without_a_verdict_a_successor_is_published_before_the_end),
        VERIFIES(without_a_record_nothing_is_published_ever),
        VERIFIES(all_who_verify_are_asked),
        VERIFIES(a_secret_that_joins_verifies_on_its_own),
        VERIFIES(a_joining_secret_does_not_wait_for_a_verdict_for_ever),
        VERIFIES(a_field_that_is_missing_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
