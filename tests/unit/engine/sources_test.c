/* The order of sources: when the next one serves, when it must not, and the way back.
 */
#include "rig.h"

static struct world *world_of_two(const char *secret, const char *rest)
{
    struct world *w = world_with(VAULT_AND_ENV, secret, rest);

    net_always(w, "ENV DB_USER", 0, "CANARY-eu");
    net_always(w, "ENV DB_PASSWORD", 0, "CANARY-ep");
    return w;
}

static void the_next_one_serves_after_a_share_of_the_deadline(void **state)
{
    static const struct {
        enum srt_outcome outcome;
        int status;
        const char *body;
    } rows[] = {{SRT_OUTCOME_UNREACHABLE, 0, ""},
                {SRT_OUTCOME_TIMEOUT, 0, ""},
                {SRT_OUTCOME_ANSWERED, 503, ERRORS("Vault is sealed")},
                {SRT_OUTCOME_ANSWERED, 500, ERRORS("failed to connect")},
                {SRT_OUTCOME_ANSWERED, 429, ERRORS("rate limit")}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world *w = world_of_two("", "");
        struct world_reply *reply = net_always(w, CREDS, rows[i].status, rows[i].body);
        struct world_secret *s;

        reply->outcome = rows[i].outcome;
        net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
        s = open_secret(w, "db");
        clock_advance_ms(w, 2999);
        assert_null(field(s, "username"));
        assert_int_equal(net_count(w, "ENV"), 0);
        clock_advance_ms(w, 1);
        assert_string_equal(field(s, "username"), "CANARY-eu");
        world_free(w);
    }
}

static void the_next_one_serves_when_the_first_is_silent(void **state)
{
    struct world *w = world_of_two("", "");
    struct world_secret *s;

    (void)state;
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000))->delay_ms = 60000;
    s = open_secret(w, "db");
    clock_advance_ms(w, 3000);
    assert_string_equal(field(s, "password"), "CANARY-ep");
    world_free(w);
}

static void the_next_one_serves_at_once_when_the_first_is_not_configured(void **state)
{
    struct world *w =
        world_new("{\"secrets\":{\"db\":{\"sources\":[\"" APP "\",\"env://DB\"]}}}");
    struct world_secret *s;

    (void)state;
    net_reply(w, "ENV DB", 0, "CANARY-e");
    s = open_secret(w, "db");
    assert_string_equal(field(s, "value"), "CANARY-e");
    assert_int_equal(w->requests, 1);
    world_free(w);
}

/* What is no outage never opens the way to a weaker source. */
static void the_next_one_never_serves_when_the_first_refused(void **state)
{
    static const struct {
        const char *path;
        enum srt_outcome outcome;
        int status;
        const char *body;
        int error;
    } rows[] = {
        {CREDS, SRT_OUTCOME_ANSWERED, 403, ERRORS("permission denied"),
         SECRETRT_ERR_DENIED},
        {CREDS, SRT_OUTCOME_ANSWERED, 400, ERRORS("unknown role: app"),
         SECRETRT_ERR_CONFIG},
        {CREDS, SRT_OUTCOME_ANSWERED, 404, "{\"errors\":[]}", SECRETRT_ERR_NOT_FOUND},
        {CREDS, SRT_OUTCOME_TLS, 0, "", SECRETRT_ERR_INTEGRITY},
        {CREDS, SRT_OUTCOME_ANSWERED, 200, "{\"data\":17}", SECRETRT_ERR_PROTOCOL},
        {LOGIN_PATH, SRT_OUTCOME_ANSWERED, 400, ERRORS("invalid role or secret ID"),
         SECRETRT_ERR_LOGIN},
        {LOGIN_PATH, SRT_OUTCOME_ANSWERED, 403, ERRORS("permission denied"),
         SECRETRT_ERR_LOGIN},
        {LOGIN_PATH, SRT_OUTCOME_TLS, 0, "", SECRETRT_ERR_INTEGRITY}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world *w = world_of_two("", "");
        struct world_reply *reply =
            net_always(w, rows[i].path, rows[i].status, rows[i].body);
        struct world_secret *s;

        reply->outcome = rows[i].outcome;
        net_always(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
        net_always(w, LOOKUP_SELF, 200, FOUND(3600));
        s = open_secret(w, "db");
        assert_int_equal(s->settled, SRT_SETTLED_FAILED);
        assert_int_equal(s->error.status, rows[i].error);
        clock_advance_ms(w, 3600 * 1000);
        assert_null(field(s, "username"));
        assert_int_equal(net_count(w, "ENV"), 0);
        world_free(w);
    }
}

static void the_next_one_serves_what_is_not_found_if_asked_to(void **state)
{
    struct world *w = world_of_two(",\"fallback_on_not_found\":true", "");
    struct world_secret *s;

    (void)state;
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    net_always(w, CREDS, 404, "{\"errors\":[]}");
    s = open_secret(w, "db");
    assert_string_equal(field(s, "username"), "CANARY-eu");
    world_free(w);
}

static const struct secretrt_info *info_of(const struct world_secret *s)
{
    return &((const struct secretrt_value *)atomic_load(&s->cell.value))->info;
}

static void the_first_one_serves_again_as_soon_as_it_can(void **state)
{
    struct world *w = world_of_two("", "");
    struct world_secret *s;

    (void)state;
    net_always(w, LOGIN_PATH, 503, ERRORS("Vault is sealed"));
    s = open_secret(w, "db");
    clock_advance_ms(w, 600 * 1000);
    assert_string_equal(field(s, "username"), "CANARY-eu");
    assert_int_equal(info_of(s)->tier, 4);
    assert_int_equal(info_of(s)->flags,
                     SECRETRT_VALUE_DEPRECATED | SECRETRT_VALUE_FALLBACK);
    net_clear(w);
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    clock_advance_ms(w, 61 * 1000);
    assert_string_equal(field(s, "username"), "one");
    assert_int_equal(info_of(s)->tier, 2);
    assert_int_equal(info_of(s)->flags, SECRETRT_VALUE_RENEWABLE);
    assert_int_equal(world_lines(w->events, " tier "), 2);
    assert_int_equal(world_lines(w->events, " tier 2 "), 1);
    assert_int_equal(world_lines(w->events, "reload 2 old=1"), 1);
    assert_int_equal(world_lines(w->records, "tier.fallback success db 1"), 1);
    assert_int_equal(world_lines(w->records, "tier.climb success db 2"), 1);
    clock_advance_ms(w, 31 * 1000); /* the lower one has drained and is let go */
    assert_int_equal(world_lines(w->events, "drained 2 old=1"), 1);
    net_expect_done(w);
    world_free(w);
}

/* Falls, climbs, and falls again: deprecated use is logged once for a secret. */
static void a_deprecated_source_is_logged_once(void **state)
{
    struct world *w = world_of_two("", "");
    struct world_secret *s;

    (void)state;
    net_reply(w, LOGIN_PATH, 503, ERRORS("Vault is sealed"));
    net_reply(w, LOGIN_PATH, 503, ERRORS("Vault is sealed"));
    net_reply(w, LOGIN_PATH, 503, ERRORS("Vault is sealed"));
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    net_reply(w, CREDS, 200, LEASE("l1", 20, "one"));
    net_always(w, CREDS, 503, ERRORS("Vault is sealed"));
    net_always(w, RENEW, 503, ERRORS("Vault is sealed"));
    s = open_secret(w, "db");
    clock_advance_ms(w, 120 * 1000);
    assert_string_equal(field(s, "username"), "CANARY-eu");
    assert_int_equal(world_lines(w->events, " tier "), 3); /* fell, climbed, fell */
    assert_int_equal(world_lines(w->logs, "deprecated"), 1);
    world_free(w);
}

static void a_live_value_is_never_dropped_for_a_weaker_one(void **state)
{
    struct world *w = world_of_two("", "");
    struct world_secret *s;

    (void)state;
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    net_reply(w, CREDS, 200, LEASE("l1", 300, "one"));
    net_always(w, CREDS, 503, ERRORS("Vault is sealed"));
    net_always(w, RENEW, 503, ERRORS("Vault is sealed"));
    s = open_secret(w, "db");
    clock_advance_ms(w, 298999);
    assert_string_equal(field(s, "username"), "one");
    assert_int_equal(net_count(w, "ENV"), 0);
    clock_advance_ms(w, 3001);
    assert_string_equal(field(s, "username"), "CANARY-eu");
    assert_int_equal(world_lines(w->events, " tier "), 1);
    world_free(w);
}

/* ---- policy ---- */

static void a_tier_below_the_weakest_is_refused(void **state)
{
    struct world *w = world_of_two("", ",\"policy\":{\"weakest_tier\":3}");
    struct world_secret *s;

    (void)state;
    net_always(w, LOGIN_PATH, 503, ERRORS("Vault is sealed"));
    s = open_secret(w, "db");
    clock_advance_ms(w, 600 * 1000);
    assert_null(field(s, "username"));
    assert_int_equal(net_count(w, "ENV"), 0);
    assert_int_equal(s->error.status, SECRETRT_ERR_UNAVAILABLE); /* what to mend */
    s = open_secret(w, "env://DB_USER");
    assert_int_equal(s->settled, SRT_SETTLED_FAILED);
    assert_int_equal(s->error.status, SECRETRT_ERR_POLICY);
    world_free(w);
}

static void a_secret_may_be_stricter(void **state)
{
    struct world *w = world_of_two(",\"weakest_tier\":2", "");
    struct world_secret *s;

    (void)state;
    net_always(w, LOGIN_PATH, 503, ERRORS("Vault is sealed"));
    s = open_secret(w, "db");
    clock_advance_ms(w, 60 * 1000);
    assert_null(field(s, "username"));
    world_free(w);
}

static void the_fourth_tier_has_a_date(void **state)
{
    struct world *w = world_of_two("", ",\"policy\":{\"tier4_until\":\"2026-09-22\"}");
    struct world_secret *s;

    (void)state;
    net_always(w, LOGIN_PATH, 503, ERRORS("Vault is sealed"));
    assert_true(w->wall_ms < 1790035200000); /* the world begins on 2026-09-21 */
    s = open_secret(w, "env://DB_USER");
    assert_string_equal(field(s, "value"), "CANARY-eu");
    w->wall_ms += 3 * 86400 * 1000LL;
    w->boot_ms += 3 * 86400 * 1000LL;
    s = open_secret(w, "db");
    clock_advance_ms(w, 60 * 1000);
    assert_null(field(s, "username"));
    s = open_secret(w, "env://DB_PASSWORD");
    assert_int_equal(s->error.status, SECRETRT_ERR_POLICY);
    world_free(w);
}

/* What a store's answer proves decides: a kept value where only leases may be. */
static void the_tier_of_the_answer_decides(void **state)
{
    struct world *w = world_with(VAULT_AND_ENV, "", ",\"policy\":{\"weakest_tier\":2}");
    struct world_secret *s;

    (void)state;
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    net_reply(w, KV, 200, KEPT("one"));
    s = open_secret(w, "vault://kv/data/one#key");
    assert_null(field(s, "key"));
    assert_int_equal(s->settled, SRT_SETTLED_FAILED);
    assert_int_equal(s->error.status, SECRETRT_ERR_POLICY);
    assert_int_equal(world_lines(w->records, "secret.deny denied"), 1);
    world_free(w);
}

static void the_weakest_credential_on_the_way_decides(void **state)
{
    struct world *w =
        world_new("{\"vault\":{\"address\":\"https://vault:8200\"},\"policy\":{"
                  "\"weakest_credential_tier\":3}}");
    struct world_secret *s;

    (void)state;
    net_fails(w, "ENV BAO_TOKEN", SRT_OUTCOME_ABSENT);
    net_reply(w, "ENV VAULT_TOKEN", 0, "CANARY-given");
    net_reply(w, LOOKUP_SELF, 200, FOUND(86400));
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    net_reply(w, REVOKE, 204, "");
    s = open_secret(w, APP);
    assert_null(field(s, "username"));
    assert_int_equal(s->error.status, SECRETRT_ERR_POLICY);
    net_expect_done(w); /* what was made in vain is given back */
    world_free(w);
}

/* ---- what is joined ---- */

/* A node that is live already serves another secret only through its own gate. */
static void a_secret_that_joins_is_held_to_its_own_policy(void **state)
{
    struct world *w = world_new(
        "{\"vault\":{\"address\":\"https://vault:8200\",\"auth\":{\"method\":"
        "\"approle\",\"role_id\":\"r\"}},\"secrets\":{\"strict\":{\"sources\":["
        "\"vault://kv/data/one\"],\"weakest_tier\":2},\"fussy\":{\"sources\":["
        "\"vault://kv/data/one\"],\"fields\":[\"user\"]}}}");
    struct world_secret *s;

    (void)state;
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    net_reply(w, KV, 200, KEPT("one"));
    s = open_secret(w, "vault://kv/data/one");
    assert_string_equal(field(s, "key"), "CANARY-one");
    s = open_secret(w, "strict");
    assert_null(field(s, "key"));
    assert_int_equal(s->error.status, SECRETRT_ERR_POLICY);
    s = open_secret(w, "fussy");
    assert_null(field(s, "key"));
    assert_int_equal(s->error.status, SECRETRT_ERR_NO_FIELD);
    assert_int_equal(world_lines(w->records, "secret.deny denied"), 2);
    assert_int_equal(net_count(w, KV), 1);
    world_free(w);
}

static void a_secret_that_may_not_join_does_not_stop_the_others(void **state)
{
    struct world *w = world_new(NULL);
    struct world_secret *good, *bad;

    (void)state;
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    net_reply(w, KV, 200, KEPT("one"));
    net_reply(w, KV, 200, KEPT("two"));
    good = open_secret(w, "vault://kv/data/one#key");
    bad = open_secret(w, "vault://kv/data/one#kye");
    assert_int_equal(bad->error.status, SECRETRT_ERR_NO_FIELD);
    clock_advance_ms(w, 271 * 1000);
    assert_string_equal(field(good, "key"), "CANARY-two");
    assert_null(field(bad, "key"));
    world_free(w);
}

static void a_lazy_secret_is_not_fetched_until_it_is_read(void **state)
{
    struct world *w = world_of_two(",\"lazy\":true", "");
    struct world_secret *s;

    (void)state;
    s = open_secret(w, "db");
    clock_advance_ms(w, 3600 * 1000);
    assert_int_equal(w->requests, 0);
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    net_reply(w, CREDS, 200, LEASE("l1", 3600, "one"));
    srt_secret_want(w->engine, s->secret);
    world_turn(w);
    assert_string_equal(field(s, "username"), "one");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWNS(the_next_one_serves_after_a_share_of_the_deadline),
        OWNS(the_next_one_serves_when_the_first_is_silent),
        OWNS(the_next_one_serves_at_once_when_the_first_is_not_configured),
        OWNS(the_next_one_never_serves_when_the_first_refused),
        OWNS(the_next_one_serves_what_is_not_found_if_asked_to),
        OWNS(the_first_one_serves_again_as_soon_as_it_can),
        OWNS(a_deprecated_source_is_logged_once),
        OWNS(a_live_value_is_never_dropped_for_a_weaker_one),
        OWNS(a_tier_below_the_weakest_is_refused),
        OWNS(a_secret_may_be_stricter),
        OWNS(the_fourth_tier_has_a_date),
        OWNS(the_tier_of_the_answer_decides),
        OWNS(the_weakest_credential_on_the_way_decides),
        OWNS(a_secret_that_joins_is_held_to_its_own_policy),
        OWNS(a_secret_that_may_not_join_does_not_stop_the_others),
        OWNS(a_lazy_secret_is_not_fetched_until_it_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
