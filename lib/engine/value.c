#include "engine/value.h"
#include "base/alloc.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/status.h"
#include "mem/arena.h"
#include <string.h>
#include <time.h>

struct srt_life *srt_life_new(void)
{
    struct srt_life *life = srt_alloc(sizeof(*life));

    if (life == NULL)
        return NULL;
    atomic_init(&life->refs, 1);
    atomic_init(&life->end_ms, SRT_NEVER);
    atomic_init(&life->end_wall_ms, SRT_NEVER);
    atomic_init(&life->drain_by_ms, SRT_NEVER);
    return life;
}

struct srt_life *srt_life_ref(struct srt_life *life)
{
    atomic_fetch_add_explicit(&life->refs, 1, memory_order_relaxed);
    return life;
}

void srt_life_unref(struct srt_life *life)
{
    if (life != NULL &&
        atomic_fetch_sub_explicit(&life->refs, 1, memory_order_acq_rel) == 1)
        srt_free(life);
}

void srt_life_set(struct srt_life *life, int64_t end_ms, int64_t boot_ms,
                  int64_t wall_ms)
{
    int64_t stamp = end_ms == SRT_NEVER ? SRT_NEVER : wall_ms + (end_ms - boot_ms);

    atomic_store_explicit(&life->end_ms, end_ms, memory_order_relaxed);
    atomic_store_explicit(&life->end_wall_ms, stamp, memory_order_release);
}

/* The strings of info are one block behind it. */
static int value_facts_set(struct secretrt_value *value,
                           const struct srt_value_facts *facts)
{
    const char *const text[] = {facts->name,     facts->source,     facts->version,
                                facts->lease_id, facts->request_id, facts->limited_by};
    const char **const into[] = {&value->info.name,       &value->info.source,
                                 &value->info.version,    &value->info.lease_id,
                                 &value->info.request_id, &value->info.limited_by};
    size_t total = 0, at = 0;

    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++)
        total += strlen(text[i] != NULL ? text[i] : "") + 1;
    value->texts = srt_alloc(total);
    if (value->texts == NULL)
        return SECRETRT_ERR_NOMEM;
    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        size_t len = strlen(text[i] != NULL ? text[i] : "") + 1;

        memcpy(value->texts + at, text[i] != NULL ? text[i] : "", len);
        *into[i] = value->texts + at;
        at += len;
    }
    value->info.tier = facts->tier;
    value->info.weakest_tier = facts->weakest_tier;
    value->info.flags = facts->flags;
    value->info.generation = facts->generation;
    value->info.issued_at_ms = facts->issued_at_ms;
    value->info.expires_at_ms = facts->expires_at_ms;
    return 0;
}

int srt_value_new(struct secretrt_value **out, struct srt_bundle *bundle,
                  struct srt_life *life, const struct srt_value_facts *facts)
{
    struct secretrt_value *value = srt_alloc(sizeof(*value));
    int rc = SECRETRT_ERR_NOMEM;

    *out = NULL;
    if (value == NULL)
        return rc;
    atomic_init(&value->refs, 1);
    atomic_init(&value->current, 0);
    value->stamp = srt_fork_stamp();
    if (facts->field != NULL) {
        value->field = srt_strdup(facts->field);
        if (value->field == NULL)
            goto done;
    }
    rc = value_facts_set(value, facts);
    if (rc != 0)
        goto done;
    value->bundle = srt_bundle_ref(bundle);
    value->life = srt_life_ref(life);
    *out = value;
    value = NULL;
done:
    srt_value_drop(value);
    return rc;
}

int srt_value_derive(struct secretrt_value **out, const struct secretrt_value *from,
                     struct srt_bundle *bundle)
{
    const struct secretrt_info *info = &from->info;
    struct srt_value_facts facts = {.name = info->name,
                                    .source = info->source,
                                    .version = info->version,
                                    .lease_id = info->lease_id,
                                    .request_id = info->request_id,
                                    .limited_by = info->limited_by,
                                    .tier = info->tier,
                                    .weakest_tier = info->weakest_tier,
                                    .flags = info->flags,
                                    .generation = info->generation,
                                    .issued_at_ms = info->issued_at_ms,
                                    .expires_at_ms = info->expires_at_ms};

    return srt_value_new(out, bundle, from->life, &facts);
}

struct secretrt_value *srt_value_hold(struct secretrt_value *value)
{
    atomic_fetch_add_explicit(&value->refs, 1, memory_order_relaxed);
    return value;
}

void srt_value_drop(struct secretrt_value *value)
{
    if (value == NULL ||
        atomic_fetch_sub_explicit(&value->refs, 1, memory_order_acq_rel) != 1)
        return;
    srt_bundle_unref(value->bundle);
    srt_life_unref(value->life);
    srt_free(value->field);
    srt_free(value->texts);
    srt_free(value);
}

int srt_value_live(const struct secretrt_value *value, int64_t boot_ms)
{
    return boot_ms < atomic_load_explicit(&value->life->end_ms, memory_order_relaxed) &&
           boot_ms <
               atomic_load_explicit(&value->life->drain_by_ms, memory_order_relaxed);
}

int srt_cell_init(struct srt_cell *cell)
{
    atomic_init(&cell->value, NULL);
    atomic_init(&cell->generation, 0);
    cell->slot = srt_slot_take();
    return cell->slot == SRT_SLOT_NONE ? SECRETRT_ERR_NOMEM : 0;
}

static void value_release(struct srt_retired *retired)
{
    srt_value_drop(SRT_CONTAINER(retired, struct secretrt_value, retired));
}

void srt_cell_publish(struct srt_cell *cell, struct secretrt_value *value)
{
    struct secretrt_value *old;

    if (value != NULL)
        atomic_store_explicit(&value->current, 1, memory_order_relaxed);
    old = atomic_exchange_explicit(&cell->value, value, memory_order_acq_rel);
    atomic_store_explicit(&cell->generation, value != NULL ? value->info.generation : 0,
                          memory_order_release);
    if (old != NULL) {
        atomic_store_explicit(&old->current, 0, memory_order_relaxed);
        srt_epoch_retire(&old->retired, value_release);
    }
}

void srt_cell_forget(struct srt_cell *cell)
{
    struct secretrt_value *old =
        atomic_exchange_explicit(&cell->value, NULL, memory_order_acq_rel);

    atomic_store_explicit(&cell->generation, 0, memory_order_release);
    if (old == NULL)
        return;
    atomic_store_explicit(&old->current, 0, memory_order_relaxed);
    srt_epoch_retire(&old->retired,
                     value_release); /* who forked may have borrowed it */
}

void srt_cell_wipe(struct srt_cell *cell)
{
    srt_cell_publish(cell, NULL);
    srt_slot_give(cell->slot);
    cell->slot = SRT_SLOT_NONE;
}

/* The coarse clock costs 4 ns and lags by a tick: enough, since the slow path decides.
 */
static int64_t value_coarse_wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const struct secretrt_value *srt_cell_borrow(struct srt_cell *cell, uint64_t count)
{
    struct srt_reader *reader = srt_reader_self();
    const struct secretrt_value *value;

    if (reader == NULL)
        return NULL;
    srt_reader_pin(reader);
    value = atomic_load_explicit(&cell->value, memory_order_acquire);
    if (value != NULL &&
        value_coarse_wall_ms() <
            atomic_load_explicit(&value->life->end_wall_ms, memory_order_acquire) &&
        srt_reader_count(reader, cell->slot, (unsigned)(value->info.generation & 1),
                         count) == 0)
        return value;
    srt_reader_unpin(reader);
    return NULL;
}

const struct secretrt_value *srt_cell_borrow_slow(struct srt_cell *cell,
                                                  const struct secretrt_value *expected)
{
    struct srt_reader *reader = srt_reader_self();

    if (reader == NULL)
        return NULL;
    srt_reader_pin(reader);
    if (atomic_load_explicit(&cell->value, memory_order_acquire) == expected)
        return expected;
    srt_reader_unpin(reader);
    return NULL;
}

void srt_cell_return(void)
{
    struct srt_reader *reader = srt_reader_self();

    if (reader != NULL)
        srt_reader_unpin(reader);
}
