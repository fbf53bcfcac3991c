/* Logins: what hangs on them is made anew before they end, once, and they go when the
 * last lease has drained. */
#include "rig.h"

static int begin_short(void **state) /* a login of 100 s */
{
    struct world *w = world_new(NULL);

    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-t1", 100));
    *state = w;
    return 0;
}

#define SHORT(test) cmocka_unit_test_setup_teardown(test, begin_short, end)

static void a_login_is_renewed_like_a_lease(void **state)
{
    struct world *w = *state;

    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    net_always(w, RENEW_SELF, 200, RENEWED_LOGIN(100));
    open_secret(w, APP);
    clock_advance_ms(w, 59999);
    assert_int_equal(net_count(w, RENEW_SELF), 0);
    clock_advance_ms(w, 1);
    assert_int_equal(net_count(w, RENEW_SELF), 1);
    assert_non_null(strstr(w->last_body, "\"increment\":100"));
    clock_advance_ms(w, 1800 * 1000);
    assert_int_equal(net_count(w, LOGIN_PATH), 1);
    assert_int_equal(world_lines(w->records, "auth.renew success"), 31);
}

/* The login's maximum is near: leases move to the next one before it ends, and giving
 * it back sweeps what is left, with no revocation of its own for any lease. */
static void leases_move_to_the_next_login_before_the_old_one_ends(void **state)
{
    struct world *w = *state;
    struct world_secret *a, *b;
    const char *swept;

    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    net_reply(w, CREDS_B, 200, LEASE("m1", 3600, "uno"));
    net_reply(w, RENEW_SELF, 200, RENEWED_LOGIN(60)); /* at 60 s: ends at 119 s */
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-t2", 864000));
    net_reply(w, CREDS, 200, LEASE("l2", 3600, "two"));
    net_reply(w, CREDS_B, 200, LEASE("m2", 3600, "due"));
    net_reply(w, RENEW, 200, RENEWED("l1", 30));
    net_reply(w, RENEW, 200, RENEWED("m1", 30));
    net_reply(w, REVOKE_SELF, 204, "");
    net_always(w, RENEW, 200, RENEWED("l2", 3600));
    a = open_secret(w, APP);
    b = open_secret(w, BPP);
    clock_advance_ms(w, 117 * 1000);
    assert_string_equal(field(a, "username"), "two");
    assert_string_equal(field(b, "username"), "due");
    clock_advance_ms(w, 40 * 1000);
    swept = strstr(w->trace, REVOKE_SELF);
    assert_non_null(swept);
    assert_non_null(strstr(swept, "CANARY-t1"));
    assert_int_equal(net_count(w, REVOKE_SELF), 1);
    assert_int_equal(net_count(w, REVOKE), 0);
    assert_int_equal(world_lines(w->events, "expired"), 0);
    assert_int_equal(world_lines(w->events, "drained 2 old=1"), 2);
    net_expect_done(w);
}

static int64_t left_of(struct world *w, const char **limited_by,
                       const struct world_secret *s)
{
    const struct secretrt_value *value = atomic_load(&s->cell.value);

    *limited_by = value->info.limited_by;
    return value->info.expires_at_ms - w->wall_ms;
}

static void an_end_says_what_limits_it(void **state)
{
    struct world *w = *state;
    const char *by = NULL;

    net_clear(w);
    net_reply(w, LOGIN_PATH, 200, BATCH_LOGIN("CANARY-b1", 60));
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    net_reply(w, CREDS_B, 200, LEASE("m1", 30, "uno"));
    assert_int_equal(left_of(w, &by, open_secret(w, APP)), 59000);
    assert_string_equal(by, "login");
    assert_int_equal(left_of(w, &by, open_secret(w, BPP)), 29000);
    assert_string_equal(by, "lease");
}

static void a_batch_login_is_replaced_and_never_revoked(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_clear(w);
    net_reply(w, LOGIN_PATH, 200, BATCH_LOGIN("CANARY-b1", 60));
    net_reply(w, CREDS, 200, LEASE("l1", 60, "one"));
    net_reply(w, RENEW, 200, RENEWED("l1", 23));
    net_always(w, LOGIN_PATH, 200, BATCH_LOGIN("CANARY-b2", 864000));
    net_always(w, CREDS, 200, LEASE("l2", 3600, "two"));
    net_always(w, RENEW, 200, RENEWED("l1", 12));
    net_reply(w, REVOKE, 204, "");
    s = open_secret(w, APP);
    clock_advance_ms(w, 58 * 1000);
    assert_string_equal(field(s, "username"), "two");
    clock_advance_ms(w, 300 * 1000);
    assert_int_equal(net_count(w, LOGIN_PATH), 2);
    assert_int_equal(net_count(w, RENEW_SELF), 0);
    assert_int_equal(net_count(w, REVOKE_SELF), 0);
    assert_int_equal(net_count(w, REVOKE), 1); /* nothing sweeps it */
    assert_int_equal(world_lines(w->events, "expired"), 0);
}

static void a_failing_renewal_of_the_login_ends_in_a_new_one(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    net_always(w, RENEW_SELF, 400, ERRORS("failed to renew entry"));
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-t2", 864000));
    net_reply(w, CREDS, 200, LEASE("l2", 3600, "two"));
    net_always(w, RENEW, 200, RENEWED("l1", 30));
    net_reply(w, REVOKE_SELF, 204, "");
    s = open_secret(w, APP);
    for (int i = 0; i < 120; i++) {
        clock_advance_ms(w, 1000);
        assert_non_null(field(s, "username"));
    }
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(world_lines(w->events, "expired"), 0);
    clock_advance_ms(w, 30 * 1000);
    net_expect_done(w);
}

/* While its login can't be renewed, a lease ends with it, not later. */
static void nothing_outlives_a_login_that_can_not_be_saved(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    net_always(w, RENEW_SELF, 503, ERRORS("Vault is sealed"));
    net_always(w, LOGIN_PATH, 503, ERRORS("Vault is sealed"));
    net_always(w, CREDS, 503, ERRORS("Vault is sealed"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 98999);
    assert_string_equal(field(s, "username"), "one");
    clock_advance_ms(w, 1);
    assert_null(field(s, "username"));
    assert_int_equal(world_lines(w->events, "expired 1"), 1);
    assert_int_equal(world_lines(w->events, "failed"), 1);
}

static void a_login_that_ended_is_made_anew_at_once(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    net_always(w, RENEW_SELF, 503, ERRORS("Vault is sealed"));
    net_always(w, LOGIN_PATH, 503, ERRORS("Vault is sealed"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 98500);
    net_clear(w);
    net_always(w, RENEW_SELF, 503, ERRORS("Vault is sealed"));
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-t2", 3600));
    net_reply(w, CREDS, 200, LEASE("l2", 3600, "two"));
    clock_advance_ms(w, 8 * 1000);
    assert_string_equal(field(s, "username"), "two");
}

/* ---- a token that dies in the middle of its life ---- */

static void a_dead_token_is_found_by_a_renewal(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_clear(w);
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-t1", 3600));
    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_reply(w, RENEW, 403, ERRORS("permission denied"));
    net_reply(w, LOOKUP_SELF, 403, ERRORS("permission denied"));
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-t2", 3600));
    net_reply(w, CREDS, 200, LEASE("l2", 300, "two"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 181 * 1000);
    assert_string_equal(field(s, "username"), "two");
    assert_string_equal(w->last_secret_header, "X-Vault-Token: CANARY-t2");
    net_expect_done(w);
}

static void a_dead_token_is_found_by_a_fetch(void **state)
{
    struct world *w = *state;
    struct world_secret *s;
    int64_t before;

    net_clear(w);
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-t1", 3600));
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    open_secret(w, APP);
    clock_advance_ms(w, 60 * 1000);
    net_reply(w, CREDS_B, 403, ERRORS("permission denied"));
    net_reply(w, LOOKUP_SELF, 403, ERRORS("permission denied"));
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-t2", 3600));
    net_reply(w, CREDS_B, 200, LEASE("m1", 3600, "uno"));
    net_reply(w, CREDS, 200, LEASE("l2", 3600, "two"));
    before = w->boot_ms;
    s = open_secret(w, BPP);
    assert_string_equal(field(s, "username"), "uno");
    assert_int_equal(w->boot_ms, before); /* no pause for the one that was refused */
    assert_int_equal(world_lines(w->events, "ready 2"), 1); /* the other one, too */
    net_expect_done(w);
}

static void a_denial_is_not_taken_for_a_dead_token(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_always(w, CREDS, 403, ERRORS("permission denied"));
    net_always(w, LOOKUP_SELF, 200, FOUND(864000));
    net_always(w, RENEW_SELF, 200, RENEWED_LOGIN(100));
    s = open_secret(w, APP);
    assert_int_equal(s->settled, SRT_SETTLED_FAILED);
    assert_int_equal(s->error.status, SECRETRT_ERR_DENIED);
    clock_advance_ms(w, 300 * 1000);
    assert_int_equal(net_count(w, LOGIN_PATH), 1);
    assert_in_range(net_count(w, CREDS), 4, 6);
}

static void a_hundred_denials_ask_about_the_login_once(void **state)
{
    struct world *w = *state;
    char name[64];

    net_always(w, LOOKUP_SELF, 200, FOUND(864000));
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "GET /v1/database/creds/r%02d", i);
        net_always(w, name, 403, ERRORS("permission denied"))->delay_ms = 10;
        snprintf(name, sizeof(name), "vault://database/creds/r%02d", i);
        open_secret(w, name);
    }
    clock_advance_ms(w, 2000);
    assert_int_equal(net_count(w, LOOKUP_SELF), 1);
    assert_int_equal(net_count(w, LOGIN_PATH), 1);
}

static void one_dead_token_is_one_login_for_all(void **state)
{
    struct world *w = *state;
    char name[64];

    net_clear(w);
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-t1", 3600));
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "GET /v1/database/creds/r%02d", i);
        net_reply(w, name, 403, ERRORS("permission denied"))->delay_ms = 10 + i;
        net_reply(w, name, 200, LEASE("l", 3600, "user"));
        snprintf(name, sizeof(name), "vault://database/creds/r%02d", i);
        open_secret(w, name);
    }
    net_reply(w, LOOKUP_SELF, 403, ERRORS("permission denied"));
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-t2", 3600))->delay_ms = 500;
    clock_advance_ms(w, 20 * 1000);
    for (int i = 0; i < 40; i++)
        assert_string_equal(field(&w->secret[i], "username"), "user");
    assert_int_equal(net_count(w, LOGIN_PATH), 2);
    assert_int_equal(net_count(w, LOOKUP_SELF), 1);
    net_expect_done(w);
}

/* One waits for its turn to fetch again, and loses the login before it has come. */
static void a_pause_may_end_while_the_login_is_made_anew(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    for (int i = 0; i < 4; i++)
        net_reply(w, CREDS, 500, ERRORS("failed to connect"));
    s = open_secret(w, APP);
    clock_advance_ms(w, 7 * 1000); /* three have failed: the next one is at 10 s */
    assert_int_equal(net_count(w, CREDS), 3);
    net_reply(w, CREDS_B, 403, ERRORS("permission denied"));
    net_reply(w, LOOKUP_SELF, 403, ERRORS("permission denied"));
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-t2", 3600))->delay_ms = 6000;
    net_reply(w, CREDS_B, 200, LEASE("m1", 3600, "uno"));
    open_secret(w, BPP);
    clock_advance_ms(w, 5999); /* the pause is over, the login is not there yet */
    assert_int_equal(net_count(w, CREDS), 3);
    clock_advance_ms(w, 2000);
    assert_int_equal(net_count(w, CREDS), 4);
    assert_int_equal(s->settled, SRT_SETTLED_TRYING);
    net_expect_done(w);
}

/* ---- logins that are refused ---- */

static void a_refused_login_is_not_hammered(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_clear(w);
    net_always(w, LOGIN_PATH, 400, ERRORS("invalid role or secret ID"));
    s = open_secret(w, APP);
    assert_int_equal(s->settled, SRT_SETTLED_FAILED);
    assert_int_equal(s->error.status, SECRETRT_ERR_LOGIN);
    assert_int_equal(net_count(w, CREDS), 0);
    clock_advance_ms(w, 60 * 1000);
    assert_in_range(net_count(w, LOGIN_PATH), 3, 6);
    clock_advance_ms(w, 3600 * 1000);
    assert_in_range(net_count(w, LOGIN_PATH), 12, 25);
    assert_int_equal(world_lines(w->events, "failed"), 1);
}

static void a_login_that_works_again_serves_at_once(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_clear(w);
    for (int i = 0; i < 3; i++)
        net_reply(w, LOGIN_PATH, 503, ERRORS("Vault is sealed"));
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-t1", 3600));
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    s = open_secret(w, APP);
    while (net_count(w, LOGIN_PATH) < 4)
        clock_advance_ms(w, 50);
    clock_advance_ms(w, 50);
    assert_string_equal(field(s, "username"), "one");
    net_expect_done(w);
}

/* ---- credentials in files ---- */

#define JWT_CONFIG                                                                     \
    "{\"vault\":{\"address\":\"https://vault:8200\",\"auth\":{\"method\":\"jwt\","     \
    "\"role\":\"r\",\"token_file\":\"/run/jwt\"}}}"
/* {"sub":"x"} without an end, in two versions */
#define JWT_ONE "CANARY-h.eyJzdWIiOiJ4In0.one"
#define JWT_TWO "CANARY-h.eyJzdWIiOiJ4In0.two"

static void the_identity_is_read_anew_for_each_login(void **state)
{
    struct world *w = world_new(JWT_CONFIG);
    struct world_secret *s;

    (void)state;
    net_reply(w, "FILE /run/jwt", 0, JWT_ONE);
    net_reply(w, "POST /v1/auth/jwt/login", 200, LOGIN("CANARY-t1", 50));
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    net_reply(w, RENEW_SELF, 400, ERRORS("lease is not renewable"));
    s = open_secret(w, APP);
    net_always(w, "FILE /run/jwt", 0, JWT_TWO);
    net_reply(w, "POST /v1/auth/jwt/login", 200, LOGIN("CANARY-t2", 864000));
    net_reply(w, CREDS, 200, LEASE("l2", 3600, "two"));
    net_reply(w, RENEW, 200, RENEWED("l1", 30));
    net_reply(w, REVOKE_SELF, 204, "");
    clock_advance_ms(w, 49 * 1000); /* before the file would be polled, at 54 s */
    assert_int_equal(net_count(w, "FILE /run/jwt"), 2);
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(net_count(w, "POST /v1/auth/jwt/login"), 2);
    clock_advance_ms(w, 30 * 1000);
    net_expect_done(w);
    world_free(w);
}

/* A token is renewed with itself: what it was made with may be gone by then. */
static void a_login_is_renewed_without_its_identity(void **state)
{
    struct world *w = world_new(JWT_CONFIG);
    struct world_secret *s;

    (void)state;
    net_reply(w, "FILE /run/jwt", 0, JWT_ONE);
    net_reply(w, "POST /v1/auth/jwt/login", 200, LOGIN("CANARY-t1", 100));
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    net_fails(w, "FILE /run/jwt", SRT_OUTCOME_ABSENT)->always = 1;
    net_always(w, RENEW_SELF, 200, RENEWED_LOGIN(100));
    s = open_secret(w, APP);
    clock_advance_ms(w, 1800 * 1000);
    assert_string_equal(field(s, "username"), "one");
    assert_int_equal(net_count(w, "POST /v1/auth/jwt/login"), 1);
    world_free(w);
}

/* ---- moving in every state ---- */

/* The login changes while a lease is just being renewed: it must move all the same. */
static void a_lease_that_is_being_renewed_moves_afterwards(void **state)
{
    struct world *w = *state;
    struct world_secret *s;

    net_reply(w, CREDS, 200, LEASE("l1", 150, "one")); /* renewed at 90 s */
    net_reply(w, RENEW_SELF, 200,
              RENEWED_LOGIN(60)); /* ends at 119 s, P 40 s at most */
    net_reply(w, RENEW, 200, RENEWED("l1", 150))->delay_ms = 8000;
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-t2", 864000))->delay_ms = 5000;
    net_reply(w, CREDS, 200, LEASE("l2", 3600, "two"));
    net_always(w, RENEW, 200, RENEWED("l1", 30));
    net_reply(w, REVOKE_SELF, 204, "");
    s = open_secret(w, APP);
    for (int i = 0; i < 200; i++) {
        clock_advance_ms(w, 1000);
        assert_non_null(field(s, "username"));
    }
    assert_string_equal(field(s, "username"), "two");
    assert_int_equal(world_lines(w->events, "expired"), 0);
    net_expect_done(w);
}

static void a_login_leaves_time_for_all_its_leases(void **state)
{
    struct world *w = *state;
    char name[64];

    net_clear(w);
    net_reply(w, LOGIN_PATH, 200, BATCH_LOGIN("CANARY-b1", 3600));
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "GET /v1/database/creds/r%02d", i);
        net_reply(w, name, 200, FIXED_LEASE("l", 3600, "old"));
        net_reply(w, name, 200, FIXED_LEASE("l", 7200, "new"));
        snprintf(name, sizeof(name), "vault://database/creds/r%02d", i);
        open_secret(w, name);
    }
    net_always(w, REVOKE, 204, "");
    net_reply(w, LOGIN_PATH, 200, BATCH_LOGIN("CANARY-b2", 864000));
    /* 1.2 * 90 s, and 100 leases at 10 a second: 118 s */
    clock_advance_ms(w, 3599 * 1000 - 118 * 1000 - 100);
    assert_int_equal(net_count(w, LOGIN_PATH), 1);
    clock_advance_ms(w, 200);
    assert_int_equal(net_count(w, LOGIN_PATH), 2);
    clock_advance_ms(w, 119 * 1000);
    for (int i = 0; i < 100; i++)
        assert_string_equal(field(&w->secret[i], "username"), "new");
    assert_int_equal(world_lines(w->events, "expired"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHORT(a_login_is_renewed_like_a_lease),
        SHORT(leases_move_to_the_next_login_before_the_old_one_ends),
        SHORT(an_end_says_what_limits_it),
        SHORT(a_batch_login_is_replaced_and_never_revoked),
        SHORT(a_failing_renewal_of_the_login_ends_in_a_new_one),
        SHORT(nothing_outlives_a_login_that_can_not_be_saved),
        SHORT(a_login_that_ended_is_made_anew_at_once),
        LIVES(a_dead_token_is_found_by_a_renewal),
        LIVES(a_dead_token_is_found_by_a_fetch),
        SHORT(a_denial_is_not_taken_for_a_dead_token),
        LIVES(a_hundred_denials_ask_about_the_login_once),
        LIVES(one_dead_token_is_one_login_for_all),
        LIVES(a_pause_may_end_while_the_login_is_made_anew),
        LIVES(a_refused_login_is_not_hammered),
        LIVES(a_login_that_works_again_serves_at_once),
        OWNS(the_identity_is_read_anew_for_each_login),
        OWNS(a_login_is_renewed_without_its_identity),
        SHORT(a_lease_that_is_being_renewed_moves_afterwards),
        LIVES(a_login_leaves_time_for_all_its_leases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
