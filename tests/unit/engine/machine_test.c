/* The table of the state machine: what each event does in each state, and that every
 * state is left again. */
#include "engine/graph.h"
#include "rig.h"

#define STATES "IAFRDSOEC" /* initial, acquiring, fresh, renewing, … rotating O */

/* In the order of enum srt_node_event. A letter: the state that follows; '.': the event
 * means nothing; '*': it comes with a candidate only, see below. */
static const char *const table[SRT_NODE_STATE_COUNT] = {
    [SRT_NODE_INIT] = "A...A............AC",
    [SRT_NODE_ACQUIRING] = ".......*....I.II..C",
    [SRT_NODE_FRESH] = ".ROO..E.....E...SOC",
    [SRT_NODE_RENEWING] = "......E..FF.EFDDSOC",
    [SRT_NODE_DEGRADED] = "....ROE.....E...SOC",
    [SRT_NODE_SUSPECT] = "......E....FE.DD.OC",
    [SRT_NODE_ROTATING] = ".R..O.E*F...E.OO.OC",
    [SRT_NODE_EXPIRED] = "E...E..*....E.EE.EC",
    [SRT_NODE_CLOSED] = "..................C",
};

static void all_is_well(struct world *w)
{
    net_clear(w);
    net_always(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    net_always(w, CREDS, 200, LEASE("l2", 300, "two"));
    net_always(w, RENEW, 200, RENEWED("l2", 300));
    net_always(w, LOOKUP, 200, FOUND(200));
    net_always(w, LOOKUP_SELF, 200, FOUND(86400));
    net_always(w, RENEW_SELF, 200, RENEWED_LOGIN(864000));
    net_always(w, REVOKE, 204, "");
    net_always(w, REVOKE_SELF, 204, "");
}

static struct srt_node *node_of(const struct world_secret *s)
{
    return s->secret->source[0].node;
}

static void all_is_down(struct world *w)
{
    net_clear(w);
    net_always(w, LOGIN_PATH, 503, ERRORS("Vault is sealed"));
    net_always(w, CREDS, 503, ERRORS("Vault is sealed"));
    net_always(w, RENEW, 503, ERRORS("Vault is sealed"));
}

static struct world_secret *bring_to(struct world *w, enum srt_node_state state)
{
    struct world_secret *s;

    net_clear(w);
    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    if (state == SRT_NODE_INIT)
        net_reply(w, CREDS, 503, ERRORS("Vault is sealed"));
    else
        net_reply(w, CREDS, 200, LEASE("l1", 300, "one"))->delay_ms =
            state == SRT_NODE_ACQUIRING ? 1000 : 0;
    s = open_secret(w, APP);
    if (state == SRT_NODE_RENEWING)
        net_reply(w, RENEW, 200, RENEWED("l1", 300))->delay_ms = 1000;
    if (state == SRT_NODE_DEGRADED || state == SRT_NODE_EXPIRED)
        all_is_down(w);
    if (state == SRT_NODE_RENEWING || state == SRT_NODE_DEGRADED)
        clock_advance_ms(w, 180 * 1000);
    if (state == SRT_NODE_EXPIRED)
        clock_advance_ms(w, 299 * 1000);
    if (state == SRT_NODE_SUSPECT)
        net_reply(w, LOOKUP, 200, FOUND(200))->delay_ms = 1000;
    if (state == SRT_NODE_ROTATING)
        net_reply(w, CREDS, 200, LEASE("l3", 300, "three"))->delay_ms = 1000;
    if (state == SRT_NODE_SUSPECT || state == SRT_NODE_ROTATING) {
        clock_advance_ms(w, 60 * 1000);
        srt_machine_feed(w->engine, node_of(s),
                         state == SRT_NODE_SUSPECT ? SRT_EVENT_SUSPECTED
                                                   : SRT_EVENT_REPLACE);
        world_turn(w);
    }
    if (state == SRT_NODE_CLOSED) {
        all_is_well(w);
        world_close(w, 1000);
    }
    assert_int_equal(node_of(s)->state, state);
    return s;
}

/* What an operation came to is fed when the operation is over. */
static void end_task(struct world *w, struct srt_node *node, enum srt_node_event event)
{
    if (event < SRT_EVENT_SAME || event > SRT_EVENT_FINAL || node->task == NULL)
        return;
    srt_task_free(w->engine, node->task);
    node->task = NULL;
    node->acquiring = 0;
    if (node->failure.failure_class == SRT_CLASS_NONE)
        srt_node_blame(node, SRT_CLASS_UNAVAILABLE, "made up");
}

static void pair(enum srt_node_state state, enum srt_node_event event)
{
    struct world *w = world_new(NULL);
    struct world_secret *s = bring_to(w, state);
    struct srt_node *node = node_of(s);
    char next = table[state][event];

    all_is_well(w);
    if (next == '*') {
        clock_advance_ms(w, 61 * 1000);
        assert_int_equal(node->state, SRT_NODE_FRESH);
        world_free(w);
        return;
    }
    if (next != '.')
        end_task(w, node, event);
    srt_machine_feed(w->engine, node, event);
    if (next == '.')
        assert_int_equal(node->state, state);
    else if (STATES[node->state] != next)
        fail_msg("%s, event %d: %s instead of %c", srt_node_state_name(state),
                 (int)event, srt_node_state_name(node->state), next);
    if (node->state != SRT_NODE_CLOSED) {
        clock_advance_ms(w, 400 * 1000);
        assert_int_equal(node->state, SRT_NODE_FRESH);
        assert_non_null(field(s, "username"));
        assert_true(world_next_ms(w) < SRT_NEVER);
    }
    world_free(w);
}

static void every_event_does_in_every_state_what_the_table_says(void **state)
{
    (void)state;
    for (unsigned s = 0; s < SRT_NODE_STATE_COUNT; s++) {
        assert_int_equal(strlen(table[s]), SRT_EVENT_COUNT);
        for (unsigned e = 0; e < SRT_EVENT_COUNT; e++)
            pair(s, e);
    }
}

/* Each answer that there is, to each operation, in each state that asks. */
static void after_any_answer_there_is_a_next_turn(void **state)
{
    static const struct {
        enum srt_outcome outcome;
        int status;
        const char *body;
    } rows[] = {{SRT_OUTCOME_UNREACHABLE, 0, ""},
                {SRT_OUTCOME_TIMEOUT, 0, ""},
                {SRT_OUTCOME_TLS, 0, ""},
                {SRT_OUTCOME_TOO_LARGE, 0, ""},
                {SRT_OUTCOME_TRUNCATED, 0, ""},
                {SRT_OUTCOME_ABSENT, 0, ""},
                {SRT_OUTCOME_REFUSED, 0, ""},
                {SRT_OUTCOME_NOMEM, 0, ""},
                {SRT_OUTCOME_ANSWERED, 200, ""},
                {SRT_OUTCOME_ANSWERED, 200, "{}"},
                {SRT_OUTCOME_ANSWERED, 204, ""},
                {SRT_OUTCOME_ANSWERED, 307, ""},
                {SRT_OUTCOME_ANSWERED, 400, ERRORS("lease not found")},
                {SRT_OUTCOME_ANSWERED, 400, ERRORS("lease is not renewable")},
                {SRT_OUTCOME_ANSWERED, 400, ERRORS("failed to renew entry")},
                {SRT_OUTCOME_ANSWERED, 400, ERRORS("who knows")},
                {SRT_OUTCOME_ANSWERED, 401, ERRORS("permission denied")},
                {SRT_OUTCOME_ANSWERED, 403, ERRORS("permission denied")},
                {SRT_OUTCOME_ANSWERED, 404, "{\"errors\":[]}"},
                {SRT_OUTCOME_ANSWERED, 412, ERRORS("behind")},
                {SRT_OUTCOME_ANSWERED, 418, ERRORS("teapot")},
                {SRT_OUTCOME_ANSWERED, 429, ERRORS("rate limit")},
                {SRT_OUTCOME_ANSWERED, 500, ERRORS("internal")},
                {SRT_OUTCOME_ANSWERED, 503, ERRORS("Vault is sealed")}};
    static const char *const paths[] = {LOGIN_PATH, CREDS,       RENEW,
                                        LOOKUP,     LOOKUP_SELF, RENEW_SELF};

    (void)state;
    for (size_t p = 0; p < sizeof(paths) / sizeof(paths[0]); p++)
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
            for (int reject = 0; reject < 2; reject++) {
                struct world *w = world_new(NULL);
                struct world_secret *s = bring_to(w, SRT_NODE_FRESH);
                struct world_reply *reply;

                net_clear(w);
                for (size_t q = 0; q < sizeof(paths) / sizeof(paths[0]); q++) {
                    reply = net_always(w, paths[q], 503, ERRORS("Vault is sealed"));
                    if (q != p)
                        continue;
                    reply->outcome = rows[i].outcome;
                    reply->status = rows[i].status;
                    strcpy(reply->body, rows[i].body);
                }
                net_always(w, REVOKE, 204, "");
                for (int k = 0; k < 60; k++) {
                    if (reject && k % 7 == 0)
                        srt_secret_reject(w->engine, s->secret, generation(s), 401);
                    if (reject && k % 7 == 3)
                        srt_secret_refresh(w->engine, s->secret);
                    clock_advance_ms(w, 10 * 1000);
                    assert_true(world_next_ms(w) < SRT_NEVER);
                }
                all_is_well(w);
                clock_advance_ms(w, 301 * 1000);
                assert_non_null(field(s, "username"));
                world_free(w);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWNS(every_event_does_in_every_state_what_the_table_says),
        OWNS(after_any_answer_there_is_a_next_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
