/* The engine's turn: what is due, what may go, when to come again. */
#include "engine/engine.h"
#include "base/alloc.h"
#include "engine/graph.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ENGINE_DRIFT_MS 50  /* stamps of the wall clock may be so far off */
#define ENGINE_JUMP_MS 5000 /* the clocks moved apart: suspended, or set */
#define ENGINE_LOG_LEN 320

int srt_engine_new(struct srt_engine **out, const struct srt_config *config,
                   const struct srt_env *env, const struct srt_listener *listener)
{
    struct srt_engine *engine = srt_alloc(sizeof(*engine));

    *out = NULL;
    if (engine == NULL)
        return SECRETRT_ERR_NOMEM;
    engine->config = config;
    engine->env = env;
    engine->listener = listener;
    srt_heap_init(&engine->heap);
    srt_list_init(&engine->stores);
    srt_list_init(&engine->nodes);
    srt_list_init(&engine->secrets);
    srt_engine_look(engine);
    engine->apart_ms = engine->wall_ms - engine->now_ms;
    *out = engine;
    return 0;
}

static int engine_free_a_leaf(struct srt_engine *engine)
{
    struct srt_list *it, *tmp;

    SRT_LIST_EACH(it, tmp, &engine->nodes)
    {
        struct srt_node *node = SRT_CONTAINER(it, struct srt_node, link);

        if (node->users == 0) {
            srt_node_free(engine, node);
            return 1;
        }
    }
    return 0;
}

void srt_engine_free(struct srt_engine *engine)
{
    if (engine == NULL)
        return;
    while (!srt_list_empty(&engine->secrets))
        srt_secret_close(engine,
                         SRT_CONTAINER(engine->secrets.next, struct srt_secret, link));
    while (engine_free_a_leaf(engine))
        ;
    while (!srt_list_empty(&engine->stores))
        srt_store_free(engine,
                       SRT_CONTAINER(engine->stores.next, struct srt_store, link));
    srt_heap_wipe(&engine->heap);
    srt_free(engine);
}

/* ---- a forked child's ---- */

static int64_t engine_mute_clock(void *self)
{
    (void)self;
    return 0;
}

static void engine_mute_random(void *self, void *out, size_t len)
{
    (void)self;
    memset(out, 0, len);
}

static void engine_mute_abort(void *self, struct srt_transfer *transfer)
{
    (void)self;
    (void)transfer;
}

static void engine_mute_notice(void *self, struct srt_secret *secret,
                               const struct srt_notice *notice)
{
    (void)self;
    (void)secret;
    (void)notice;
}

static int engine_mute_record(void *self, const struct srt_record *record,
                              struct srt_ticket *ticket)
{
    (void)self;
    (void)record;
    (void)ticket;
    return 0;
}

void srt_engine_mute(struct srt_engine *engine)
{
    static const struct srt_listener mute = {.notice = engine_mute_notice,
                                             .record = engine_mute_record};
    static const struct srt_env nowhere = {.boot_ms = engine_mute_clock,
                                           .wall_ms = engine_mute_clock,
                                           .random = engine_mute_random,
                                           .abort = engine_mute_abort};

    if (engine == NULL)
        return;
    engine->env = &nowhere;
    engine->listener = &mute;
}

void srt_engine_look(struct srt_engine *engine)
{
    engine->now_ms = engine->env->boot_ms(engine->env->self);
    engine->wall_ms = engine->env->wall_ms(engine->env->self);
}

double srt_engine_chance(struct srt_engine *engine)
{
    uint32_t bits = 0;

    engine->env->random(engine->env->self, &bits, sizeof(bits));
    return (double)bits / 4294967296.0;
}

void srt_engine_log(struct srt_engine *engine, int level, const char *format, ...)
{
    char line[ENGINE_LOG_LEN];
    va_list args;

    if (engine->listener->log == NULL)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    engine->listener->log(engine->listener->self, level, line);
}

/* ---- deadlines ---- */

int srt_due_init(struct srt_engine *engine, struct srt_due *due,
                 void (*fire)(struct srt_engine *, struct srt_due *))
{
    if (srt_heap_reserve(&engine->heap, engine->timers + 1) != 0)
        return SECRETRT_ERR_NOMEM;
    engine->timers++;
    due->timer.at_ms = SRT_NEVER;
    due->timer.slot = 0;
    due->fire = fire;
    return 0;
}

void srt_due_set(struct srt_engine *engine, struct srt_due *due, int64_t at_ms)
{
    srt_heap_set(&engine->heap, &due->timer, at_ms);
}

void srt_due_wipe(struct srt_engine *engine, struct srt_due *due)
{
    if (due->fire == NULL)
        return;
    srt_heap_set(&engine->heap, &due->timer, SRT_NEVER);
    engine->timers--;
    due->fire = NULL;
}

/* ---- the turn ---- */

static void engine_suspect(struct srt_engine *engine)
{
    struct srt_list *it, *tmp;

    SRT_LIST_EACH(it, tmp, &engine->nodes)
    {
        struct srt_node *node = SRT_CONTAINER(it, struct srt_node, link);

        if (node->current != NULL && node->provider->check != NULL &&
            (node->current->grant.revocable || node->plan.login))
            srt_machine_feed(engine, node, SRT_EVENT_SUSPECTED);
    }
}

/* The boot clock counts suspension, the wall clock may be set: where they moved apart,
 * stamps are made anew, and after a leap forward leases are checked. */
static void engine_notice_jump(struct srt_engine *engine)
{
    int64_t leap = engine->wall_ms - engine->now_ms - engine->apart_ms;
    struct srt_list *it, *tmp;

    if (leap <= ENGINE_DRIFT_MS && leap >= -ENGINE_DRIFT_MS)
        return;
    engine->apart_ms += leap;
    SRT_LIST_EACH(it, tmp, &engine->nodes)
    {
        struct srt_node *node = SRT_CONTAINER(it, struct srt_node, link);

        if (node->current != NULL)
            srt_lease_restamp(engine, node->current);
    }
    if (leap > ENGINE_JUMP_MS) {
        srt_engine_log(engine, 6, "the wall clock leapt by %lld s: leases are checked",
                       (long long)(leap / 1000));
        engine_suspect(engine);
    }
}

static int engine_node_is_idle(const struct srt_node *node)
{
    return node->users == 0 && node->task == NULL && node->current == NULL &&
           node->candidate == NULL && srt_list_empty(&node->retired);
}

static void engine_reap(struct srt_engine *engine)
{
    struct srt_list *it, *tmp;

    engine->reap = 0;
    SRT_LIST_EACH(it, tmp, &engine->nodes)
    {
        struct srt_node *node = SRT_CONTAINER(it, struct srt_node, link);

        if (engine_node_is_idle(node)) {
            srt_node_free(engine, node);
            engine->reap = 1; /* what it needed may be idle now: next turn */
        }
    }
}

static int engine_fire_one(struct srt_engine *engine)
{
    struct srt_timer *timer = srt_heap_first(&engine->heap);
    struct srt_due *due;

    if (timer == NULL || timer->at_ms > engine->now_ms)
        return 0;
    due = SRT_CONTAINER(timer, struct srt_due, timer);
    srt_heap_set(&engine->heap, timer, SRT_NEVER);
    due->fire(engine, due);
    return 1;
}

int64_t srt_engine_step(struct srt_engine *engine)
{
    struct srt_list *it, *tmp;
    struct srt_timer *first;

    srt_engine_look(engine);
    engine_notice_jump(engine);
    do {
        while (engine_fire_one(engine))
            ;
        SRT_LIST_EACH(it, tmp, &engine->stores)
        srt_store_pump(engine, SRT_CONTAINER(it, struct srt_store, link));
        first = srt_heap_first(&engine->heap);
    } while (first != NULL && first->at_ms <= engine->now_ms);
    while (engine->reap)
        engine_reap(engine);
    srt_epoch_collect();
    first = srt_heap_first(&engine->heap);
    return first != NULL ? first->at_ms : SRT_NEVER;
}

/* ---- closing ---- */

/* Logins first, so that each lease finds that its login's end will take it along. */
void srt_engine_close(struct srt_engine *engine)
{
    struct srt_list *it, *tmp;

    if (engine->closing)
        return;
    srt_engine_look(engine);
    engine->closing = 1;
    SRT_LIST_EACH(it, tmp, &engine->secrets)
    {
        struct srt_secret *secret = SRT_CONTAINER(it, struct srt_secret, link);

        srt_cell_publish(secret->cell, NULL);
        srt_secret_summarise(engine, secret);
        srt_due_set(engine, &secret->due, SRT_NEVER);
    }
    for (int logins = 1; logins >= 0; logins--)
        SRT_LIST_EACH(it, tmp, &engine->nodes)
        {
            struct srt_node *node = SRT_CONTAINER(it, struct srt_node, link);
            struct srt_list *lease, *next;

            if (node->plan.login != logins)
                continue;
            srt_machine_feed(engine, node, SRT_EVENT_CLOSE);
            SRT_LIST_EACH(lease, next, &node->retired)
            srt_lease_drain_now(engine, SRT_CONTAINER(lease, struct srt_lease, link));
        }
}

int srt_engine_closed(const struct srt_engine *engine, unsigned *unreturned)
{
    struct srt_list *it, *tmp;

    *unreturned = engine->unreturned;
    SRT_LIST_EACH(it, tmp, &engine->nodes)
    {
        const struct srt_node *node = SRT_CONTAINER(it, struct srt_node, link);

        if (node->task != NULL || !srt_list_empty(&node->retired))
            return 0;
    }
    return engine->closing;
}

/* ---- survey ---- */

void srt_engine_survey(struct srt_engine *engine, srt_status_fn *each, void *data)
{
    struct srt_list *it, *tmp;

    srt_engine_look(engine);
    SRT_LIST_EACH(it, tmp, &engine->secrets)
    {
        const struct srt_secret *secret = SRT_CONTAINER(it, struct srt_secret, link);
        const struct srt_source *source =
            &secret->source[secret->active >= 0 ? secret->active : 0];
        const struct srt_lease *lease = secret->active >= 0 ? secret->published : NULL;
        struct srt_status status = {.name = secret->spec->name,
                                    .source = source->node->ref.text,
                                    .state = srt_node_state_name(source->node->state),
                                    .generation = secret->generation};

        status.reads = srt_slot_total(secret->cell->slot, 0) +
                       srt_slot_total(secret->cell->slot, 1);
        if (lease != NULL) {
            int64_t end = srt_lease_end(lease, NULL);

            status.tier = lease->grant.tier;
            status.weakest_tier = lease->weakest_tier;
            status.renewals = lease->renewals;
            status.left_ms = end == SRT_NEVER ? INT64_MAX : end - engine->now_ms;
        }
        each(&status, data);
    }
}
