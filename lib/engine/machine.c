/* The state machine of a node as one table: what each event does in each state. The
 * actions below it are short; what they need more room for is in node.c and outcome.c.
 */
#include "base/alloc.h"
#include "engine/graph.h"

#define MACHINE_TOLD_CAP_MS 300000  /* a store that asks for a longer pause */
#define MACHINE_REPLICA_LEAST_MS 50 /* a replica that is behind catches up soon */
#define MACHINE_REPLICA_MS 150
#define MACHINE_REPLICA_TRIES 3

typedef void machine_act(struct srt_engine *engine, struct srt_node *node);

static machine_act machine_begin, machine_again, machine_renew, machine_check,
    machine_adopt, machine_extended, machine_fixed, machine_degrade,
    machine_degrade_slow, machine_wait, machine_wait_slow, machine_lost, machine_expire,
    machine_expire_begin, machine_confirmed, machine_unchanged, machine_undecided,
    machine_close, machine_none;

struct machine_rule {
    machine_act *act; /* NULL: the event means nothing in this state */
    enum srt_node_state next;
};

/* The next state is set before the action runs. Rows are states, columns events. */
#define ON(event, action, next)                                                        \
    [SRT_EVENT_##event] = {machine_##action, SRT_NODE_##next}

static const struct machine_rule machine_table[SRT_NODE_STATE_COUNT][SRT_EVENT_COUNT] =
    {
        [SRT_NODE_INIT] = {ON(WANT, begin, ACQUIRING), ON(RETRY_DUE, begin, ACQUIRING),
                           ON(REPLACE, begin, ACQUIRING), ON(CLOSE, close, CLOSED)},
        [SRT_NODE_ACQUIRING] = {ON(GRANTED, adopt, FRESH), ON(TRANSIENT, wait, INIT),
                                ON(FINAL, wait_slow, INIT), ON(GONE, wait, INIT),
                                ON(CLOSE, close, CLOSED)},
        [SRT_NODE_FRESH] = {ON(RENEW_DUE, renew, RENEWING),
                            ON(ROTATE_DUE, begin, ROTATING),
                            ON(REFRESH_DUE, begin, ROTATING),
                            ON(SUSPECTED, check, SUSPECT), ON(REPLACE, begin, ROTATING),
                            ON(GONE, lost, EXPIRED), ON(END, expire_begin, EXPIRED),
                            ON(CLOSE, close, CLOSED)},
        [SRT_NODE_RENEWING] =
            {ON(RENEWED, extended, FRESH), ON(TRUNCATED, extended, FRESH),
             ON(GONE, lost, EXPIRED), ON(FIXED, fixed, FRESH),
             ON(TRANSIENT, degrade, DEGRADED), ON(FINAL, degrade_slow, DEGRADED),
             ON(REPLACE, again, ROTATING), ON(SUSPECTED, check, SUSPECT),
             ON(END, expire_begin, EXPIRED), ON(CLOSE, close, CLOSED)},
        [SRT_NODE_DEGRADED] = {ON(RETRY_DUE, renew, RENEWING),
                               ON(LATE, begin, ROTATING), ON(REPLACE, begin, ROTATING),
                               ON(SUSPECTED, check, SUSPECT), ON(GONE, lost, EXPIRED),
                               ON(END, expire_begin, EXPIRED),
                               ON(CLOSE, close, CLOSED)},
        [SRT_NODE_SUSPECT] = {ON(ALIVE, confirmed, FRESH), ON(GONE, lost, EXPIRED),
                              ON(TRANSIENT, degrade, DEGRADED),
                              ON(FINAL, undecided, DEGRADED),
                              ON(REPLACE, again, ROTATING),
                              ON(END, expire_begin, EXPIRED), ON(CLOSE, close, CLOSED)},
        [SRT_NODE_ROTATING] = {ON(GRANTED, adopt, FRESH), ON(SAME, unchanged, FRESH),
                               ON(TRANSIENT, wait, ROTATING),
                               ON(FINAL, wait_slow, ROTATING),
                               ON(RETRY_DUE, begin, ROTATING),
                               ON(RENEW_DUE, renew, RENEWING),
                               ON(REPLACE, begin, ROTATING), ON(GONE, lost, EXPIRED),
                               ON(END, expire, EXPIRED), ON(CLOSE, close, CLOSED)},
        [SRT_NODE_EXPIRED] = {ON(GRANTED, adopt, FRESH), ON(TRANSIENT, wait, EXPIRED),
                              ON(FINAL, wait_slow, EXPIRED),
                              ON(RETRY_DUE, begin, EXPIRED), ON(WANT, begin, EXPIRED),
                              ON(REPLACE, begin, EXPIRED), ON(GONE, wait, EXPIRED),
                              ON(CLOSE, close, CLOSED)},
        [SRT_NODE_CLOSED] = {ON(CLOSE, none, CLOSED)},
};

const char *srt_node_state_name(enum srt_node_state state)
{
    static const char *const names[] = {
#define X(name) #name,
        SRT_NODE_STATES(X)
#undef X
    };

    return names[state];
}

void srt_machine_feed(struct srt_engine *engine, struct srt_node *node,
                      enum srt_node_event event)
{
    const struct machine_rule *rule = &machine_table[node->state][event];

    if (rule->act == NULL)
        return;
    node->state = rule->next;
    rule->act(engine, node);
    srt_node_schedule(engine, node);
}

static void machine_none(struct srt_engine *engine, struct srt_node *node)
{
    (void)engine;
    (void)node;
}

static void machine_drop_task(struct srt_engine *engine, struct srt_node *node)
{
    srt_task_free(engine, node->task);
    node->task = NULL;
    node->asked_login = 0;
    node->starved = 0;
}

static void machine_begin(struct srt_engine *engine, struct srt_node *node)
{
    node->acquiring = 1;
    node->begun_ms = engine->now_ms;
    node->retry_at_ms = SRT_NEVER;
    srt_node_acquire(engine, node);
}

static void machine_again(struct srt_engine *engine, struct srt_node *node)
{
    machine_drop_task(engine, node);
    machine_begin(engine, node);
}

static void machine_operate(struct srt_engine *engine, struct srt_node *node,
                            enum srt_op op)
{
    struct srt_lease *lease = node->current;
    int rc;

    machine_drop_task(engine, node);
    rc = srt_task_new(&node->task, engine, node, lease, op);
    if (rc == 0) {
        node->task->asked_ms = lease->first_ms == SRT_NEVER ? 0 : lease->first_ms;
        srt_task_queue(engine, node->task,
                       op == SRT_OP_CHECK && node->plan.login /* others wait for it */
                           ? engine->now_ms
                           : srt_lease_end(lease, NULL));
        return;
    }
    srt_node_blame(
        node, rc == SECRETRT_ERR_NOMEM ? SRT_CLASS_NOMEM : SRT_CLASS_UNAVAILABLE,
        rc == SECRETRT_ERR_NOMEM ? "out of memory" : "no login to renew with");
    srt_machine_feed(engine, node, SRT_EVENT_TRANSIENT);
}

static void machine_renew(struct srt_engine *engine, struct srt_node *node)
{
    machine_operate(engine, node, SRT_OP_RENEW);
}

static void machine_check(struct srt_engine *engine, struct srt_node *node)
{
    machine_operate(engine, node, SRT_OP_CHECK);
}

static void machine_success(struct srt_node *node)
{
    node->failure.failure_class = SRT_CLASS_NONE;
    node->attempts = 0;
    node->relogged = 0;
    node->retry_at_ms = SRT_NEVER;
    node->degraded_told = 0;
    node->expiring_told = 0;
}

static void machine_adopt(struct srt_engine *engine, struct srt_node *node)
{
    node->acquiring = 0;
    node->rejected = 0;
    machine_success(node);
    srt_node_adopt(engine, node);
}

static void machine_extended(struct srt_engine *engine, struct srt_node *node)
{
    machine_success(node);
    srt_lease_plan(engine, node->current);
    srt_node_extended(engine, node);
}

static void machine_fixed(struct srt_engine *engine, struct srt_node *node)
{
    machine_success(node);
    node->current->grant.renewable = 0;
    srt_lease_restamp(engine, node->current);
    srt_lease_plan(engine, node->current);
    if (node->rejected)
        srt_machine_feed(engine, node, SRT_EVENT_REPLACE);
}

static int64_t machine_left_ms(const struct srt_engine *engine,
                               const struct srt_node *node)
{
    int64_t end = node->current != NULL ? srt_lease_end(node->current, NULL) : 0;

    if (node->current == NULL)
        return -1;
    return end == SRT_NEVER ? INT64_MAX / 2 : end - engine->now_ms;
}

/* What the store asked for, but never so long that the value ends meanwhile. */
static int64_t machine_told_ms(const struct srt_node *node, int64_t left_ms)
{
    enum srt_class failure = node->failure.failure_class;
    int64_t told = node->failure.retry_after_ms;

    if (failure != SRT_CLASS_THROTTLE && failure != SRT_CLASS_UNAVAILABLE)
        return -1;
    if (told > MACHINE_TOLD_CAP_MS)
        told = MACHINE_TOLD_CAP_MS;
    return left_ms >= 0 && told > left_ms / 2 ? left_ms / 2 : told;
}

static int64_t machine_wait_ms(struct srt_engine *engine, struct srt_node *node,
                               int slow)
{
    enum srt_class failure = node->failure.failure_class;
    double u = srt_engine_chance(engine);

    if (slow)
        return srt_slow_backoff_ms(
            node->attempts,
            failure == SRT_CLASS_LOGIN ? SRT_LOGIN_LEAST_MS : SRT_SLOW_LEAST_MS, u);
    if (failure == SRT_CLASS_CONSISTENCY && node->attempts < MACHINE_REPLICA_TRIES) {
        srt_node_refund(node);
        return MACHINE_REPLICA_LEAST_MS + (int64_t)(u * MACHINE_REPLICA_MS);
    }
    return srt_backoff_ms(node->attempts, node->life_ms, machine_left_ms(engine, node),
                          u);
}

static void machine_retry(struct srt_engine *engine, struct srt_node *node, int slow)
{
    int64_t wait = machine_wait_ms(engine, node, slow);
    int64_t told = machine_told_ms(node, machine_left_ms(engine, node));

    node->attempts++;
    node->acquiring = 0;
    node->retry_at_ms = engine->now_ms + (told > wait ? told : wait);
}

static void machine_degrade(struct srt_engine *engine, struct srt_node *node)
{
    machine_retry(engine, node, 0);
    srt_node_failed(engine, node);
}

static void machine_degrade_slow(struct srt_engine *engine, struct srt_node *node)
{
    machine_retry(engine, node, 1);
    srt_node_failed(engine, node);
}

/* It can't be told whether it is alive. Refused by the other side, it is replaced. */
static void machine_undecided(struct srt_engine *engine, struct srt_node *node)
{
    if (node->rejected)
        srt_machine_feed(engine, node, SRT_EVENT_REPLACE);
    else
        machine_degrade_slow(engine, node);
}

static void machine_wait(struct srt_engine *engine, struct srt_node *node)
{
    machine_degrade(engine, node);
}

static void machine_wait_slow(struct srt_engine *engine, struct srt_node *node)
{
    machine_degrade_slow(engine, node);
}

/* What it lost may have begun the next one already: a login is wanted by its leases. */
static void machine_go_on(struct srt_engine *engine, struct srt_node *node)
{
    if (node->acquiring)
        srt_node_acquire(engine, node);
    else
        machine_again(engine, node);
}

/* The store says that it is gone: nobody gets it any more. */
static void machine_lost(struct srt_engine *engine, struct srt_node *node)
{
    srt_node_lost(engine, node, 0);
    machine_go_on(engine, node);
}

/* Nothing serves from here on: the pace of tries begins anew. */
static void machine_expire(struct srt_engine *engine, struct srt_node *node)
{
    node->attempts = 0;
    srt_node_lost(engine, node, 1);
}

static void machine_expire_begin(struct srt_engine *engine, struct srt_node *node)
{
    machine_drop_task(engine, node);
    machine_expire(engine, node);
    machine_go_on(engine, node);
}

static void machine_confirmed(struct srt_engine *engine, struct srt_node *node)
{
    machine_success(node);
    node->checked_ms = engine->now_ms;
    srt_lease_plan(engine, node->current);
    srt_node_confirmed(engine, node);
}

static void machine_unchanged(struct srt_engine *engine, struct srt_node *node)
{
    node->acquiring = 0;
    machine_success(node);
    srt_lease_plan(engine, node->current);
    srt_node_unchanged(engine, node);
}

static void machine_close(struct srt_engine *engine, struct srt_node *node)
{
    struct srt_lease *lease = node->current;

    if (node->task != NULL && node->task->op != SRT_OP_FETCH)
        machine_drop_task(engine, node);
    if (node->task != NULL && !node->task->sent)
        machine_drop_task(engine, node);
    node->acquiring = 0;
    node->current = NULL;
    if (node->candidate != NULL) {
        srt_lease_retire(engine, node->candidate);
        node->candidate = NULL;
    }
    if (lease != NULL)
        srt_lease_retire(engine, lease);
}
