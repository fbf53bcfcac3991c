/* The sources of a secret, best first: which one serves, when the next one may be used,
 * and what policy and configuration let through. A lower source serves only while the
 * higher ones can't; they are kept trying, and the secret climbs back. */
#include "codec/text.h"
#include "engine/graph.h"

#define SOURCES_SHARE_MS 3000     /* how long one may stay silent before the next */
#define SOURCES_DEADLINE_MS 10000 /* shared by them */
#define SOURCES_TIER_FALLBACK 4

/* ---- what may be published ---- */

static int sources_policy(const struct srt_engine *engine,
                          const struct srt_secret *secret, int tier,
                          struct secretrt_error *err)
{
    const struct srt_secret_config *own = &secret->spec->config;
    int weakest = engine->config->policy.weakest_tier;
    int64_t until = engine->config->policy.tier4_until_ms;
    char day[32];

    if (own->weakest_tier != 0 && own->weakest_tier < weakest)
        weakest = own->weakest_tier;
    if (own->tier4_until_ms != 0 && (until == 0 || own->tier4_until_ms < until))
        until = own->tier4_until_ms;
    if (tier > weakest)
        return srt_fail(err, SECRETRT_ERR_POLICY,
                        "%s: tier %d is refused: \"weakest_tier\" is %d",
                        secret->spec->name, tier, weakest);
    if (tier == SOURCES_TIER_FALLBACK && until != 0 && engine->wall_ms >= until)
        return srt_fail(
            err, SECRETRT_ERR_POLICY,
            "%s: tier 4 is refused: its last day, \"tier4_until\", was %.10s",
            secret->spec->name, srt_rfc3339_format(day, sizeof(day), until));
    return 0;
}

static int sources_fields(const struct srt_secret *secret,
                          const struct srt_lease *lease, struct secretrt_error *err)
{
    const struct srt_secret_config *config = &secret->spec->config;
    const struct srt_bundle *bundle = lease->grant.bundle;
    const char *field = secret->spec->field;

    if (field == NULL)
        field = secret->source[srt_secret_uses(secret, lease->node)].field;
    if (field != NULL && srt_bundle_field(bundle, field, NULL) == NULL)
        return srt_fail(err, SECRETRT_ERR_NO_FIELD, "%s has no field \"%s\"",
                        lease->node->ref.text, field);
    for (size_t i = 0; i < config->fields; i++)
        if (srt_bundle_field(bundle, config->field[i], NULL) == NULL)
            return srt_fail(err, SECRETRT_ERR_NO_FIELD, "%s has no field \"%s\"",
                            lease->node->ref.text, config->field[i]);
    return 0;
}

int srt_sources_admit(const struct srt_engine *engine, const struct srt_secret *secret,
                      const struct srt_lease *lease, struct secretrt_error *err)
{
    int weakest = engine->config->policy.weakest_credential_tier;
    int rc = sources_policy(engine, secret, lease->grant.tier, err);

    if (rc == 0 && lease->weakest_tier > weakest)
        rc = srt_fail(
            err, SECRETRT_ERR_POLICY,
            "%s: a credential of tier %d led to it: \"weakest_credential_tier\" is %d",
            secret->spec->name, lease->weakest_tier, weakest);
    return rc == 0 ? sources_fields(secret, lease, err) : rc;
}

int srt_sources_would_use(const struct srt_engine *engine,
                          const struct srt_secret *secret, int source)
{
    return secret->source[source].wanted &&
           (secret->active < 0 || source <= secret->active ||
            !srt_node_live(engine, secret->source[secret->active].node));
}

/* ---- which one serves ---- */

static int64_t sources_share_ms(const struct srt_secret *secret)
{
    int64_t share = SOURCES_DEADLINE_MS / (int64_t)secret->spec->config.sources;

    return share < SOURCES_SHARE_MS ? share : SOURCES_SHARE_MS;
}

/* Not configured: at once. Unreachable, ill, throttled or silent: after its share. A
 * denial, a wrong configuration or a broken answer: never. */
int srt_sources_falls(const struct srt_engine *engine, const struct srt_secret *secret,
                      size_t source)
{
    const struct srt_node *node = secret->source[source].node;
    enum srt_class failure = node->failure.failure_class;
    int64_t share = sources_share_ms(secret) * (int64_t)(source + 1);

    if (secret->source[source].failed_policy || failure == SRT_CLASS_ABSENT)
        return 1;
    if (failure == SRT_CLASS_NOT_FOUND)
        return secret->spec->config.fallback_on_not_found;
    if (srt_class_final(failure) || node->candidate != NULL ||
        srt_node_live(engine, node))
        return 0;
    return secret->begun_ms != SRT_NEVER && engine->now_ms - secret->begun_ms >= share;
}

/* When the next one may be used, if it is only time that is missing. */
static void sources_come_again(struct srt_engine *engine, struct srt_secret *secret)
{
    for (size_t i = 1; i < secret->spec->config.sources; i++) {
        int64_t at = secret->begun_ms + sources_share_ms(secret) * (int64_t)i;

        if (at > engine->now_ms) {
            srt_due_set(engine, &secret->due, at);
            return;
        }
    }
}

/* 1: it is of use, and wanted now; 0: policy forbids it. */
static int sources_begin(struct srt_engine *engine, struct srt_secret *secret, size_t i,
                         struct secretrt_error *err)
{
    struct srt_source *source = &secret->source[i];
    int tier = source->node->plan.tier;

    source->failed_policy = tier != 0 ? sources_policy(engine, secret, tier, err) : 0;
    if (source->failed_policy)
        return 0;
    if (!source->wanted) {
        source->wanted = 1;
        srt_node_want(engine, source->node);
    }
    return 1;
}

/* Takes the first source that may be used and is live, from the best down. */
void srt_sources_consider(struct srt_engine *engine, struct srt_secret *secret)
{
    size_t n = secret->spec->config.sources, forbidden = 0;
    struct secretrt_error error;

    if (!secret->wanted || engine->closing)
        return;
    srt_error_clear(&error);
    for (size_t i = 0; i < n && (secret->active < 0 || i < (size_t)secret->active);
         i++) {
        if (!sources_begin(engine, secret, i, &error)) {
            forbidden++;
        } else if (srt_node_live(engine, secret->source[i].node)) {
            srt_gate_join(engine, secret, (int)i);
            return;
        }
        if (!srt_sources_falls(engine, secret, i))
            break;
    }
    if (secret->active >= 0)
        return;
    if (forbidden == n)
        srt_secret_settle(engine, secret, SRT_SETTLED_FAILED, &error);
    else
        sources_come_again(engine, secret);
}

/* A better one serves: what is below is given back. */
void srt_sources_release_lower(struct srt_engine *engine, struct srt_secret *secret)
{
    for (size_t i = (size_t)secret->active + 1; i < secret->spec->config.sources; i++)
        if (secret->source[i].wanted) {
            secret->source[i].wanted = 0;
            srt_node_unwant(engine, secret->source[i].node);
        }
}
