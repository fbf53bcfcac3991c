/* A lease: one product of a node. When it ends and why, when it is renewed, replaced or
 * asked for again, and how it is given back once it was replaced. */
#include "base/alloc.h"
#include "engine/graph.h"
#include <string.h>

#define LEASE_CROWD 50
#define LEASE_REVOKE_TRIES 3
#define LEASE_LAST_BREATH_MS 1000
#define LEASE_RENEW_GAP_MS 1000
#define LEASE_DRAIN_MS 30000  /* for values without an end of their own */
#define LEASE_ROTATED_MS 2000 /* a rotation is looked for within, after its time */
#define LEASE_SAME_CAP_MS 30000
#define LEASE_SAME_MAX 6 /* then the store's new time is believed */

static void lease_fire(struct srt_engine *engine, struct srt_due *due);

static int64_t lease_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t lease_own_end(const struct srt_lease *lease)
{
    return lease_min(lease->not_after_ms, lease->max_end_ms);
}

/* That of the login it dies with. */
static int64_t lease_login_end(const struct srt_lease *lease)
{
    int64_t end = SRT_NEVER;

    for (size_t i = 0; i < SRT_NEEDS_MAX; i++) {
        const struct srt_lease *owner = lease->owner[i];

        if (owner == NULL)
            continue;
        end = lease_min(end, owner->max_end_ms);
        if (!owner->grant.renewable || owner->state != SRT_LEASE_LIVE ||
            owner->node->state == SRT_NODE_DEGRADED)
            end = lease_min(end, owner->not_after_ms);
    }
    return end;
}

int64_t srt_lease_end(const struct srt_lease *lease, const char **limited_by)
{
    int64_t own = lease_own_end(lease), login = lease_login_end(lease);
    const char *by = own == SRT_NEVER ? "" : "lease";

    if (lease->grant.not_after_wall_ms != 0 && lease->grant.ttl_ms < 0)
        by = "certificate";
    if (limited_by != NULL)
        *limited_by = login < own ? "login" : by;
    return lease_min(own, login);
}

void srt_lease_restamp(struct srt_engine *engine, struct srt_lease *lease)
{
    srt_life_set(lease->life, srt_lease_end(lease, NULL), engine->now_ms,
                 engine->wall_ms);
}

/* Counts from before the request was sent; the server cuts to whole seconds. */
static void lease_granted(struct srt_engine *engine, struct srt_lease *lease,
                          const struct srt_task *task)
{
    const struct srt_grant *grant = &task->x.grant;

    lease->requested_ms = task->started_ms;
    lease->same = 0;
    lease->granted_ms = SRT_NEVER;
    if (grant->ttl_ms >= 0)
        lease->granted_ms = grant->ttl_ms;
    else if (lease->grant.not_after_wall_ms != 0)
        lease->granted_ms = lease->grant.not_after_wall_ms - engine->wall_ms +
                            (engine->now_ms - task->started_ms);
    lease->not_after_ms = SRT_NEVER;
    if (lease->granted_ms != SRT_NEVER)
        lease->not_after_ms =
            task->started_ms + lease->granted_ms - srt_margin_ms(lease->granted_ms);
}

/* What has a lease at the store dies with the login that made it; a value that is only
 * kept there does not. Then it takes over the task's reference and count. */
static void lease_take_owners(struct srt_lease *lease, struct srt_task *task)
{
    int dies = srt_buf_text(&lease->grant.lease_id)[0] != '\0';

    lease->weakest_tier = lease->grant.tier;
    for (size_t i = 0; i < SRT_NEEDS_MAX; i++) {
        struct srt_lease *owner = task->owner[i];

        if (owner == NULL)
            continue;
        if (owner->weakest_tier > lease->weakest_tier)
            lease->weakest_tier = owner->weakest_tier;
        if (!dies || !owner->node->plan.login)
            continue;
        lease->owner[i] = owner;
        task->owner[i] = NULL;
    }
}

int srt_lease_new(struct srt_lease **out, struct srt_engine *engine,
                  struct srt_task *task)
{
    struct srt_lease *lease = srt_alloc(sizeof(*lease));
    struct srt_node *node = task->node;
    int64_t login_end, life = 0;

    *out = NULL;
    if (lease == NULL)
        return SECRETRT_ERR_NOMEM;
    lease->life = srt_life_new();
    if (lease->life == NULL || srt_due_init(engine, &lease->due, lease_fire) != 0) {
        srt_life_unref(lease->life);
        srt_free(lease);
        return SECRETRT_ERR_NOMEM;
    }
    srt_list_init(&lease->link);
    lease->node = node;
    lease->refs = 1;
    lease->state = SRT_LEASE_CANDIDATE;
    lease->generation = ++node->generation;
    lease->grant = task->x.grant;
    memset(&task->x.grant, 0, sizeof(task->x.grant));
    task->x.grant.ttl_ms = lease->grant.ttl_ms;
    lease->max_end_ms = SRT_NEVER;
    lease->drain_by_ms = SRT_NEVER;
    lease_granted(engine, lease, task);
    lease->issued_ms = task->started_ms;
    lease->first_ms = lease->granted_ms;
    lease_take_owners(lease, task);
    login_end = lease_login_end(lease);
    if (srt_lease_end(lease, NULL) != SRT_NEVER)
        life = login_end == SRT_NEVER
                   ? lease->granted_ms
                   : lease_min(lease->granted_ms, login_end - task->started_ms);
    srt_terms_set(&lease->terms, life, node->overlap_ms);
    srt_lease_restamp(engine, lease);
    *out = lease;
    return 0;
}

void srt_lease_ref(struct srt_lease *lease)
{
    lease->refs++;
}

void srt_lease_unref(struct srt_engine *engine, struct srt_lease *lease)
{
    if (lease == NULL || --lease->refs > 0)
        return;
    srt_due_wipe(engine, &lease->due);
    srt_grant_wipe(&lease->grant);
    srt_life_unref(lease->life);
    srt_free(lease);
}

/* The store still holds it. One that was to rotate by now is looked for again, soon. */
void srt_lease_reread(struct srt_lease *lease, const struct srt_task *task)
{
    int64_t due = lease->requested_ms + lease->grant.refresh_ms;
    int looking = lease->same > 0 && lease->same < LEASE_SAME_MAX;

    lease->same = looking || task->started_ms >= due ? lease->same + 1 : 0;
    if (lease->same > LEASE_SAME_MAX)
        lease->same = 1;
    lease->requested_ms = task->started_ms;
    lease->grant.refresh_ms = task->x.grant.refresh_ms;
}

int srt_lease_extend(struct srt_engine *engine, struct srt_lease *lease,
                     const struct srt_task *task)
{
    int64_t granted = task->x.grant.ttl_ms;
    int short_of =
        granted >= 0 && granted < task->asked_ms - srt_tolerance_ms(task->asked_ms);

    lease_granted(engine, lease, task);
    lease->renewals++;
    srt_text_copy(lease->grant.request_id, sizeof(lease->grant.request_id),
                  task->x.grant.request_id); /* the audit joins on the latest */
    if (short_of)
        lease->max_end_ms = lease->not_after_ms;
    srt_lease_restamp(engine, lease);
    return short_of;
}

/* ---- its times ---- */

/* A login's successor must be there before all that hangs on it is made anew. */
static int64_t lease_lead_ms(const struct srt_lease *lease)
{
    if (lease->child_lead_ms == 0)
        return lease->terms.lead_ms;
    return srt_login_lead_ms(lease->child_lead_ms, lease->dependents,
                             lease->terms.life_ms);
}

void srt_lease_weigh(struct srt_engine *engine, const struct srt_lease *lease)
{
    for (size_t i = 0; i < SRT_NEEDS_MAX; i++) {
        struct srt_lease *owner = lease->owner[i];

        if (owner == NULL || owner->state != SRT_LEASE_LIVE)
            continue;
        if (owner->child_lead_ms < lease->terms.lead_ms)
            owner->child_lead_ms = lease->terms.lead_ms;
        if (owner->rotate_at_ms == SRT_NEVER)
            continue;
        owner->rotate_at_ms = lease_own_end(owner) -
                              srt_rotate_before_ms(lease_lead_ms(owner), owner->chance);
        srt_node_schedule(engine, owner->node);
    }
}

/* A value that is kept in its store: asked for again. */
static void lease_plan_refresh(struct srt_lease *lease)
{
    const struct srt_node *node = lease->node;
    int64_t told =
        lease->grant.refresh_ms != 0 ? lease->grant.refresh_ms : node->plan.refresh_ms;
    int64_t every = node->refresh_ms != 0 ? node->refresh_ms : told;
    int64_t wait = LEASE_ROTATED_MS / 2;

    if (every <= 0)
        return;
    lease->refresh_at_ms = lease->requested_ms + every - every / 10 +
                           (int64_t)(lease->chance * (double)every / 5);
    if (!lease->grant.rotates)
        return;
    if (lease->same > 0 && lease->same < LEASE_SAME_MAX)
        told = lease_min(wait << (lease->same - 1), LEASE_SAME_CAP_MS);
    told += lease->requested_ms + (int64_t)(lease->chance * LEASE_ROTATED_MS);
    if (node->refresh_ms == 0 || told < lease->refresh_at_ms)
        lease->refresh_at_ms = told;
}

/* A lease whose login was replaced dies with the old one, and a renewal does not save
 * it: it is made anew under the new one, all of them spread out. */
static void lease_plan_move(const struct srt_engine *engine, struct srt_lease *lease)
{
    for (size_t i = 0; i < SRT_NEEDS_MAX; i++) {
        const struct srt_lease *owner = lease->owner[i];
        int64_t left;

        if (owner == NULL || owner->node->current == owner ||
            owner->node->current == NULL)
            continue;
        left = srt_lease_end(owner, NULL);
        left = left == SRT_NEVER
                   ? lease_lead_ms(owner)
                   : lease_min(left - engine->now_ms, lease_lead_ms(owner));
        if (left < 0)
            left = 0;
        lease->rotate_at_ms =
            lease_min(lease->rotate_at_ms,
                      engine->now_ms + (int64_t)(lease->chance * (double)left / 2));
    }
}

static void lease_plan_renew(struct srt_engine *engine, struct srt_lease *lease)
{
    const struct srt_node *node = lease->node;
    int64_t gap = lease_min(LEASE_RENEW_GAP_MS, lease->granted_ms / 5);
    int crowd = lease->renewals == 0 && node->store->leases > LEASE_CROWD;

    lease->renew_at_ms =
        lease->requested_ms +
        srt_renew_after_ms(&lease->terms, lease->granted_ms, crowd, lease->chance);
    if (lease->renew_at_ms < engine->now_ms + gap)
        lease->renew_at_ms = engine->now_ms + gap;
}

/* An exchange that costs nothing is repeated at 70 to 80 % of what is left of it. */
static void lease_plan_repeat(struct srt_engine *engine, struct srt_lease *lease)
{
    int64_t left = lease_own_end(lease) - lease->requested_ms;

    lease->rotate_at_ms =
        lease->requested_ms + (int64_t)((double)left * (0.70 + 0.10 * lease->chance));
    if (lease->rotate_at_ms < engine->now_ms + LEASE_RENEW_GAP_MS && lease->same > 0)
        lease->rotate_at_ms = engine->now_ms + LEASE_RENEW_GAP_MS;
    lease_plan_refresh(lease);
}

static void lease_plan_check(struct srt_engine *engine, struct srt_lease *lease)
{
    const struct srt_node *node = lease->node;
    int64_t every =
        node->config != NULL ? srt_store_number(node->config, "verify_interval") : 0;

    if (every > 0 && node->provider->check != NULL && lease->grant.revocable)
        lease->check_at_ms = engine->now_ms + every - every / 10 +
                             (int64_t)(lease->chance * (double)every / 5);
}

void srt_lease_plan(struct srt_engine *engine, struct srt_lease *lease)
{
    const struct srt_node *node = lease->node;
    int64_t end = lease_own_end(lease);

    lease->chance = srt_engine_chance(engine);
    lease->renew_at_ms = lease->rotate_at_ms = SRT_NEVER;
    lease->refresh_at_ms = lease->check_at_ms = SRT_NEVER;
    if (end == SRT_NEVER)
        lease_plan_refresh(lease);
    else if (lease->grant.renewable && node->provider->renew != NULL &&
             lease->max_end_ms == SRT_NEVER)
        lease_plan_renew(engine, lease);
    else if (!node->plan.mints && !node->plan.login)
        lease_plan_repeat(engine, lease);
    else
        lease->rotate_at_ms =
            end - srt_rotate_before_ms(lease_lead_ms(lease), lease->chance);
    lease_plan_check(engine, lease);
    lease_plan_move(engine, lease);
}

/* ---- giving back ---- */

static int lease_op(struct srt_engine *engine, struct srt_lease *lease, enum srt_op op,
                    int64_t asked_ms)
{
    int rc = srt_task_new(&lease->task, engine, lease->node, lease, op);

    if (rc == 0) {
        lease->task->asked_ms = asked_ms;
        /* Nobody waits for it: what keeps a value alive goes first. */
        srt_task_queue(engine, lease->task, srt_lease_end(lease, NULL));
    }
    return rc;
}

/* 1: the login that it was made with will take it along when that is given back. */
static int lease_is_swept(const struct srt_lease *lease)
{
    for (size_t i = 0; i < SRT_NEEDS_MAX; i++) {
        const struct srt_lease *owner = lease->owner[i];

        if (owner != NULL && owner->grant.sweeps && owner->grant.revocable &&
            owner->state == SRT_LEASE_DRAINING && !owner->left)
            return 1;
    }
    return 0;
}

static void lease_tell(struct srt_engine *engine, struct srt_lease *lease,
                       const char *event, const struct srt_failure *failure)
{
    struct srt_record record;

    srt_record_lease(&record, engine, lease->node, lease, event);
    if (failure != NULL)
        srt_record_failure(&record, failure);
    srt_record_node(engine, lease->node, lease, &record);
}

void srt_lease_dead(struct srt_engine *engine, struct srt_lease *lease)
{
    struct srt_list *it, *tmp;
    struct srt_secret *secret;

    if (lease->state == SRT_LEASE_DEAD)
        return;
    if (lease->state != SRT_LEASE_CANDIDATE && lease->node->store->leases > 0)
        lease->node->store->leases--;
    lease->state = SRT_LEASE_DEAD;
    srt_due_set(engine, &lease->due, SRT_NEVER);
    SRT_EACH_SECRET_OF(lease->node, secret, it, tmp)
    for (size_t i = 0; i < SRT_PAST_MAX; i++)
        if (secret->past[i].lease == lease) {
            uint64_t generation = secret->past[i].generation;

            secret->past[i].lease = NULL;
            srt_lease_unref(engine, lease);
            srt_secret_drained_notice(engine, secret, generation);
        }
    for (size_t i = 0; i < SRT_NEEDS_MAX; i++) {
        struct srt_lease *owner = lease->owner[i];

        lease->owner[i] = NULL;
        if (owner == NULL)
            continue;
        owner->dependents--;
        if (owner->dependents == 0 && owner->state == SRT_LEASE_DRAINING)
            srt_due_set(engine, &owner->due, engine->now_ms);
        srt_lease_unref(engine, owner);
    }
    srt_list_remove(&lease->link);
    engine->reap = 1;
    srt_lease_unref(engine, lease);
}

int64_t srt_lease_drain_by(const struct srt_engine *engine,
                           const struct srt_lease *lease)
{
    int64_t end = srt_lease_end(lease, NULL);
    int64_t overlap = end == SRT_NEVER ? LEASE_DRAIN_MS : lease->terms.overlap_ms;

    if (lease->state == SRT_LEASE_DRAINING)
        return lease->drain_by_ms;
    if (lease->state != SRT_LEASE_LIVE || lease->node->plan.login ||
        lease->node->state == SRT_NODE_CLOSED || lease->gone)
        overlap = 0;
    return lease_min(engine->now_ms + overlap, end);
}

/* Its login goes on without being revoked, since that would take it along. */
static void lease_leave(struct srt_lease *lease)
{
    lease->left = 1;
    for (size_t i = 0; i < SRT_NEEDS_MAX; i++)
        if (lease->owner[i] != NULL)
            lease->owner[i]->left = 1;
}

/* Replaced: it lives on for those who hold it until drain_by, but is shortened at the
 * store at once, so that it dies then even if we do. A login waits for its leases. */
void srt_lease_retire(struct srt_engine *engine, struct srt_lease *lease)
{
    int64_t overlap;

    lease->drain_by_ms = srt_lease_drain_by(engine, lease);
    overlap = lease->drain_by_ms - engine->now_ms;
    if (lease->state != SRT_LEASE_LIVE) /* a candidate that nobody holds */
        lease->node->store->leases++;
    lease->state = SRT_LEASE_DRAINING;
    srt_list_append(&lease->node->retired, &lease->link);
    if (!lease->node->plan.login)
        atomic_store_explicit(&lease->life->drain_by_ms, lease->drain_by_ms,
                              memory_order_release);
    if (lease->node->leave_lease &&
        (engine->closing || lease->node->wanted == 0)) /* not one that was replaced */
        lease_leave(lease);
    if (overlap > 0 && lease->grant.revocable && lease->grant.renewable &&
        !lease->left && lease->not_after_ms > lease->drain_by_ms)
        (void)lease_op(engine, lease, SRT_OP_SHORTEN,
                       overlap); /* else revoked in time */
    srt_due_set(engine, &lease->due, lease->drain_by_ms);
}

void srt_lease_drain_now(struct srt_engine *engine, struct srt_lease *lease)
{
    if (lease->state != SRT_LEASE_DRAINING || lease->drain_by_ms <= engine->now_ms)
        return;
    lease->drain_by_ms = engine->now_ms;
    atomic_store_explicit(&lease->life->drain_by_ms, lease->drain_by_ms,
                          memory_order_release);
    srt_due_set(engine, &lease->due, engine->now_ms);
}

static void lease_fire(struct srt_engine *engine, struct srt_due *due)
{
    struct srt_lease *lease = SRT_CONTAINER(due, struct srt_lease, due);

    if (lease->state == SRT_LEASE_CANDIDATE) {
        srt_gate_overdue(engine, lease);
        return;
    }
    if (lease->state != SRT_LEASE_DRAINING || lease->dependents > 0)
        return;
    if (lease->task != NULL) { /* shortening has had its time */
        srt_task_free(engine, lease->task);
        lease->task = NULL;
    }
    if (lease->gone || lease->left || !lease->grant.revocable ||
        lease->node->provider->revoke == NULL || lease_is_swept(lease)) {
        srt_lease_dead(engine, lease);
    } else if (lease_op(engine, lease, SRT_OP_REVOKE, 0) != 0) {
        lease_tell(engine, lease, "lease.leak_possible", NULL);
        engine->unreturned++;
        srt_lease_dead(engine, lease);
    }
}

/* The default policy lets a token shorten its leases, not revoke them. */
static int lease_last_breath(struct srt_engine *engine, struct srt_lease *lease,
                             const struct srt_task *task)
{
    enum srt_class failure = task->x.failure.failure_class;

    if (task->op != SRT_OP_REVOKE || lease->last_breath || !lease->grant.renewable ||
        lease->node->plan.login ||
        (failure != SRT_CLASS_AUTH && failure != SRT_CLASS_DENIED) ||
        lease_op(engine, lease, SRT_OP_SHORTEN, LEASE_LAST_BREATH_MS) != 0)
        return 0;
    lease->last_breath = 1;
    return 1;
}

void srt_lease_task_done(struct srt_engine *engine, struct srt_task *task)
{
    struct srt_lease *lease = task->lease;
    enum srt_class failure = task->x.failure.failure_class;
    int failed = task->result == SRT_FAIL;

    lease->task = NULL;
    if (failed && failure == SRT_CLASS_GONE)
        lease->gone = 1;
    if (task->op == SRT_OP_SHORTEN && !lease->last_breath)
        return; /* its drain goes on, shortened or not */
    if (!failed || lease->gone) {
        lease_tell(engine, lease,
                   lease->node->plan.login ? "auth.revoke" : "lease.revoke", NULL);
        srt_lease_dead(engine, lease);
    } else if (lease_last_breath(engine, lease, task)) {
        return;
    } else if (++lease->attempts < LEASE_REVOKE_TRIES && failure != SRT_CLASS_AUTH) {
        srt_due_set(engine, &lease->due,
                    engine->now_ms + srt_backoff_ms(lease->attempts,
                                                    lease->terms.life_ms, -1,
                                                    srt_engine_chance(engine)));
    } else {
        lease_tell(engine, lease, "lease.leak_possible", &task->x.failure);
        engine->unreturned++;
        srt_lease_dead(engine, lease);
    }
}
