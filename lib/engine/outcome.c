/* What an operation of a node came to: granted, refused, lost; and who is told. */
#include "base/alloc.h"
#include "engine/graph.h"
#include <string.h>

#define OUTCOME_LOGIN_FRESH_MS 5000 /* a login's check is not repeated within */
#define OUTCOME_YOUNG_MS 30000      /* its store may not have spread it yet */
#define OUTCOME_SPREAD_MS 2000
#define OUTCOME_VERDICT_MS 10000 /* the first value is published without one then */

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

/* ---- the gate of a candidate ---- */

static void outcome_gate_open(struct srt_engine *engine, struct srt_lease *candidate)
{
    struct srt_node *node = candidate->node;

    node->candidate = NULL;
    if (node->state == SRT_NODE_CLOSED || candidate->refusal != 0) {
        srt_lease_retire(engine, candidate);
        if (node->state != SRT_NODE_CLOSED) {
            node->acquiring = 0;
            srt_machine_feed(engine, node, SRT_EVENT_FINAL);
        }
        return;
    }
    node->candidate = candidate;
    srt_machine_feed(engine, node, SRT_EVENT_GRANTED);
}

static void outcome_refuse(struct srt_lease *candidate, enum srt_class failure_class,
                           const struct secretrt_error *error)
{
    if (candidate->refusal != 0)
        return;
    candidate->refusal = error->status;
    srt_node_blame(candidate->node, failure_class, error->message);
    candidate->node->failure.error.status = error->status;
}

static int outcome_answer(struct srt_engine *engine, struct srt_ticket *ticket,
                          int status)
{
    struct srt_lease *candidate = ticket->lease;
    struct secretrt_error error;
    int verdict = ticket->verdict;

    srt_free(ticket);
    candidate->tickets--;
    if (status != 0) {
        srt_error_clear(&error);
        srt_fail(&error, status,
                 verdict ? "the new value was refused by its verification"
                         : "the access could not be recorded, and audit is required");
        outcome_refuse(candidate, SRT_CLASS_CONFIG, &error);
    }
    if (candidate->tickets == 0 && candidate->node->candidate == candidate)
        outcome_gate_open(engine, candidate);
    srt_lease_unref(engine, candidate);
    return 0;
}

void srt_engine_answered(struct srt_engine *engine, struct srt_ticket *ticket,
                         int status)
{
    srt_engine_look(engine);
    outcome_answer(engine, ticket, status);
}

static struct srt_ticket *outcome_ticket(struct srt_lease *candidate, int verdict)
{
    struct srt_ticket *ticket = srt_alloc(sizeof(*ticket));

    if (ticket == NULL)
        return NULL;
    ticket->lease = candidate;
    ticket->verdict = verdict;
    srt_lease_ref(candidate);
    candidate->tickets++;
    return ticket;
}

int srt_gate_record(struct srt_engine *engine, struct srt_lease *candidate,
                    const struct srt_record *record)
{
    struct srt_ticket *ticket = outcome_ticket(candidate, 0);
    int rc;

    if (ticket == NULL)
        return SECRETRT_ERR_NOMEM;
    rc = engine->listener->record(engine->listener->self, record, ticket);
    return rc == SRT_TICKET_LATER ? 0 : outcome_answer(engine, ticket, rc);
}

int srt_gate_verify(struct srt_engine *engine, struct srt_lease *candidate,
                    struct srt_secret *secret, struct secretrt_value *value)
{
    struct srt_ticket *ticket = outcome_ticket(candidate, 1);
    const struct srt_listener *listener = engine->listener;
    int rc;

    if (ticket == NULL)
        return SECRETRT_ERR_NOMEM;
    rc = listener->verify(listener->self, secret, value, ticket);
    return rc == SRT_TICKET_LATER ? 0 : outcome_answer(engine, ticket, rc);
}

/* A verdict that never comes does not stop publication: until the present value would
 * end, or for the first one until the fetch timeout. */
void srt_node_candidate_overdue(struct srt_engine *engine, struct srt_lease *candidate)
{
    struct srt_record record;

    if (candidate->node->candidate != candidate || candidate->tickets == 0)
        return;
    srt_record_lease(&record, engine, candidate->node, candidate, "secret.unverified");
    record.reason = "no verdict came in time";
    srt_record_node(engine, candidate->node, &record);
    srt_engine_log(engine, 4, "%s: published without a verdict",
                   candidate->node->ref.text);
    outcome_gate_open(engine, candidate);
}

static void outcome_offer(struct srt_engine *engine, struct srt_node *node,
                          struct srt_lease *candidate)
{
    struct srt_list *it, *tmp;
    struct srt_secret *secret;
    struct srt_record record;
    struct secretrt_error error;
    int64_t until = engine->now_ms + OUTCOME_VERDICT_MS;
    int served = 0, rc = 0;

    node->candidate = candidate;
    candidate->tickets = 1; /* ours, until all have been asked */
    SRT_EACH_SECRET_OF(engine, node, secret, it, tmp)
    {
        srt_error_clear(&error);
        served = 1;
        rc = srt_secret_candidate(engine, secret, candidate, &error);
        if (rc != 0)
            outcome_refuse(
                candidate,
                rc == SECRETRT_ERR_NOMEM ? SRT_CLASS_NOMEM : SRT_CLASS_CONFIG, &error);
    }
    if (!served) {
        srt_record_lease(&record, engine, node, candidate,
                         node->plan.login ? "auth.login" : "secret.refetch");
        if (srt_gate_record(engine, candidate, &record) != 0) {
            srt_error_clear(&error);
            srt_nomem(&error);
            outcome_refuse(candidate, SRT_CLASS_NOMEM, &error);
        }
    }
    if (node->current != NULL && srt_lease_end(node->current, NULL) != SRT_NEVER)
        until = srt_lease_end(node->current, NULL) - node->current->terms.budget_ms / 2;
    candidate->tickets--;
    if (candidate->tickets == 0 || candidate->refusal != 0)
        outcome_gate_open(engine, candidate);
    else
        srt_due_set(engine, &candidate->due, until);
}

/* ---- operations that ended ---- */

static void outcome_fetched(struct srt_engine *engine, struct srt_node *node,
                            struct srt_task *task)
{
    const struct srt_grant *grant = &task->x.grant;
    struct srt_lease *lease = NULL;

    if (node->current != NULL && !node->plan.login &&
        srt_buf_text(&grant->lease_id)[0] == '\0' && grant->ttl_ms < 0 &&
        srt_bundle_equal(grant->bundle, node->current->grant.bundle)) {
        node->current->requested_ms = task->started_ms;
        srt_machine_feed(engine, node, SRT_EVENT_SAME);
        return;
    }
    if (srt_lease_new(&lease, engine, task) != 0) {
        srt_node_blame(node, SRT_CLASS_NOMEM, "out of memory");
        node->acquiring = 0;
        srt_machine_feed(engine, node, SRT_EVENT_TRANSIENT);
        return;
    }
    node->life_ms = lease->terms.life_ms;
    if (node->state == SRT_NODE_CLOSED || node->wanted == 0)
        srt_lease_retire(engine, lease);
    else
        outcome_offer(engine, node, lease);
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

static void outcome_leak(struct srt_engine *engine, struct srt_node *node,
                         const struct srt_task *task)
{
    struct srt_record record;

    if (!task->minted || (task->transfer.reply.outcome == SRT_OUTCOME_ANSWERED &&
                          task->x.failure.failure_class != SRT_CLASS_PROTOCOL))
        return;
    srt_record_lease(&record, engine, node, NULL, "lease.leak_possible");
    srt_record_failure(&record, &task->x.failure);
    srt_record_node(engine, node, &record);
}

static void outcome_refused(struct srt_engine *engine, struct srt_node *node,
                            struct srt_task *task)
{
    enum srt_class failure_class = task->x.failure.failure_class;

    outcome_leak(engine, node, task);
    node->failure = task->x.failure;
    if (node->state == SRT_NODE_CLOSED)
        return;
    if (failure_class == SRT_CLASS_AUTH) {
        if (outcome_ask_login(engine, node, task))
            return;
        node->failure.failure_class = SRT_CLASS_DENIED;
    }
    if (task->op == SRT_OP_FETCH)
        node->acquiring = 0;
    srt_machine_feed(engine, node, srt_class_event(node->failure.failure_class));
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

/* Its leases end with it: they are made anew under the new login, spread out. */
static void outcome_move_children(struct srt_engine *engine, struct srt_node *login,
                                  const struct srt_lease *old)
{
    int64_t left = srt_lease_end(old, NULL);
    struct srt_list *it, *tmp;

    left = left == SRT_NEVER ? old->terms.lead_ms : left - engine->now_ms;
    if (left > old->terms.lead_ms)
        left = old->terms.lead_ms;
    SRT_LIST_EACH(it, tmp, &engine->nodes)
    {
        struct srt_node *node = SRT_CONTAINER(it, struct srt_node, link);
        int64_t at =
            engine->now_ms + (int64_t)(srt_engine_chance(engine) * (double)left / 2);

        for (size_t i = 0; i < node->plan.needs; i++) {
            if (node->need[i] != login || node->current == NULL ||
                node->current->owner[i] != old)
                continue;
            if (node->current->rotate_at_ms > at)
                node->current->rotate_at_ms = at;
            srt_lease_restamp(engine, node->current);
            srt_node_schedule(engine, node);
        }
    }
}

static void outcome_restamp_children(struct srt_engine *engine,
                                     const struct srt_node *login)
{
    struct srt_list *it, *tmp;

    if (!login->plan.login)
        return;
    SRT_LIST_EACH(it, tmp, &engine->nodes)
    {
        struct srt_node *node = SRT_CONTAINER(it, struct srt_node, link);

        for (size_t i = 0; i < node->plan.needs; i++)
            if (node->need[i] == login && node->current != NULL) {
                srt_lease_restamp(engine, node->current);
                srt_node_schedule(engine, node);
            }
    }
}

void srt_node_adopt(struct srt_engine *engine, struct srt_node *node)
{
    struct srt_lease *old = node->current;
    struct srt_list *it, *tmp;
    struct srt_secret *secret;

    node->current = node->candidate;
    node->candidate = NULL;
    node->current->state = SRT_LEASE_LIVE;
    node->store->leases++;
    srt_due_set(engine, &node->current->due, SRT_NEVER);
    srt_lease_plan(engine, node->current);
    SRT_EACH_SECRET_OF(engine, node, secret, it, tmp)
    srt_secret_publish(engine, secret, node);
    if (old != NULL) {
        srt_lease_retire(engine, old);
        if (node->plan.login)
            outcome_move_children(engine, node, old);
    }
    srt_node_wake(engine, node);
    if (node->plan.login)
        srt_node_login_answer(engine, node, SRT_LOGIN_LOST);
}

void srt_node_extended(struct srt_engine *engine, struct srt_node *node)
{
    struct srt_record record;

    srt_record_lease(&record, engine, node, node->current,
                     node->plan.login ? "auth.renew" : "lease.renew");
    srt_record_node(engine, node, &record);
    outcome_restamp_children(engine, node);
    if (node->plan.login)
        srt_node_login_answer(engine, node, SRT_LOGIN_ALIVE);
}

void srt_node_lost(struct srt_engine *engine, struct srt_node *node, int expired)
{
    struct srt_lease *lease = node->current;
    struct srt_list *it, *tmp;
    struct srt_secret *secret;
    struct srt_record record;

    srt_record_lease(&record, engine, node, lease,
                     expired ? "lease.expire" : "lease.lost");
    record.outcome = "failure";
    if (!expired)
        record.reason = "the store says that it is gone";
    srt_record_node(engine, node, &record);
    node->current = NULL;
    lease->gone = 1;
    srt_life_set(lease->life, engine->now_ms, engine->now_ms, engine->wall_ms);
    SRT_EACH_SECRET_OF(engine, node, secret, it, tmp)
    srt_secret_lost(engine, secret, node, expired);
    SRT_LIST_EACH(it, tmp, &engine->nodes)
    {
        struct srt_node *child = SRT_CONTAINER(it, struct srt_node, link);

        for (size_t i = 0; node->plan.login && i < child->plan.needs; i++)
            if (child->current != NULL && child->current->owner[i] == lease)
                srt_machine_feed(engine, child, SRT_EVENT_GONE);
    }
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
    srt_record_lease(&record, engine, node, node->current, event);
    srt_record_failure(&record, &node->failure);
    srt_record_node(engine, node, &record);
    SRT_EACH_SECRET_OF(engine, node, secret, it, tmp)
    srt_secret_failed(engine, secret, node);
    node->degraded_told = 1;
    outcome_restamp_children(engine, node);
    srt_node_wake(engine, node);
    if (node->plan.login)
        srt_node_login_answer(engine, node, SRT_LOGIN_UNKNOWN);
}

void srt_node_confirmed(struct srt_engine *engine, struct srt_node *node)
{
    struct srt_list *it, *tmp;
    struct srt_secret *secret;
    struct srt_lease *lease = node->current;
    int64_t spread = lease->terms.life_ms / 10;

    if (node->plan.login) {
        srt_node_login_answer(engine, node, SRT_LOGIN_ALIVE);
        return;
    }
    srt_node_wake(engine, node);
    if (node->rejected == 1 &&
        engine->now_ms - lease->requested_ms < OUTCOME_YOUNG_MS) {
        node->rejected = 2; /* once: it may not have spread yet */
        lease->rotate_at_ms =
            engine->now_ms + (spread < OUTCOME_SPREAD_MS ? spread : OUTCOME_SPREAD_MS);
        srt_node_schedule(engine, node);
    } else if (node->rejected && node->plan.mints && lease->grant.revocable) {
        srt_machine_feed(engine, node, SRT_EVENT_REPLACE);
    } else {
        SRT_EACH_SECRET_OF(engine, node, secret, it, tmp)
        if (secret->active >= 0 && secret->source[secret->active].node == node)
            srt_secret_settle(
                engine, secret,
                node->rejected ? SRT_SETTLED_UNCHANGED : SRT_SETTLED_CONFIRMED, NULL);
        node->rejected = 0;
    }
}

void srt_node_reject(struct srt_engine *engine, struct srt_node *node)
{
    if (node->rejected || node->current == NULL)
        return;
    node->rejected = 1;
    if (node->provider->check != NULL && node->current->grant.revocable)
        srt_machine_feed(engine, node, SRT_EVENT_SUSPECTED);
    else
        srt_machine_feed(engine, node, SRT_EVENT_REPLACE);
}

/* Those whose operation was refused with 401 or 403 learn what it meant. */
void srt_node_login_answer(struct srt_engine *engine, struct srt_node *login,
                           enum srt_login_answer answer)
{
    struct srt_list *it, *tmp;

    SRT_LIST_EACH(it, tmp, &engine->nodes)
    {
        struct srt_node *node = SRT_CONTAINER(it, struct srt_node, link);
        enum srt_op op = node->asked_login;
        int mine = 0;

        for (size_t i = 0; i < node->plan.needs; i++)
            mine = mine || node->need[i] == login;
        if (!mine || op == 0)
            continue;
        node->asked_login = 0;
        if (answer == SRT_LOGIN_LOST && op == SRT_OP_FETCH) {
            node->relogged = 1;
            srt_node_acquire(engine, node);
            continue;
        }
        if (op == SRT_OP_FETCH)
            node->acquiring = 0;
        if (answer == SRT_LOGIN_UNKNOWN)
            node->failure.failure_class = SRT_CLASS_UNAVAILABLE;
        else
            node->failure.failure_class =
                answer == SRT_LOGIN_LOST ? SRT_CLASS_GONE : SRT_CLASS_DENIED;
        srt_machine_feed(engine, node, srt_class_event(node->failure.failure_class));
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
