/* A managed secret: opened and closed, what of it is published and who is told, and
 * what the application may ask for. Which source serves it is decided in sources.c. */
#include "base/alloc.h"
#include "engine/graph.h"
#include <stdio.h>
#include <string.h>

#define SECRET_TIER_FALLBACK 4
#define SECRET_NOMEM_MS 1000 /* then it is published again */
#define SECRET_MESSAGE_LEN 192
#define SECRET_HASH_LEN 80

static int secret_lags(const struct srt_secret *secret)
{
    const struct srt_source *source;

    if (secret->active < 0)
        return 0;
    source = &secret->source[secret->active];
    return source->node->current != NULL && source->node->current != secret->published;
}

static void secret_catch_up(struct srt_engine *engine, struct srt_secret *secret)
{
    const struct srt_source *source = &secret->source[secret->active];

    if (source->admitted == source->node->current->generation)
        srt_secret_publish(engine, secret, source->node);
    else
        srt_gate_join(engine, secret, secret->active);
}

/* Time for the next source, or for what memory was missing for. */
static void secret_fire(struct srt_engine *engine, struct srt_due *due)
{
    struct srt_secret *secret = SRT_CONTAINER(due, struct srt_secret, due);

    if (secret_lags(secret) && !engine->closing)
        secret_catch_up(engine, secret);
    else
        srt_sources_consider(engine, secret);
}

/* ---- opening and closing ---- */

/* One of its sources, by a reference. A node listed twice is one source. */
static int secret_source(struct srt_secret *secret, size_t i, struct srt_engine *engine,
                         struct secretrt_error *err)
{
    const struct srt_secret_config *config = &secret->spec->config;
    const char *reference = config->source[i];
    struct srt_source *source = &secret->source[i];
    struct srt_ref ref;
    int rc = srt_ref_parse(&ref, reference, err);

    if (rc != 0)
        return rc;
    source->field = ref.field;
    ref.field = NULL;
    srt_ref_wipe(&ref);
    rc = srt_node_get(&source->node, engine, reference, err);
    if (rc != 0)
        return rc;
    source->node->users++;
    source->secret = secret;
    if (srt_secret_uses(secret, source->node) == (int)i)
        srt_list_append(&source->node->sources, &source->link);
    if (config->leave_lease)
        source->node->leave_lease = 1;
    if (config->overlap_ms != 0)
        source->node->overlap_ms = config->overlap_ms;
    if (config->refresh_ms != 0)
        source->node->refresh_ms = config->refresh_ms;
    return 0;
}

int srt_secret_open(struct srt_secret **out, struct srt_engine *engine,
                    const struct srt_spec *spec, struct srt_cell *cell, void *data,
                    struct secretrt_error *err)
{
    const struct srt_secret_config *config = &spec->config;
    struct srt_secret *secret = srt_alloc(sizeof(*secret));
    int rc = SECRETRT_ERR_NOMEM;

    *out = NULL;
    if (secret == NULL || srt_due_init(engine, &secret->due, secret_fire) != 0) {
        srt_free(secret);
        return srt_nomem(err);
    }
    srt_list_init(&secret->link);
    secret->spec = spec;
    secret->cell = cell;
    secret->data = data;
    secret->active = -1;
    secret->begun_ms = SRT_NEVER;
    for (unsigned i = 0; i < 2; i++)
        secret->counted[i] = srt_slot_total(cell->slot, i);
    secret->source = srt_alloc_array(config->sources, sizeof(*secret->source));
    rc = secret->source != NULL ? 0 : srt_nomem(err);
    for (size_t i = 0; rc == 0 && i < config->sources; i++)
        rc = secret_source(secret, i, engine, err);
    if (rc != 0) {
        srt_secret_close(engine, secret);
        return rc;
    }
    srt_list_append(&engine->secrets, &secret->link);
    *out = secret;
    if (!config->lazy)
        srt_secret_want(engine, secret);
    return 0;
}

static void secret_forget_past(struct srt_engine *engine, struct srt_secret *secret)
{
    for (size_t i = 0; i < SRT_PAST_MAX; i++) {
        srt_lease_unref(engine, secret->past[i].lease);
        secret->past[i].lease = NULL;
    }
}

static void secret_source_close(struct srt_engine *engine, struct srt_source *source)
{
    struct srt_list *it, *tmp;

    srt_free(source->field);
    if (source->node == NULL)
        return;
    srt_list_remove(&source->link);
    if (source->wanted)
        srt_node_unwant(engine, source->node);
    if (source->node->wanted == 0) /* no holder is left: no overlap either */
        SRT_LIST_EACH(it, tmp, &source->node->retired)
    srt_lease_drain_now(engine, SRT_CONTAINER(it, struct srt_lease, link));
    srt_node_release(engine, source->node);
}

void srt_secret_close(struct srt_engine *engine, struct srt_secret *secret)
{
    srt_list_remove(&secret->link);
    srt_gate_leave(engine, secret);
    srt_cell_publish(secret->cell, NULL);
    srt_secret_summarise(engine, secret);
    secret_forget_past(engine, secret);
    srt_lease_unref(engine, secret->published);
    for (size_t i = 0; secret->source != NULL && i < secret->spec->config.sources; i++)
        secret_source_close(engine, &secret->source[i]);
    srt_due_wipe(engine, &secret->due);
    srt_free(secret->source);
    srt_free(secret);
}

void *srt_secret_data(const struct srt_secret *secret)
{
    return secret->data;
}

const struct srt_spec *srt_secret_spec(const struct srt_secret *secret)
{
    return secret->spec;
}

int srt_secret_uses(const struct srt_secret *secret, const struct srt_node *node)
{
    for (size_t i = 0; i < secret->spec->config.sources; i++)
        if (secret->source[i].node == node)
            return (int)i;
    return -1;
}

int srt_secret_is_on(const struct srt_secret *secret, const struct srt_node *node)
{
    return secret->active >= 0 && secret->source[secret->active].node == node;
}

/* ---- telling ---- */

void srt_secret_settle(struct srt_engine *engine, struct srt_secret *secret,
                       enum srt_settled how, const struct secretrt_error *error)
{
    struct secretrt_error named;

    if (error != NULL) {
        named = *error;
        srt_error_prefix(&named, secret->spec->name);
        error = &named;
    }
    engine->listener->settled(engine->listener->self, secret, how, error);
}

void srt_secret_notice(struct srt_engine *engine, struct srt_secret *secret, int kind,
                       int status, int64_t until_ms, const char *message)
{
    struct srt_notice notice = {.kind = kind,
                                .status = status,
                                .generation = secret->generation,
                                .until_ms = until_ms,
                                .message = message};

    if (secret->published != NULL)
        notice.tier = secret->published->grant.tier;
    if (kind == SECRETRT_EVENT_RELOAD)
        notice.old_generation = secret->generation - 1;
    engine->listener->notice(engine->listener->self, secret, &notice);
}

void srt_secret_drained_notice(struct srt_engine *engine, struct srt_secret *secret,
                               uint64_t generation)
{
    struct srt_notice notice = {.kind = SECRETRT_EVENT_DRAINED,
                                .generation = secret->generation,
                                .old_generation = generation,
                                .until_ms = SRT_NEVER,
                                .message = "the replaced lease was given back"};

    engine->listener->notice(engine->listener->self, secret, &notice);
}

/* Reads since the last summary, each cell's for the generation that it served. */
void srt_secret_summarise(struct srt_engine *engine, struct srt_secret *secret)
{
    struct srt_record record;

    if (secret->active < 0 && secret->published == NULL)
        return;
    for (unsigned cell = 0; cell < 2; cell++) {
        uint64_t total = srt_slot_total(secret->cell->slot, cell);
        uint64_t count = total - secret->counted[cell];

        if (count == 0 || secret->published == NULL)
            continue;
        secret->counted[cell] = total;
        srt_record_lease(&record, engine, secret->published->node, secret->published,
                         "secret.read");
        record.name = secret->spec->name;
        record.generation = (secret->generation & 1) == cell ? secret->generation
                                                             : secret->generation - 1;
        record.count = count;
        engine->listener->record(engine->listener->self, &record, NULL);
    }
}

/* ---- publishing ---- */

int srt_secret_value(struct secretrt_value **out, struct srt_engine *engine,
                     struct srt_secret *secret, struct srt_lease *lease, int source)
{
    const struct srt_spec *spec = secret->spec;
    struct srt_value_facts facts = {.name = spec->name,
                                    .source = lease->node->ref.text,
                                    .version = lease->grant.version,
                                    .request_id = lease->grant.request_id,
                                    .field = spec->field,
                                    .tier = lease->grant.tier,
                                    .weakest_tier = lease->weakest_tier,
                                    .generation = secret->generation + 1,
                                    .issued_at_ms = engine->wall_ms};
    int64_t end = srt_lease_end(lease, &facts.limited_by);
    char hash[SECRET_HASH_LEN] = "";

    if (engine->listener->hash != NULL)
        engine->listener->hash(engine->listener->self, hash, sizeof(hash),
                               srt_buf_text(&lease->grant.lease_id));
    facts.lease_id = hash;
    if (facts.field == NULL)
        facts.field = secret->source[source].field;
    if (lease->grant.tier == SECRET_TIER_FALLBACK)
        facts.flags |= SECRETRT_VALUE_DEPRECATED;
    if (source > 0)
        facts.flags |= SECRETRT_VALUE_FALLBACK;
    if (lease->grant.renewable)
        facts.flags |= SECRETRT_VALUE_RENEWABLE;
    if (end != SRT_NEVER)
        facts.expires_at_ms = engine->wall_ms + (end - engine->now_ms);
    return srt_value_new(out, lease->grant.bundle, lease->life, &facts);
}

static void secret_tier_changed(struct srt_engine *engine, struct srt_secret *secret,
                                int source, int before)
{
    const struct srt_lease *lease = secret->published;
    char message[SECRET_MESSAGE_LEN];
    struct srt_record record;

    if (lease->grant.tier == SECRET_TIER_FALLBACK && !secret->told_tier4) {
        secret->told_tier4 = 1;
        srt_engine_log(engine, 4, "%s: served from tier 4 (%s), which is deprecated",
                       secret->spec->name, lease->node->ref.text);
    }
    if (source == before || (before < 0 && source == 0))
        return;
    snprintf(message, sizeof(message), "%s from %.120s (tier %d)",
             source > before && before >= 0 ? "falls back: served"
             : before < 0                   ? "served"
                                            : "climbs back: served",
             lease->node->ref.text, (int)lease->grant.tier);
    srt_record_lease(&record, engine, lease->node, lease,
                     source > before ? "tier.fallback" : "tier.climb");
    record.name = secret->spec->name;
    record.generation = secret->generation;
    engine->listener->record(engine->listener->self, &record, NULL);
    srt_secret_notice(engine, secret, SECRETRT_EVENT_TIER, 0, SRT_NEVER, message);
}

/* The lease behind the value that was replaced, unless it is gone already. */
static void secret_remember(struct srt_engine *engine, struct srt_secret *secret,
                            struct srt_lease *old)
{
    size_t last = SRT_PAST_MAX - 1;

    if (old == NULL || old->state == SRT_LEASE_DEAD) {
        srt_lease_unref(engine, old);
        return;
    }
    srt_lease_unref(engine, secret->past[last].lease);
    memmove(&secret->past[1], &secret->past[0], last * sizeof(secret->past[0]));
    secret->past[0].generation = secret->generation;
    secret->past[0].lease = old;
    secret->past[0].drained = 0;
}

static void secret_told(struct srt_engine *engine, struct srt_secret *secret,
                        int64_t drain_by_ms)
{
    struct srt_record record;
    char message[SECRET_MESSAGE_LEN];
    int first = drain_by_ms == SRT_NEVER;

    snprintf(message, sizeof(message), "%.60s: generation %llu from %.100s",
             secret->spec->name, (unsigned long long)secret->generation,
             secret->published->node->ref.text);
    if (secret->generation > 1) {
        srt_record_lease(&record, engine, secret->published->node, secret->published,
                         "secret.replace");
        record.name = secret->spec->name;
        record.generation = secret->generation;
        engine->listener->record(engine->listener->self, &record, NULL);
    }
    srt_secret_notice(engine, secret,
                      first ? SECRETRT_EVENT_READY : SECRETRT_EVENT_RELOAD, 0,
                      drain_by_ms, message);
}

void srt_secret_publish(struct srt_engine *engine, struct srt_secret *secret,
                        struct srt_node *node)
{
    int source = srt_secret_uses(secret, node), before = secret->active;
    struct srt_lease *old = secret->published;
    struct secretrt_value *value = NULL;
    struct secretrt_error error;
    int64_t drain_by = SRT_NEVER; /* none is replaced */

    if (!srt_sources_would_use(engine, secret, source) || old == node->current)
        return;
    if (srt_secret_value(&value, engine, secret, node->current, source) != 0) {
        srt_error_clear(&error);
        srt_nomem(&error);
        srt_due_set(engine, &secret->due, engine->now_ms + SECRET_NOMEM_MS);
        srt_secret_settle(engine, secret, SRT_SETTLED_TRYING, &error);
        return;
    }
    if (before >= 0)
        drain_by = srt_lease_drain_by(engine, old);
    srt_gate_leave(engine, secret);
    srt_secret_summarise(engine, secret);
    srt_cell_publish(secret->cell, value);
    srt_lease_ref(node->current);
    secret->published = node->current;
    secret_remember(engine, secret, old);
    secret->generation++;
    secret->active = source;
    secret->begun_ms = SRT_NEVER;
    srt_due_set(engine, &secret->due, SRT_NEVER);
    secret_told(engine, secret, drain_by);
    secret_tier_changed(engine, secret, source, before);
    srt_sources_release_lower(engine, secret);
    srt_secret_settle(engine, secret, SRT_SETTLED_PUBLISHED, NULL);
}

void srt_secret_lost(struct srt_engine *engine, struct srt_secret *secret,
                     struct srt_node *node, int expired)
{
    if (!srt_secret_is_on(secret, node))
        return;
    srt_cell_publish(secret->cell, NULL);
    srt_secret_summarise(engine, secret);
    secret->active = -1;
    secret->begun_ms = engine->now_ms;
    if (expired)
        srt_secret_notice(
            engine, secret, SECRETRT_EVENT_EXPIRED,
            node->failure.failure_class != SRT_CLASS_NONE ? node->failure.error.status
                                                          : SECRETRT_ERR_EXPIRED,
            engine->now_ms, "the value has ended and there is no newer one yet");
    srt_sources_consider(engine, secret);
}

void srt_secret_failed(struct srt_engine *engine, struct srt_secret *secret,
                       struct srt_node *node)
{
    const struct srt_failure *failure = &node->failure;
    int source = srt_secret_uses(secret, node);
    int serving = srt_secret_is_on(secret, node);
    int final = srt_class_final(failure->failure_class);
    int64_t end =
        node->current != NULL ? srt_lease_end(node->current, NULL) : engine->now_ms;

    if (!secret->source[source].wanted)
        return;
    if (!node->degraded_told && (serving || secret->active < 0))
        srt_secret_notice(engine, secret, SECRETRT_EVENT_FAILED, failure->error.status,
                          serving ? end : engine->now_ms, failure->error.message);
    srt_sources_consider(engine, secret);
    if (secret->active >= 0 && !serving)
        return;
    if (secret->active < 0 && (size_t)source + 1 < secret->spec->config.sources &&
        srt_sources_falls(engine, secret, (size_t)source) &&
        !secret->source[source + 1].failed_policy)
        return; /* the next one is on its way */
    srt_secret_settle(engine, secret, final ? SRT_SETTLED_FAILED : SRT_SETTLED_TRYING,
                      &failure->error);
}

/* ---- asked by the application ---- */

void srt_secret_want(struct srt_engine *engine, struct srt_secret *secret)
{
    if (secret->wanted)
        return;
    secret->wanted = 1;
    secret->begun_ms = engine->now_ms;
    srt_sources_consider(engine, secret);
}

void srt_secret_refresh(struct srt_engine *engine, struct srt_secret *secret)
{
    int source = secret->active >= 0 ? secret->active : 0;

    if (secret->wanted)
        srt_machine_feed(engine, secret->source[source].node, SRT_EVENT_REPLACE);
    srt_secret_want(engine, secret);
}

void srt_secret_reject(struct srt_engine *engine, struct srt_secret *secret,
                       uint64_t generation, int http_status)
{
    struct srt_record record;
    struct srt_node *node;

    srt_secret_want(engine, secret);
    if (secret->active < 0 || secret->generation != generation) {
        if (secret->active >= 0)
            srt_secret_settle(engine, secret, SRT_SETTLED_PUBLISHED, NULL);
        return;
    }
    node = secret->source[secret->active].node;
    if (!node->rejected) {
        srt_record_lease(&record, engine, node, node->current, "secret.reject");
        record.name = secret->spec->name;
        record.generation = generation;
        record.http_status = http_status;
        record.outcome = "failure";
        engine->listener->record(engine->listener->self, &record, NULL);
    }
    srt_node_reject(engine, node);
}

/* 1: a secret that shares the lease still counts on its overlap. */
static int secret_is_held(const struct srt_lease *lease)
{
    struct srt_list *it, *tmp;
    struct srt_secret *secret;

    SRT_EACH_SECRET_OF(lease->node, secret, it, tmp)
    for (size_t i = 0; i < SRT_PAST_MAX; i++)
        if (secret->past[i].lease == lease && !secret->past[i].drained)
            return 1;
    return 0;
}

int srt_secret_drained(struct srt_engine *engine, struct srt_secret *secret,
                       uint64_t generation)
{
    for (size_t i = 0; i < SRT_PAST_MAX; i++)
        if (secret->past[i].lease != NULL && secret->past[i].generation == generation) {
            secret->past[i].drained = 1;
            if (!secret_is_held(secret->past[i].lease))
                srt_lease_drain_now(engine, secret->past[i].lease);
            return 0;
        }
    return SECRETRT_ERR_NOT_FOUND;
}
