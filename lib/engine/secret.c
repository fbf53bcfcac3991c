/* A managed secret: its sources in order, what is published, who is told. */
#include "base/alloc.h"
#include "engine/graph.h"
#include <stdio.h>
#include <string.h>

#define SECRET_SHARE_MS 3000     /* how long a source may stay silent before the next */
#define SECRET_DEADLINE_MS 10000 /* shared by the sources */
#define SECRET_TIER_FALLBACK 4
#define SECRET_MESSAGE_LEN 192
#define SECRET_HASH_LEN 80

static void secret_consider(struct srt_engine *engine, struct srt_secret *secret);

static void secret_fire(struct srt_engine *engine, struct srt_due *due)
{
    secret_consider(engine, SRT_CONTAINER(due, struct srt_secret, due));
}

static int secret_policy(const struct srt_engine *engine,
                         const struct srt_secret *secret, int tier,
                         struct secretrt_error *err)
{
    const struct srt_secret_config *own = &secret->spec->config;
    int weakest = engine->config->policy.weakest_tier;
    int64_t until = engine->config->policy.tier4_until_ms;

    if (own->weakest_tier != 0 && own->weakest_tier < weakest)
        weakest = own->weakest_tier;
    if (own->tier4_until_ms != 0 && (until == 0 || own->tier4_until_ms < until))
        until = own->tier4_until_ms;
    if (tier > weakest)
        return srt_fail(err, SECRETRT_ERR_POLICY,
                        "%s: tier %d is refused: \"weakest_tier\" is %d",
                        secret->spec->name, tier, weakest);
    if (tier == SECRET_TIER_FALLBACK && until != 0 && engine->wall_ms >= until)
        return srt_fail(err, SECRETRT_ERR_POLICY,
                        "%s: tier 4 is refused: its date, \"tier4_until\", is past",
                        secret->spec->name);
    return 0;
}

/* ---- opening and closing ---- */

static int secret_source(struct srt_source *source, struct srt_engine *engine,
                         const struct srt_secret_config *config, const char *reference,
                         struct secretrt_error *err)
{
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
        rc = secret_source(&secret->source[i], engine, config, config->source[i], err);
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
    for (size_t i = 0; i < sizeof(secret->past) / sizeof(secret->past[0]); i++) {
        srt_lease_unref(engine, secret->past[i].lease);
        secret->past[i].lease = NULL;
    }
}

void srt_secret_close(struct srt_engine *engine, struct srt_secret *secret)
{
    struct srt_list *it, *tmp;

    srt_list_remove(&secret->link);
    srt_cell_publish(secret->cell, NULL);
    srt_secret_summarise(engine, secret);
    secret_forget_past(engine, secret);
    srt_lease_unref(engine, secret->published);
    for (size_t i = 0; secret->source != NULL && i < secret->spec->config.sources;
         i++) {
        struct srt_source *source = &secret->source[i];

        srt_free(source->field);
        if (source->node == NULL)
            continue;
        if (source->wanted)
            srt_node_unwant(engine, source->node);
        if (source->node->wanted == 0) /* no holder is left: no overlap either */
            SRT_LIST_EACH(it, tmp, &source->node->retired)
        srt_lease_drain_now(engine, SRT_CONTAINER(it, struct srt_lease, link));
        srt_node_release(engine, source->node);
    }
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

/* ---- candidates ---- */

static int secret_value(struct secretrt_value **out, struct srt_engine *engine,
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

static int secret_fields(const struct srt_secret *secret,
                         const struct srt_lease *candidate, struct secretrt_error *err)
{
    const struct srt_secret_config *config = &secret->spec->config;
    const struct srt_bundle *bundle = candidate->grant.bundle;
    const char *field = secret->spec->field;

    if (field == NULL)
        field = secret->source[srt_secret_uses(secret, candidate->node)].field;
    if (field != NULL && srt_bundle_field(bundle, field, NULL) == NULL)
        return srt_fail(err, SECRETRT_ERR_NO_FIELD, "%s has no field \"%s\"",
                        candidate->node->ref.text, field);
    for (size_t i = 0; i < config->fields; i++)
        if (srt_bundle_field(bundle, config->field[i], NULL) == NULL)
            return srt_fail(err, SECRETRT_ERR_NO_FIELD, "%s has no field \"%s\"",
                            candidate->node->ref.text, config->field[i]);
    return 0;
}

/* 1: a grant of this source would be published. */
static int secret_would_use(const struct srt_engine *engine,
                            const struct srt_secret *secret, int source)
{
    return secret->source[source].wanted &&
           (secret->active < 0 || source <= secret->active ||
            !srt_node_live(engine, secret->source[secret->active].node));
}

int srt_secret_candidate(struct srt_engine *engine, struct srt_secret *secret,
                         struct srt_lease *candidate, struct secretrt_error *err)
{
    int source = srt_secret_uses(secret, candidate->node);
    struct secretrt_value *value = NULL;
    struct srt_record record;
    int rc;

    if (!secret_would_use(engine, secret, source))
        return 0;
    rc = secret_policy(engine, secret, candidate->grant.tier, err);
    if (rc == 0 &&
        candidate->weakest_tier > engine->config->policy.weakest_credential_tier)
        rc = srt_fail(
            err, SECRETRT_ERR_POLICY,
            "%s: a credential of tier %d led to it: \"weakest_credential_tier\" is %d",
            secret->spec->name, candidate->weakest_tier,
            engine->config->policy.weakest_credential_tier);
    if (rc == 0)
        rc = secret_fields(secret, candidate, err);
    srt_record_lease(&record, engine, candidate->node, candidate,
                     srt_buf_text(&candidate->grant.lease_id)[0] != '\0'
                         ? "lease.acquire"
                         : "secret.refetch");
    record.name = secret->spec->name;
    record.generation = secret->generation + 1;
    if (rc != 0) {
        record.event = "secret.deny";
        record.outcome = "denied";
        record.reason = err->message;
        record.status = rc;
        engine->listener->record(engine->listener->self, &record, NULL);
        return rc;
    }
    rc = srt_gate_record(engine, candidate, &record);
    if (rc == 0 && secret->spec->config.verify) {
        rc = secret_value(&value, engine, secret, candidate, source);
        if (rc == 0)
            rc = srt_gate_verify(engine, candidate, secret, value);
        srt_value_drop(value);
    }
    return rc == SECRETRT_ERR_NOMEM ? srt_nomem(err) : rc;
}

/* ---- publishing ---- */

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

static void secret_remember(struct srt_engine *engine, struct srt_secret *secret,
                            struct srt_lease *old)
{
    size_t last = sizeof(secret->past) / sizeof(secret->past[0]) - 1;

    srt_lease_unref(engine, secret->past[last].lease);
    memmove(&secret->past[1], &secret->past[0], last * sizeof(secret->past[0]));
    secret->past[0].generation = secret->generation;
    secret->past[0].lease = old;
}

static void secret_told(struct srt_engine *engine, struct srt_secret *secret, int first)
{
    struct srt_record record;
    char message[SECRET_MESSAGE_LEN];
    int64_t drain = SRT_NEVER;

    snprintf(message, sizeof(message), "%.60s: generation %llu from %.100s",
             secret->spec->name, (unsigned long long)secret->generation,
             secret->published->node->ref.text);
    if (!first) {
        srt_record_lease(&record, engine, secret->published->node, secret->published,
                         "secret.replace");
        record.name = secret->spec->name;
        record.generation = secret->generation;
        engine->listener->record(engine->listener->self, &record, NULL);
        drain = engine->now_ms + secret->published->terms.overlap_ms;
    }
    srt_secret_notice(engine, secret,
                      first ? SECRETRT_EVENT_READY : SECRETRT_EVENT_RELOAD, 0, drain,
                      message);
}

static void secret_release_lower(struct srt_engine *engine, struct srt_secret *secret)
{
    for (size_t i = (size_t)secret->active + 1; i < secret->spec->config.sources; i++)
        if (secret->source[i].wanted) {
            secret->source[i].wanted = 0;
            srt_node_unwant(engine, secret->source[i].node);
        }
}

void srt_secret_publish(struct srt_engine *engine, struct srt_secret *secret,
                        struct srt_node *node)
{
    int source = srt_secret_uses(secret, node), before = secret->active;
    int first = before < 0;
    struct srt_lease *old = secret->published;
    struct secretrt_value *value = NULL;
    struct secretrt_error error;

    if (!secret_would_use(engine, secret, source))
        return;
    if (secret_value(&value, engine, secret, node->current, source) != 0) {
        srt_error_clear(&error);
        srt_nomem(&error);
        srt_secret_settle(engine, secret, SRT_SETTLED_FAILED, &error);
        return;
    }
    srt_secret_summarise(engine, secret);
    srt_cell_publish(secret->cell, value);
    srt_lease_ref(node->current);
    secret->published = node->current;
    secret_remember(engine, secret, old);
    secret->generation++;
    secret->active = source;
    secret->begun_ms = SRT_NEVER;
    srt_due_set(engine, &secret->due, SRT_NEVER);
    secret_told(engine, secret, first);
    secret_tier_changed(engine, secret, source, before);
    secret_release_lower(engine, secret);
    srt_secret_settle(engine, secret, SRT_SETTLED_PUBLISHED, NULL);
}

void srt_secret_lost(struct srt_engine *engine, struct srt_secret *secret,
                     struct srt_node *node, int expired)
{
    if (secret->active < 0 || secret->source[secret->active].node != node)
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
    secret_consider(engine, secret);
}

/* ---- sources ---- */

static int64_t secret_share_ms(const struct srt_secret *secret)
{
    int64_t share = SECRET_DEADLINE_MS / (int64_t)secret->spec->config.sources;

    return share < SECRET_SHARE_MS ? share : SECRET_SHARE_MS;
}

/* 1: what went wrong with this source lets the next one be used. A denial never does.
 */
static int secret_falls(const struct srt_engine *engine,
                        const struct srt_secret *secret, size_t i)
{
    const struct srt_node *node = secret->source[i].node;
    enum srt_class failure = node->failure.failure_class;
    int late =
        secret->begun_ms != SRT_NEVER &&
        engine->now_ms - secret->begun_ms >= secret_share_ms(secret) * (int64_t)(i + 1);

    if (secret->source[i].failed_policy || failure == SRT_CLASS_ABSENT)
        return 1;
    if (failure == SRT_CLASS_NOT_FOUND)
        return secret->spec->config.fallback_on_not_found;
    if (srt_class_event(failure) == SRT_EVENT_FINAL || failure == SRT_CLASS_PROTOCOL ||
        node->candidate != NULL)
        return 0;
    return late;
}

/* The first source that may be used and can be: from the strongest down. */
static void secret_consider(struct srt_engine *engine, struct srt_secret *secret)
{
    size_t n = secret->spec->config.sources;
    struct secretrt_error error;

    if (!secret->wanted || engine->closing)
        return;
    srt_error_clear(&error);
    for (size_t i = 0; i < n && (secret->active < 0 || i < (size_t)secret->active);
         i++) {
        struct srt_source *source = &secret->source[i];

        source->failed_policy =
            source->node->plan.tier != 0
                ? secret_policy(engine, secret, source->node->plan.tier, &error)
                : 0;
        if (!source->failed_policy && !source->wanted) {
            source->wanted = 1;
            srt_node_want(engine, source->node);
        }
        if (srt_node_live(engine, source->node) && !source->failed_policy) {
            srt_secret_publish(engine, secret, source->node);
            return;
        }
        if (!secret_falls(engine, secret, i))
            break;
    }
    if (secret->active < 0 && secret->source[n - 1].failed_policy &&
        error.status != 0 && secret_falls(engine, secret, 0))
        srt_secret_settle(engine, secret, SRT_SETTLED_FAILED, &error);
    if (secret->active < 0 && n > 1)
        for (size_t i = 1; i < n; i++) {
            int64_t at = secret->begun_ms + secret_share_ms(secret) * (int64_t)i;

            if (at > engine->now_ms) {
                srt_due_set(engine, &secret->due, at);
                break;
            }
        }
}

void srt_secret_failed(struct srt_engine *engine, struct srt_secret *secret,
                       struct srt_node *node)
{
    const struct srt_failure *failure = &node->failure;
    int source = srt_secret_uses(secret, node);
    int serving = secret->active >= 0 && secret->source[secret->active].node == node;
    int final = srt_class_event(failure->failure_class) == SRT_EVENT_FINAL ||
                failure->failure_class == SRT_CLASS_PROTOCOL;
    int64_t end =
        node->current != NULL ? srt_lease_end(node->current, NULL) : engine->now_ms;

    if (!secret->source[source].wanted)
        return;
    if (!node->degraded_told && (serving || secret->active < 0))
        srt_secret_notice(engine, secret, SECRETRT_EVENT_FAILED, failure->error.status,
                          serving ? end : engine->now_ms, failure->error.message);
    secret_consider(engine, secret);
    if (secret->active >= 0 && !serving)
        return;
    if (secret->active < 0 && (size_t)source + 1 < secret->spec->config.sources &&
        secret_falls(engine, secret, (size_t)source) &&
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
    secret_consider(engine, secret);
}

void srt_secret_refresh(struct srt_engine *engine, struct srt_secret *secret)
{
    srt_secret_want(engine, secret);
    if (secret->active >= 0)
        srt_machine_feed(engine, secret->source[secret->active].node,
                         SRT_EVENT_REPLACE);
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

int srt_secret_drained(struct srt_engine *engine, struct srt_secret *secret,
                       uint64_t generation)
{
    for (size_t i = 0; i < sizeof(secret->past) / sizeof(secret->past[0]); i++)
        if (secret->past[i].lease != NULL && secret->past[i].generation == generation) {
            srt_lease_drain_now(engine, secret->past[i].lease);
            return 0;
        }
    return SECRETRT_ERR_NOT_FOUND;
}
