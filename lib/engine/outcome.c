/* What an operation of a node came to: granted, refused, lost; and who is told. */
#include "base/alloc.h"
#include "engine/graph.h"
#include <string.h>

#define OUTCOME_LOGIN_FRESH_MS 5000 /* a login's check is not repeated within */
#define OUTCOME_YOUNG_MS 30000      /* its store may not have spread it yet */
#define OUTCOME_SPREAD_MS 2000
#define OUTCOME_KEPT_LIFE_MS                                                           \
    8000 /* what is read anew is paced as if it lived so long */
#define OUTCOME_KEPT_FRESH_MS 2000 /* read so lately: it is what the store holds */

enum srt_node_event srt_class_event(enum srt_class failure_class)
{
    switch (failure_class) {
    case SRT_CLASS_GONE:
        return SRT_EVENT_GONE;
    case SRT_CLASS_NOT_RENEWABLE:
        return SRT_EVENT_FIXED;
    case SRT_CLASS_BACKEND:
    case SRT_CLASS_THROTTLE:
    case SRT_CLASS_CONSISTENCY:
    case SRT_CLASS_UNAVAILABLE:
    case SRT_CLASS_SERVER:
    case SRT_CLASS_PROTOCOL:
    case SRT_CLASS_NOMEM:
    case SRT_CLASS_NONE:
        return SRT_EVENT_TRANSIENT;
    case SRT_CLASS_AUTH:
    case SRT_CLASS_DENIED:
    case SRT_CLASS_LOGIN:
    case SRT_CLASS_NOT_FOUND:
    case SRT_CLASS_CONFIG:
    case SRT_CLASS_ABSENT:
    case SRT_CLASS_INTEGRITY:
    case SRT_CLASS_SECURITY:
    case SRT_CLASS_COUNT:
    default:
        return SRT_EVENT_FINAL;
    }
}

int srt_class_final(enum srt_class failure_class)
{
    return srt_class_event(failure_class) == SRT_EVENT_FINAL ||
           failure_class == SRT_CLASS_PROTOCOL;
}

/* ---- operations that ended ---- */

/* An answer that was lost may have made something that nobody will give back. */
static void outcome_leak(struct srt_engine *engine, struct srt_node *node,
                         const struct srt_task *task, const struct srt_failure *failure)
{
    struct srt_record record;

    if (!task->minted || (task->transfer.reply.outcome == SRT_OUTCOME_ANSWERED &&
                          failure->failure_class != SRT_CLASS_PROTOCOL &&
                          failure->failure_class != SRT_CLASS_NOMEM))
        return;
    srt_record_lease(&record, engine, node, NULL, "lease.leak_possible");
    srt_record_failure(&record, failure);
    srt_record_node(engine, node, NULL, &record);
}

/* 1: the store still holds what is live. When it will change is learnt anew. */
static int outcome_is_same(struct srt_node *node, const struct srt_task *task)
{
    const struct srt_grant *grant = &task->x.grant;
    struct srt_lease *lease = node->current;

    if (lease == NULL || node->plan.login ||
        srt_buf_text(&grant->lease_id)[0] != '\0' || grant->ttl_ms >= 0 ||
        !srt_bundle_equal(grant->bundle, lease->grant.bundle))
        return 0;
    srt_lease_reread(lease, task);
    return 1;
}

static void outcome_fetched(struct srt_engine *engine, struct srt_node *node,
                            struct srt_task *task)
{
    struct srt_lease *lease = NULL;

    if (outcome_is_same(node, task)) {
        srt_machine_feed(engine, node, SRT_EVENT_SAME);
        return;
    }
    if (srt_lease_new(&lease, engine, task) != 0) {
        srt_node_blame(node, SRT_CLASS_NOMEM, "out of memory");
        outcome_leak(engine, node, task, &node->failure);
        node->acquiring = 0;
        srt_machine_feed(engine, node, SRT_EVENT_TRANSIENT);
        return;
    }
    node->life_ms =
        lease->terms.life_ms != 0 ? lease->terms.life_ms : OUTCOME_KEPT_LIFE_MS;
    if (node->state != SRT_NODE_CLOSED && node->wanted > 0) {
        srt_gate_offer(engine, node, lease);
        return;
    }
    srt_lease_retire(engine, lease); /* nobody wants it any more */
    node->acquiring = 0;
    if (node->state != SRT_NODE_CLOSED)
        node->state = SRT_NODE_INIT;
}

static void outcome_checked(struct srt_engine *engine, struct srt_node *node,
                            const struct srt_task *task)
{
    struct srt_lease *lease = node->current;
    int64_t ttl = task->x.grant.ttl_ms;
    int64_t end = task->started_ms + ttl - srt_margin_ms(ttl);

    if (ttl >= 0 && end < lease->not_after_ms) {
        lease->not_after_ms = end;
        srt_lease_restamp(engine, lease);
    }
    srt_machine_feed(engine, node, SRT_EVENT_ALIVE);
}

/* 401 and 403 have two meanings: ask the login which. 1: it was asked. */
static int outcome_ask_login(struct srt_engine *engine, struct srt_node *node,
                             const struct srt_task *task)
{
    struct srt_node *login = NULL;
    struct srt_lease *used = NULL;

    for (size_t i = 0; i < node->plan.needs; i++)
        if (node->need[i]->plan.login) {
            login = node->need[i];
            used = task->owner[i];
        }
    if (login == NULL || login->provider->check == NULL || node->relogged)
        return 0;
    if (login->current == used &&
        engine->now_ms - login->checked_ms < OUTCOME_LOGIN_FRESH_MS)
        return 0;
    node->asked_login = task->op;
    if (login->current != used)
        srt_node_login_answer(engine, login, SRT_LOGIN_LOST);
    else
        srt_machine_feed(engine, login, SRT_EVENT_SUSPECTED);
    return 1;
}

/* Only a renewal may find that its lease can't be renewed, or is gone. */
static enum srt_node_event outcome_event(enum srt_op op, enum srt_class failure_class)
{
    enum srt_node_event event = srt_class_event(failure_class);

    if ((op != SRT_OP_RENEW && event == SRT_EVENT_FIXED) ||
        (op == SRT_OP_FETCH && event == SRT_EVENT_GONE))
        return SRT_EVENT_TRANSIENT;
    return event;
}

static void outcome_refused(struct srt_engine *engine, struct srt_node *node,
                            struct srt_task *task)
{
    outcome_leak(engine, node, task, &task->x.failure);
    node->failure = task->x.failure;
    if (node->state == SRT_NODE_CLOSED)
        return;
    if (node->failure.failure_class == SRT_CLASS_AUTH) {
        if (outcome_ask_login(engine, node, task))
            return;
        node->failure.failure_class = SRT_CLASS_DENIED;
    }
    if (task->op == SRT_OP_FETCH)
        node->acquiring = 0;
    srt_machine_feed(engine, node,
                     outcome_event(task->op, node->failure.failure_class));
}

void srt_node_task_done(struct srt_engine *engine, struct srt_task *task)
{
    struct srt_node *node = task->node;

    node->task = NULL;
    if (task->result == SRT_FAIL)
        outcome_refused(engine, node, task);
    else if (task->op == SRT_OP_FETCH)
        outcome_fetched(engine, node, task);
    else if (node->state == SRT_NODE_CLOSED)
        return;
    else if (task->op == SRT_OP_RENEW)
        srt_machine_feed(engine, node,
                         srt_lease_extend(engine, node->current, task)
                             ? SRT_EVENT_TRUNCATED
                             : SRT_EVENT_RENEWED);
    else
        outcome_checked(engine, node, task);
    srt_node_schedule(engine, node);
}

/* ---- what follows ---- */

/* The leases that were made with a login end with it. */
static void outcome_move_children(struct srt_engine *engine, struct srt_node *login,
                                  const struct srt_lease *old)
{
    struct srt_list *it, *tmp;
    struct srt_edge *edge;

    SRT_EACH_CHILD_OF(login, edge, it, tmp)
    {
        struct srt_lease *lease = edge->child->current;

        if (lease == NULL || lease->owner[edge->at] != old)
            continue;
        srt_lease_plan(engine, lease);
        srt_lease_restamp(engine, lease);
        srt_node_schedule(engine, edge->child);
    }
}

static void outcome_restamp_children(struct srt_engine *engine, struct srt_node *login)
{
    struct srt_list *it, *tmp;
    struct srt_edge *edge;

    SRT_EACH_CHILD_OF(login, edge, it, tmp)
    if (edge->child->current != NULL) {
        srt_lease_restamp(engine, edge->child->current);
        srt_node_schedule(engine, edge->child);
    }
}

/* Its leases will end with it: who holds their values is told, once. */
static void outcome_warn_children(struct srt_engine *engine, struct srt_node *login)
{
    struct srt_list *it, *tmp, *at, *next;
    struct srt_edge *edge;
    struct srt_secret *secret;

    SRT_EACH_CHILD_OF(login, edge, it, tmp)
    {
        struct srt_node *node = edge->child;

        if (login->current == NULL || node->current == NULL || node->degraded_told ||
            node->current->owner[edge->at] != login->current)
            continue;
        node->degraded_told = 1;
        SRT_EACH_SECRET_OF(node, secret, at, next)
        if (srt_secret_is_on(secret, node))
            srt_secret_notice(
                engine, secret, SECRETRT_EVENT_FAILED, login->failure.error.status,
                srt_lease_end(node->current, NULL), login->failure.error.message);
    }
}

/* Told anew when it fails anew. */
static void outcome_calm_children(struct srt_node *login)
{
    struct srt_list *it, *tmp;
    struct srt_edge *edge;

    SRT_EACH_CHILD_OF(login, edge, it, tmp)
    if (edge->child->failure.failure_class == SRT_CLASS_NONE)
        edge->child->degraded_told = 0;
}

/* Those that passed the gate with it get it; others ask on their own. */
static void outcome_publish(struct srt_engine *engine, struct srt_node *node)
{
    struct srt_list *it, *tmp;

    SRT_LIST_EACH(it, tmp, &node->sources)
    {
        struct srt_source *source = SRT_CONTAINER(it, struct srt_source, link);

        if (source->admitted == node->current->generation)
            srt_secret_publish(engine, source->secret, node);
        else
            srt_sources_consider(engine, source->secret);
    }
}

void srt_node_adopt(struct srt_engine *engine, struct srt_node *node)
{
    struct srt_lease *old = node->current;

    node->current = node->candidate;
    node->candidate = NULL;
    node->current->state = SRT_LEASE_LIVE;
    node->store->leases++;
    srt_due_set(engine, &node->current->due, SRT_NEVER);
    srt_lease_plan(engine, node->current);
    srt_lease_weigh(engine, node->current);
    outcome_publish(engine, node);
    if (old != NULL) {
        srt_lease_retire(engine, old);
        if (node->plan.login)
            outcome_move_children(engine, node, old);
    }
    srt_node_wake(engine, node);
    if (node->plan.login)
        srt_node_login_answer(engine, node, SRT_LOGIN_LOST);
}

void srt_node_lost(struct srt_engine *engine, struct srt_node *node, int expired)
{
    struct srt_lease *lease = node->current;
    struct srt_list *it, *tmp;
    struct srt_secret *secret;
    struct srt_edge *edge;
    struct srt_record record;

    srt_record_lease(&record, engine, node, lease,
                     expired ? "lease.expire" : "lease.lost");
    record.outcome = "failure";
    if (!expired)
        record.reason = "the store says that it is gone";
    srt_record_node(engine, node, lease, &record);
    node->current = NULL;
    lease->gone = 1;
    srt_life_set(lease->life, engine->now_ms, engine->now_ms, engine->wall_ms);
    SRT_EACH_SECRET_OF(node, secret, it, tmp)
    srt_secret_lost(engine, secret, node, expired);
    SRT_EACH_CHILD_OF(node, edge, it, tmp)
    if (edge->child->current != NULL && edge->child->current->owner[edge->at] == lease)
        srt_machine_feed(engine, edge->child, expired ? SRT_EVENT_END : SRT_EVENT_GONE);
    srt_lease_dead(engine, lease);
}

void srt_node_failed(struct srt_engine *engine, struct srt_node *node)
{
    struct srt_list *it, *tmp;
    struct srt_secret *secret;
    struct srt_record record;
    const char *event = node->plan.login ? "auth.fail" : "lease.acquire";

    if (node->state == SRT_NODE_DEGRADED)
        event = node->plan.login ? "auth.fail" : "lease.renew_fail";
    node->failed_ms = engine->now_ms;
    if (!node->starved || !node->degraded_told) { /* else only its login failed again */
        srt_record_lease(&record, engine, node, node->current, event);
        srt_record_failure(&record, &node->failure);
        srt_record_node(engine, node, node->current, &record);
    }
    SRT_EACH_SECRET_OF(node, secret, it, tmp)
    srt_secret_failed(engine, secret, node);
    node->degraded_told = 1;
    srt_node_wake(engine, node);
    if (!node->plan.login)
        return;
    outcome_restamp_children(engine, node);
    outcome_warn_children(engine, node);
    srt_node_login_answer(engine, node, SRT_LOGIN_UNKNOWN);
}

static void outcome_settle(struct srt_engine *engine, struct srt_node *node,
                           enum srt_settled how)
{
    struct srt_list *it, *tmp;
    struct srt_secret *secret;

    node->rejected = 0;
    SRT_EACH_SECRET_OF(node, secret, it, tmp)
    if (srt_secret_is_on(secret, node))
        srt_secret_settle(engine, secret, how, NULL);
}

/* The application says that it is refused, the store that it is alive: one that is
 * young may not have spread yet, and gets a moment, once; else it is replaced. */
static void outcome_judge(struct srt_engine *engine, struct srt_node *node)
{
    struct srt_lease *lease = node->current;
    int64_t spread = lease->terms.life_ms / 10;

    if (node->rejected == 1 && engine->now_ms - lease->issued_ms < OUTCOME_YOUNG_MS) {
        node->rejected = 2;
        lease->rotate_at_ms =
            engine->now_ms + (spread < OUTCOME_SPREAD_MS ? spread : OUTCOME_SPREAD_MS);
        srt_node_schedule(engine, node);
    } else {
        srt_machine_feed(engine, node, SRT_EVENT_REPLACE);
    }
}

void srt_node_extended(struct srt_engine *engine, struct srt_node *node)
{
    struct srt_record record;

    srt_record_lease(&record, engine, node, node->current,
                     node->plan.login ? "auth.renew" : "lease.renew");
    srt_record_node(engine, node, node->current, &record);
    if (node->plan.login) {
        outcome_calm_children(node);
        outcome_restamp_children(engine, node);
        srt_node_login_answer(engine, node, SRT_LOGIN_ALIVE);
    } else if (node->rejected) {
        outcome_judge(engine, node);
    }
}

void srt_node_confirmed(struct srt_engine *engine, struct srt_node *node)
{
    if (node->plan.login)
        srt_node_login_answer(engine, node, SRT_LOGIN_ALIVE);
    else if (node->rejected)
        outcome_judge(engine, node);
    else
        outcome_settle(engine, node, SRT_SETTLED_CONFIRMED);
}

void srt_node_unchanged(struct srt_engine *engine, struct srt_node *node)
{
    srt_node_wake(engine, node);
    outcome_settle(engine, node, SRT_SETTLED_UNCHANGED);
}

/* Refused again before its successor's next try: that is not hastened, and whoever
 * waits learns why there is none. */
static void outcome_rejected_again(struct srt_engine *engine, struct srt_node *node)
{
    struct srt_list *it, *tmp;
    struct srt_secret *secret;

    if (node->task != NULL || node->candidate != NULL || node->acquiring ||
        node->asked_login != 0 || node->failure.failure_class == SRT_CLASS_NONE)
        return;
    SRT_EACH_SECRET_OF(node, secret, it, tmp)
    srt_secret_failed(engine, secret, node);
}

void srt_node_reject(struct srt_engine *engine, struct srt_node *node)
{
    const struct srt_lease *lease = node->current;

    if (lease == NULL)
        return;
    if (node->rejected) {
        outcome_rejected_again(engine, node);
        return;
    }
    node->rejected = 1;
    if (lease->grant.revocable && node->provider->check != NULL)
        srt_machine_feed(engine, node, SRT_EVENT_SUSPECTED);
    else if (lease->granted_ms == SRT_NEVER &&
             engine->now_ms - lease->requested_ms < OUTCOME_KEPT_FRESH_MS)
        outcome_settle(engine, node, SRT_SETTLED_UNCHANGED);
    else
        srt_machine_feed(engine, node, SRT_EVENT_REPLACE);
}

/* Those whose operation was refused with 401 or 403 learn what it meant. */
void srt_node_login_answer(struct srt_engine *engine, struct srt_node *login,
                           enum srt_login_answer answer)
{
    struct srt_list *it, *tmp;
    struct srt_edge *edge;

    SRT_EACH_CHILD_OF(login, edge, it, tmp)
    {
        struct srt_node *node = edge->child;
        enum srt_op op = node->asked_login;

        if (op == 0)
            continue;
        node->asked_login = 0;
        if (answer == SRT_LOGIN_LOST && op == SRT_OP_FETCH) {
            node->relogged = 1;
            srt_node_refund(node); /* nothing was made */
            srt_node_acquire(engine, node);
            continue;
        }
        if (op == SRT_OP_FETCH)
            node->acquiring = 0;
        node->failure.failure_class = SRT_CLASS_UNAVAILABLE;
        if (answer != SRT_LOGIN_UNKNOWN)
            node->failure.failure_class =
                answer == SRT_LOGIN_LOST ? SRT_CLASS_GONE : SRT_CLASS_DENIED;
        srt_machine_feed(engine, node, outcome_event(op, node->failure.failure_class));
    }
}

/* Nobody wants it any more. A login stays: others are made with it. */
void srt_node_give_back(struct srt_engine *engine, struct srt_node *node)
{
    struct srt_lease *lease = node->current;

    engine->reap = 1;
    if (node->task != NULL && !(node->task->op == SRT_OP_FETCH && node->task->sent)) {
        srt_task_free(engine, node->task);
        node->task = NULL;
    }
    node->acquiring = node->task != NULL;
    node->state = node->task != NULL ? SRT_NODE_ACQUIRING : SRT_NODE_INIT;
    node->retry_at_ms = SRT_NEVER;
    node->rejected = 0;
    node->asked_login = 0;
    node->current = NULL;
    if (node->candidate != NULL)
        srt_lease_retire(engine, node->candidate);
    node->candidate = NULL;
    if (lease != NULL)
        srt_lease_retire(engine, lease);
    srt_node_schedule(engine, node);
}
