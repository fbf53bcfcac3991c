/* A node: what one reference stands for, which credentials it needs, when it is due,
 * and when it may ask its store for something new. */
#include "base/alloc.h"
#include "engine/graph.h"
#include <string.h>

static void node_fire(struct srt_engine *engine, struct srt_due *due);

/* One key is one node: the store (or, for a login, the store it names) and the text. */
static int node_key(struct srt_buf *out, const struct srt_store_config *config,
                    const struct srt_ref *ref)
{
    srt_buf_init(out, 0);
    srt_buf_text_add(out, config != NULL ? config->name : "");
    srt_buf_char(out, '|');
    srt_buf_text_add(out, ref->text);
    return out->status;
}

/* FNV-1a. */
static uint64_t node_hash(const char *key)
{
    uint64_t hash = 14695981039346656037U;

    for (; *key != '\0'; key++)
        hash = (hash ^ (unsigned char)*key) * 1099511628211U;
    return hash;
}

static struct srt_node *node_find(const struct srt_engine *engine, const char *key,
                                  uint64_t hash)
{
    struct srt_list *it, *tmp;

    SRT_LIST_EACH(it, tmp, &engine->nodes)
    {
        struct srt_node *node = SRT_CONTAINER(it, struct srt_node, link);

        if (node->hash == hash && strcmp(node->key, key) == 0)
            return node;
    }
    return NULL;
}

static int node_fill(struct srt_node *node, struct srt_engine *engine,
                     struct secretrt_error *err)
{
    int rc = node->provider->plan(&node->plan, &node->ref, node->config, err);

    if (rc == 0)
        rc = srt_store_get(&node->store, engine, node->config);
    for (size_t i = 0; rc == 0 && i < node->plan.needs; i++)
        rc = srt_node_get(&node->need[i], engine, srt_buf_text(&node->plan.need[i].ref),
                          err);
    return rc;
}

static void node_join(struct srt_node *node)
{
    for (size_t i = 0; i < node->plan.needs; i++) {
        struct srt_edge *edge = &node->edge[i];

        edge->child = node;
        edge->at = i;
        srt_list_append(&node->need[i]->children, &edge->link);
        node->need[i]->users++;
    }
}

static void node_part(struct srt_node *node)
{
    if (!srt_list_linked(&node->link))
        return;
    for (size_t i = 0; i < node->plan.needs; i++) {
        srt_list_remove(&node->edge[i].link);
        node->need[i]->users--;
    }
}

int srt_node_get(struct srt_node **out, struct srt_engine *engine,
                 const char *reference, struct secretrt_error *err)
{
    struct srt_node *node = srt_alloc(sizeof(*node));
    struct srt_buf key;
    int rc = SECRETRT_ERR_NOMEM;

    *out = NULL;
    srt_buf_init(&key, 0);
    if (node == NULL)
        return srt_nomem(err);
    srt_list_init(&node->link);
    srt_list_init(&node->retired);
    srt_list_init(&node->children);
    srt_list_init(&node->sources);
    if (srt_due_init(engine, &node->due, node_fire) != 0)
        goto done;
    rc = srt_ref_parse(&node->ref, reference, err);
    if (rc == 0)
        rc = srt_config_scheme(engine->config, node->ref.scheme, &node->provider,
                               &node->config, err);
    if (rc == 0 && node->provider->internal)
        node->config = srt_config_store(engine->config, node->ref.path);
    if (rc == 0)
        rc = node_key(&key, node->config, &node->ref);
    if (rc != 0)
        goto done;
    node->hash = node_hash(srt_buf_text(&key));
    *out = node_find(engine, srt_buf_text(&key), node->hash);
    if (*out == NULL) {
        node->retry_at_ms = SRT_NEVER;
        node->acquired_ms = node->checked_ms = INT64_MIN / 2;
        node->tokens = SRT_ACQUIRE_BURST;
        node->key = srt_buf_take(&key);
        rc = node->key != NULL ? node_fill(node, engine, err) : SECRETRT_ERR_NOMEM;
        if (rc != 0)
            goto done;
        node_join(node);
        srt_list_append(&engine->nodes, &node->link);
        *out = node;
        node = NULL;
    }
done:
    if (rc == SECRETRT_ERR_NOMEM)
        srt_nomem(err);
    srt_buf_wipe(&key);
    srt_node_free(engine, node);
    return rc;
}

void srt_node_free(struct srt_engine *engine, struct srt_node *node)
{
    struct srt_list *it, *tmp;

    if (node == NULL)
        return;
    srt_task_free(engine, node->task);
    SRT_LIST_EACH(it, tmp, &node->retired)
    {
        struct srt_lease *lease = SRT_CONTAINER(it, struct srt_lease, link);

        srt_task_free(engine, lease->task);
        lease->task = NULL;
        srt_lease_dead(engine, lease);
    }
    if (node->current != NULL)
        srt_lease_dead(engine, node->current);
    if (node->candidate != NULL)
        srt_lease_dead(engine, node->candidate);
    node_part(node);
    srt_due_wipe(engine, &node->due);
    srt_list_remove(&node->link);
    srt_plan_wipe(&node->plan);
    srt_ref_wipe(&node->ref);
    srt_free(node->key);
    srt_free(node);
}

int srt_node_live(const struct srt_engine *engine, const struct srt_node *node)
{
    return node->current != NULL && !node->current->gone &&
           engine->now_ms < srt_lease_end(node->current, NULL);
}

void srt_node_want(struct srt_engine *engine, struct srt_node *node)
{
    node->wanted++;
    if (node->retry_at_ms == SRT_NEVER || node->retry_at_ms <= engine->now_ms)
        srt_machine_feed(engine, node, SRT_EVENT_WANT);
    srt_node_schedule(engine, node);
}

void srt_node_unwant(struct srt_engine *engine, struct srt_node *node)
{
    node->wanted--;
    if (node->wanted == 0)
        srt_node_give_back(engine, node);
}

void srt_node_release(struct srt_engine *engine, struct srt_node *node)
{
    node->users--;
    engine->reap = 1;
}

/* ---- when it is due ---- */

static int64_t node_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t node_expiring_ms(const struct srt_node *node, int64_t end)
{
    return end == SRT_NEVER ? SRT_NEVER : end - node->current->terms.lead_ms / 2;
}

static int node_waits_to_retry(const struct srt_node *node)
{
    return node->task == NULL && node->candidate == NULL && !node->acquiring &&
           node->asked_login == 0;
}

/* A replacement that was only asked for keeps failing: until the present one must be
 * replaced, it is renewed as ever. SRT_NEVER: there is nothing to renew. */
static int64_t node_renew_meanwhile_ms(const struct srt_engine *engine,
                                       const struct srt_node *node, int64_t end)
{
    const struct srt_lease *lease = node->current;

    if (node->state != SRT_NODE_ROTATING || !node_waits_to_retry(node) ||
        lease == NULL || node->rejected || lease->rotate_at_ms != SRT_NEVER ||
        lease->renew_at_ms == SRT_NEVER ||
        lease->renew_at_ms >= end - lease->terms.budget_ms ||
        engine->now_ms >= end - lease->terms.budget_ms)
        return SRT_NEVER;
    return lease->renew_at_ms;
}

void srt_node_schedule(struct srt_engine *engine, struct srt_node *node)
{
    const struct srt_lease *lease = node->current;
    int64_t at = SRT_NEVER, end = SRT_NEVER;

    if (lease != NULL) {
        end = srt_lease_end(lease, NULL);
        at = end;
        if (!node->expiring_told)
            at = node_min(at, node_expiring_ms(node, end));
    }
    if (node->acquiring && node->task == NULL && node->candidate == NULL)
        at = node_min(at, node->retry_at_ms);
    if (node->wanted > 0 && node_waits_to_retry(node))
        at = node_min(at, node->retry_at_ms);
    if (node->state == SRT_NODE_DEGRADED && end != SRT_NEVER)
        at = node_min(at, end - lease->terms.budget_ms);
    if (node->state == SRT_NODE_FRESH && lease != NULL) {
        at = node_min(at, node_min(lease->renew_at_ms, lease->rotate_at_ms));
        at = node_min(at, node_min(lease->refresh_at_ms, lease->check_at_ms));
    }
    at = node_min(at, node_renew_meanwhile_ms(engine, node, end));
    if (node->state == SRT_NODE_CLOSED)
        at = SRT_NEVER;
    srt_due_set(engine, &node->due, at);
}

static void node_fresh_due(struct srt_engine *engine, struct srt_node *node)
{
    const struct srt_lease *lease = node->current;

    if (engine->now_ms >= lease->rotate_at_ms)
        srt_machine_feed(engine, node, SRT_EVENT_ROTATE_DUE);
    else if (engine->now_ms >= lease->renew_at_ms)
        srt_machine_feed(engine, node, SRT_EVENT_RENEW_DUE);
    else if (engine->now_ms >= lease->refresh_at_ms)
        srt_machine_feed(engine, node, SRT_EVENT_REFRESH_DUE);
    else if (engine->now_ms >= lease->check_at_ms)
        srt_machine_feed(engine, node, SRT_EVENT_SUSPECTED);
}

static void node_expiring(struct srt_engine *engine, struct srt_node *node, int64_t end)
{
    struct srt_list *it, *tmp;
    struct srt_secret *secret;

    if (node->expiring_told || engine->now_ms < node_expiring_ms(node, end))
        return;
    node->expiring_told = 1;
    SRT_EACH_SECRET_OF(node, secret, it, tmp)
    if (srt_secret_is_on(secret, node))
        srt_secret_notice(engine, secret, SECRETRT_EVENT_EXPIRING,
                          node->failure.error.status, end, "no successor yet");
}

static void node_fire(struct srt_engine *engine, struct srt_due *due)
{
    struct srt_node *node = SRT_CONTAINER(due, struct srt_node, due);
    int64_t end =
        node->current != NULL ? srt_lease_end(node->current, NULL) : SRT_NEVER;

    if (engine->now_ms >= end) {
        srt_machine_feed(engine, node, SRT_EVENT_END);
    } else {
        if (end != SRT_NEVER)
            node_expiring(engine, node, end);
        if (node->acquiring && node->task == NULL && node->candidate == NULL)
            srt_node_acquire(engine, node);
        else if (node->state == SRT_NODE_FRESH)
            node_fresh_due(engine, node);
        else if (node->state == SRT_NODE_DEGRADED && end != SRT_NEVER &&
                 engine->now_ms >= end - node->current->terms.budget_ms)
            srt_machine_feed(engine, node, SRT_EVENT_LATE);
        else if (engine->now_ms >= node_renew_meanwhile_ms(engine, node, end))
            srt_machine_feed(engine, node, SRT_EVENT_RENEW_DUE);
        else if (node_waits_to_retry(node) && engine->now_ms >= node->retry_at_ms)
            srt_machine_feed(engine, node, SRT_EVENT_RETRY_DUE);
    }
    srt_node_schedule(engine, node);
}

/* ---- acquiring ---- */

void srt_node_blame(struct srt_node *node, enum srt_class failure_class,
                    const char *message)
{
    memset(&node->failure, 0, sizeof(node->failure));
    node->failure.failure_class = failure_class;
    node->failure.retry_after_ms = -1;
    srt_error_clear(&node->failure.error);
    srt_fail(&node->failure.error, srt_class_status(failure_class), "%s", message);
    srt_text_copy(node->failure.error.provider, sizeof(node->failure.error.provider),
                  node->provider->scheme);
}

/* 1: the credential is at hand. 0: it is waited for. Negative: it failed, as we do. */
static int node_needs(struct srt_engine *engine, struct srt_node *node, size_t i)
{
    struct srt_node *need = node->need[i];
    int busy;

    if (need->wanted == 0)
        srt_node_want(engine, need);
    if (srt_node_live(engine, need) &&
        (!node->plan.need[i].reread || need->current->requested_ms >= node->begun_ms))
        return 1;
    busy = need->task != NULL || need->candidate != NULL || need->acquiring;
    if (!busy && need->failure.failure_class != SRT_CLASS_NONE &&
        (need->failed_ms >= node->begun_ms || need->retry_at_ms > engine->now_ms)) {
        node->failure = need->failure;
        node->starved = 1;
        return -1;
    }
    if (!busy)
        srt_machine_feed(engine, need,
                         need->current != NULL ? SRT_EVENT_REPLACE : SRT_EVENT_WANT);
    return 0;
}

/* 1: the budget allows one more now; else retry_at_ms says when. */
static int node_budget(struct srt_engine *engine, struct srt_node *node)
{
    int64_t refill = srt_acquire_refill_ms(node->life_ms);
    int64_t gap_over = node->acquired_ms + srt_acquire_gap_ms(node->life_ms);

    if (!node->plan.mints && !node->plan.login)
        return 1;
    while (node->tokens < SRT_ACQUIRE_BURST &&
           engine->now_ms - node->refilled_ms >= refill) {
        node->tokens++;
        node->refilled_ms += refill;
    }
    if (node->tokens == SRT_ACQUIRE_BURST)
        node->refilled_ms = engine->now_ms;
    if (node->tokens == 0 && node->refilled_ms + refill > gap_over)
        gap_over = node->refilled_ms + refill;
    if (engine->now_ms < gap_over) {
        node->retry_at_ms = gap_over;
        return 0;
    }
    node->tokens--;
    node->acquired_ms = engine->now_ms;
    return 1;
}

void srt_node_refund(struct srt_node *node)
{
    node->acquired_ms = INT64_MIN / 2;
    if (node->tokens < SRT_ACQUIRE_BURST)
        node->tokens++;
}

/* A first value is awaited by somebody; a successor has until the present one ends. */
#define NODE_FIRST_URGENCY_MS 5000

void srt_node_acquire(struct srt_engine *engine, struct srt_node *node)
{
    int rc;

    if (!node->acquiring)
        return;
    node->retry_at_ms = SRT_NEVER; /* unless the budget says when */
    if (node->task != NULL || node->candidate != NULL ||
        node->asked_login != 0) /* what comes next is its login's answer */
        return;
    for (size_t i = 0; i < node->plan.needs; i++) {
        rc = node_needs(engine, node, i);
        if (rc < 0) {
            node->acquiring = 0;
            srt_machine_feed(engine, node,
                             srt_class_event(node->failure.failure_class));
        }
        if (rc <= 0)
            return;
    }
    if (!node_budget(engine, node)) {
        srt_node_schedule(engine, node);
        return;
    }
    node->starved = 0;
    rc = srt_task_new(&node->task, engine, node, NULL, SRT_OP_FETCH);
    if (rc != 0) {
        srt_node_blame(node, SRT_CLASS_NOMEM, "out of memory");
        node->acquiring = 0;
        srt_machine_feed(engine, node, SRT_EVENT_TRANSIENT);
        return;
    }
    srt_task_queue(engine, node->task,
                   node->current != NULL ? srt_lease_end(node->current, NULL)
                                         : engine->now_ms + NODE_FIRST_URGENCY_MS);
}

/* A credential is there, or failed: who waits for it goes on. */
void srt_node_wake(struct srt_engine *engine, struct srt_node *need)
{
    struct srt_list *it, *tmp;
    struct srt_edge *edge;

    SRT_EACH_CHILD_OF(need, edge, it, tmp)
    {
        struct srt_node *node = edge->child;

        if (node->starved && srt_node_live(engine, need)) {
            node->starved = 0;
            node->retry_at_ms = engine->now_ms;
            srt_node_schedule(engine, node);
        }
        srt_node_acquire(engine, node);
    }
}
