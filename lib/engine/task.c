/* One operation of a provider on its way: credentials, steps, transfers, redirects. */
#include "base/alloc.h"
#include "engine/graph.h"
#include <string.h>

#define TASK_TIMEOUT_MS 10000
#define TASK_TIMEOUT_LEAST_MS 1000
#define TASK_HOPS_MAX 1

static void task_done(struct srt_transfer *transfer);

/* The login in force, or the one that made the lease: renewing under a newer login
 * works, and the old one may be gone. What is no login is needed for fetching only. */
static int task_credentials(struct srt_engine *engine, struct srt_task *task)
{
    const struct srt_node *node = task->node;

    for (size_t i = 0; i < node->plan.needs; i++) {
        struct srt_lease *owner = node->need[i]->current;

        if (owner == NULL || !srt_node_live(engine, node->need[i]))
            owner = task->lease != NULL ? task->lease->owner[i] : NULL;
        if ((owner == NULL || owner->gone) && task->op != SRT_OP_FETCH &&
            !node->need[i]->plan.login)
            continue;
        if (owner == NULL || owner->gone)
            return SECRETRT_ERR_UNAVAILABLE;
        srt_lease_ref(owner);
        owner->dependents++;
        task->owner[i] = owner;
        task->x.credential[i] = owner->grant.bundle;
    }
    return 0;
}

int srt_task_new(struct srt_task **out, struct srt_engine *engine,
                 struct srt_node *node, struct srt_lease *lease, enum srt_op op)
{
    struct srt_store *store = node->store;
    struct srt_task *task = srt_alloc(sizeof(*task));
    int rc = SECRETRT_ERR_NOMEM;

    *out = NULL;
    if (task == NULL)
        return rc;
    task->engine = engine;
    task->node = node;
    task->op = op;
    task->place.at_ms = SRT_NEVER;
    if (lease != NULL) {
        srt_lease_ref(lease);
        task->lease = lease;
        task->x.lease_id = srt_buf_text(&lease->grant.lease_id);
        task->x.current = lease->grant.bundle;
    }
    task->x.ref = &node->ref;
    task->x.store = node->config;
    task->x.traceparent = "";
    task->x.address = "";
    task->transfer.owner = task;
    task->transfer.done = task_done;
    if (srt_heap_reserve(&store->queue, store->tasks + 1) != 0)
        goto done;
    store->tasks++;
    rc = task_credentials(engine, task);
    if (rc == 0) {
        *out = task;
        return 0;
    }
    store->tasks--;
done:
    store->tasks++; /* srt_task_free gives the place back */
    srt_task_free(engine, task);
    return rc;
}

void srt_task_free(struct srt_engine *engine, struct srt_task *task)
{
    if (task == NULL)
        return;
    if (task->transfer.io != NULL)
        engine->env->abort(engine->env->self, &task->transfer);
    srt_store_forget(engine, task->node->store, task);
    task->node->store->tasks--;
    srt_request_wipe(&task->transfer.request);
    srt_reply_wipe(&task->transfer.reply);
    srt_exchange_wipe(&task->x);
    for (size_t i = 0; i < SRT_NEEDS_MAX; i++) {
        struct srt_lease *owner = task->owner[i];

        if (owner == NULL)
            continue;
        owner->dependents--;
        if (owner->dependents == 0 && owner->state == SRT_LEASE_DRAINING)
            srt_due_set(engine, &owner->due, engine->now_ms);
        srt_lease_unref(engine, owner);
    }
    srt_lease_unref(engine, task->lease);
    srt_free(task);
}

void srt_task_queue(struct srt_engine *engine, struct srt_task *task,
                    int64_t urgency_ms)
{
    task->place.at_ms = urgency_ms == SRT_NEVER ? SRT_NEVER - 1 : urgency_ms;
    srt_store_queue(engine, task->node->store, task);
}

static enum srt_step task_provider_step(struct srt_task *task)
{
    const struct srt_provider *provider = task->node->provider;

    switch (task->op) {
    case SRT_OP_RENEW:
    case SRT_OP_SHORTEN:
        return provider->renew(&task->x);
    case SRT_OP_CHECK:
        return provider->check(&task->x);
    case SRT_OP_REVOKE:
        return provider->revoke(&task->x);
    case SRT_OP_FETCH:
    default:
        return provider->fetch(&task->x);
    }
}

static void task_finish(struct srt_engine *engine, struct srt_task *task,
                        enum srt_step result)
{
    task->result = result;
    srt_store_done(engine, task->node->store, task);
    if (task->op == SRT_OP_SHORTEN || task->op == SRT_OP_REVOKE)
        srt_lease_task_done(engine, task);
    else
        srt_node_task_done(engine, task);
    srt_task_free(engine, task);
}

/* Not longer than the value that waits for it lives, so that there is time to try
 * again. */
static uint32_t task_timeout_ms(const struct srt_engine *engine,
                                const struct srt_task *task)
{
    int64_t left;
    int64_t timeout = TASK_TIMEOUT_MS;

    if (task->lease != NULL && task->op != SRT_OP_REVOKE) {
        left = srt_lease_end(task->lease, NULL);
        left = left == SRT_NEVER ? TASK_TIMEOUT_MS * 2 : left - engine->now_ms;
        if (left / 2 < timeout)
            timeout = left / 2;
    }
    return (uint32_t)(timeout < TASK_TIMEOUT_LEAST_MS ? TASK_TIMEOUT_LEAST_MS
                                                      : timeout);
}

static int task_send(struct srt_engine *engine, struct srt_task *task)
{
    struct srt_request *request = &task->transfer.request;

    srt_request_wipe(request);
    srt_reply_wipe(&task->transfer.reply);
    *request = task->x.request;
    memset(&task->x.request, 0, sizeof(task->x.request));
    if (request->kind == SRT_REQUEST_HTTP && srt_buf_text(&request->target)[0] == '/')
        srt_buf_text_add(&request->base, srt_store_address(task->node->store));
    if (request->target.status != 0 || request->base.status != 0 ||
        request->headers.status != 0 || request->secret_header.status != 0 ||
        request->body.status != 0)
        return SECRETRT_ERR_NOMEM;
    request->timeout_ms = task_timeout_ms(engine, task);
    task->started_ms = engine->now_ms;
    return engine->env->send(engine->env->self, &task->transfer);
}

static void task_advance(struct srt_engine *engine, struct srt_task *task)
{
    enum srt_step result = task_provider_step(task);
    int rc;

    if (result != SRT_SEND) {
        task_finish(engine, task, result);
        return;
    }
    task->x.step++;
    task->x.reply = &task->transfer.reply;
    rc = task_send(engine, task);
    if (rc != 0) {
        srt_step_fail(
            &task->x,
            rc == SECRETRT_ERR_NOMEM ? SRT_CLASS_NOMEM : SRT_CLASS_UNAVAILABLE,
            rc == SECRETRT_ERR_NOMEM ? "out of memory" : "can't send a request now");
        task_finish(engine, task, SRT_FAIL);
    }
}

void srt_task_start(struct srt_engine *engine, struct srt_task *task)
{
    task->x.step = 0;
    task->x.reply = NULL;
    task->x.increment_ms = task->asked_ms;
    task->x.grant.ttl_ms = -1;
    task->x.wall_ms = engine->wall_ms;
    task->started_ms = engine->now_ms;
    engine->env->random(engine->env->self, task->x.random, sizeof(task->x.random));
    task_advance(engine, task);
}

/* A 307 is followed once, and only to an address that the configuration names: the
 * token goes nowhere else. */
static int task_redirected(struct srt_task *task)
{
    struct srt_store *store = task->node->store;
    const char *location = srt_buf_text(&task->transfer.reply.location);
    size_t n = 0;
    const char *const *address;

    if (task->transfer.reply.outcome != SRT_OUTCOME_ANSWERED ||
        task->transfer.reply.status != 307 || task->hops >= TASK_HOPS_MAX ||
        store->config == NULL)
        return 0;
    address = srt_store_list(store->config, "address", &n);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(address[i]);

        while (len > 0 && address[i][len - 1] == '/')
            len--;
        if (strncmp(location, address[i], len) == 0 && location[len] == '/') {
            store->address = task->address = i;
            task->hops++;
            return 1;
        }
    }
    return 0;
}

static void task_done(struct srt_transfer *transfer)
{
    struct srt_task *task = transfer->owner;
    struct srt_engine *engine = task->engine;

    srt_engine_look(engine);
    task->x.wall_ms = engine->wall_ms;
    task->x.address = srt_buf_text(&transfer->request.base);
    if (transfer->reply.sent && transfer->request.kind == SRT_REQUEST_HTTP)
        task->minted = task->op == SRT_OP_FETCH && task->node->plan.mints;
    if (task_redirected(task)) {
        task->minted = 0;
        srt_exchange_wipe(&task->x);
        srt_task_start(engine, task);
        return;
    }
    task_advance(engine, task);
}
