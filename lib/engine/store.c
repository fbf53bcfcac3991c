/* The health of a store: how many tasks may be on their way, which goes first, and when
 * none may: a breaker with one probe after failures in a row, a pause when throttled.
 * Its addresses take turns as they fail. */
#include "base/alloc.h"
#include "engine/graph.h"
#include <string.h>

#define STORE_IN_FLIGHT 4
#define STORE_LOCAL_IN_FLIGHT 64 /* files and the environment */
#define STORE_BREAKER_FAILURES 5
#define STORE_BREAKER_LIFE_MS 20000 /* back-off base 1 s */
#define STORE_THROTTLE_MS 1000
#define STORE_THROTTLE_CAP_MS 300000
#define STORE_SLOW_MS 60000 /* after a throttle: half as many at once */

static void store_fire(struct srt_engine *engine, struct srt_due *due)
{
    (void)engine; /* the turn pumps every store */
    (void)due;
}

int srt_store_get(struct srt_store **out, struct srt_engine *engine,
                  const struct srt_store_config *config)
{
    struct srt_list *it, *tmp;
    struct srt_store *store;
    int64_t limit;

    *out = NULL;
    SRT_LIST_EACH(it, tmp, &engine->stores)
    {
        store = SRT_CONTAINER(it, struct srt_store, link);
        if (store->config == config) {
            *out = store;
            return 0;
        }
    }
    store = srt_alloc(sizeof(*store));
    if (store == NULL)
        return SECRETRT_ERR_NOMEM;
    if (srt_due_init(engine, &store->due, store_fire) != 0) {
        srt_free(store);
        return SECRETRT_ERR_NOMEM;
    }
    srt_heap_init(&store->queue);
    store->config = config;
    store->limit = STORE_LOCAL_IN_FLIGHT;
    if (config != NULL) {
        limit = srt_store_number(config, "in_flight");
        store->limit = limit > 0 ? (unsigned)limit : STORE_IN_FLIGHT;
    }
    srt_list_append(&engine->stores, &store->link);
    *out = store;
    return 0;
}

void srt_store_free(struct srt_engine *engine, struct srt_store *store)
{
    srt_due_wipe(engine, &store->due);
    srt_list_remove(&store->link);
    srt_heap_wipe(&store->queue);
    srt_free(store);
}

const char *srt_store_address(const struct srt_store *store)
{
    size_t n = 0;
    const char *const *address =
        store->config != NULL ? srt_store_list(store->config, "address", &n) : NULL;

    return n > 0 ? address[store->address % n] : "";
}

void srt_store_queue(struct srt_engine *engine, struct srt_store *store,
                     struct srt_task *task)
{
    (void)engine;
    srt_heap_set(&store->queue, &task->place, task->place.at_ms);
}

static int store_is_open(const struct srt_store *store)
{
    return store->failures >= STORE_BREAKER_FAILURES;
}

static unsigned store_limit(const struct srt_engine *engine,
                            const struct srt_store *store)
{
    return engine->now_ms < store->slow_until_ms ? (store->limit + 1) / 2
                                                 : store->limit;
}

/* 1: a value would be lost without it. */
static int store_keeps(const struct srt_task *task)
{
    return task->node->current != NULL && task->op != SRT_OP_SHORTEN &&
           task->op != SRT_OP_REVOKE;
}

/* A pause is cut short for a value that would end in it: half of what is left of it is
 * waited for. */
static int64_t store_opens_ms(const struct srt_store *store,
                              const struct srt_task *first)
{
    int64_t left = first->place.at_ms - store->closed_ms;
    int64_t until = store->closed_ms + left / 2;

    return store_keeps(first) && until < store->closed_until_ms
               ? until
               : store->closed_until_ms;
}

/* Lets tasks go, the most urgent first, as many as may. */
void srt_store_pump(struct srt_engine *engine, struct srt_store *store)
{
    struct srt_timer *first;

    while ((first = srt_heap_first(&store->queue)) != NULL &&
           store->in_flight < store_limit(engine, store)) {
        struct srt_task *task = SRT_CONTAINER(first, struct srt_task, place);
        int64_t opens = store_opens_ms(store, task);

        if (engine->now_ms < opens && !store_keeps(task) && first->at_ms < opens) {
            srt_heap_set(&store->queue, first, opens); /* behind what can't wait */
            continue;
        }
        if (engine->now_ms < opens) {
            srt_due_set(engine, &store->due, opens);
            return;
        }
        if (store_is_open(store) && store->probing)
            return;
        store->probing = store_is_open(store);
        srt_heap_set(&store->queue, &task->place, SRT_NEVER);
        store->in_flight++;
        task->sent = 1;
        task->address = store->address;
        srt_task_start(engine, task);
    }
}

static void store_close(struct srt_engine *engine, struct srt_store *store,
                        int64_t wait_ms)
{
    store->closed_ms = engine->now_ms;
    store->closed_until_ms = engine->now_ms + wait_ms;
}

/* The breaker waits a back-off, but never so long that the most urgent lease ends. What
 * was on its way as it opened is no probe. */
static void store_back_off(struct srt_engine *engine, struct srt_store *store)
{
    struct srt_timer *first = srt_heap_first(&store->queue);
    int64_t left = first != NULL ? first->at_ms - engine->now_ms : -1;

    if (engine->now_ms < store->closed_until_ms)
        return;
    store_close(engine, store,
                srt_backoff_ms(store->opened, STORE_BREAKER_LIFE_MS,
                               left > 0 ? left : -1, srt_engine_chance(engine)));
    store->opened++;
}

static void store_throttled(struct srt_engine *engine, struct srt_store *store,
                            int64_t retry_after_ms)
{
    int64_t wait = retry_after_ms;

    if (wait < 0)
        wait = STORE_THROTTLE_MS +
               (int64_t)(srt_engine_chance(engine) * (double)STORE_THROTTLE_MS);
    store_close(engine, store,
                wait < STORE_THROTTLE_CAP_MS ? wait : STORE_THROTTLE_CAP_MS);
    store->slow_until_ms = engine->now_ms + STORE_SLOW_MS;
}

void srt_store_done(struct srt_engine *engine, struct srt_store *store,
                    struct srt_task *task)
{
    enum srt_class failure =
        task->result == SRT_FAIL ? task->x.failure.failure_class : SRT_CLASS_NONE;

    if (!task->sent)
        return;
    task->sent = 0;
    store->in_flight--;
    store->probing = 0;
    if (store->config == NULL)
        return;
    if (failure == SRT_CLASS_UNAVAILABLE) {
        store->failures++;
        if (task->address == store->address) /* others may have seen it fail, too */
            store->address++;
        if (store_is_open(store))
            store_back_off(engine, store);
    } else if (failure == SRT_CLASS_THROTTLE) {
        store_throttled(engine, store, task->x.failure.retry_after_ms);
    } else if (task->transfer.reply.outcome == SRT_OUTCOME_ANSWERED) {
        store->failures = 0;
        store->opened = 0;
    }
}

void srt_store_forget(struct srt_engine *engine, struct srt_store *store,
                      struct srt_task *task)
{
    (void)engine;
    srt_heap_set(&store->queue, &task->place, SRT_NEVER);
    if (task->sent) {
        task->sent = 0;
        store->in_flight--;
        store->probing = 0;
    }
}
