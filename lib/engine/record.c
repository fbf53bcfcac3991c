/* What the audit is told of a node, a lease, a failure. */
#include "base/status.h"
#include "engine/graph.h"
#include <string.h>

void srt_record_lease(struct srt_record *out, const struct srt_engine *engine,
                      const struct srt_node *node, const struct srt_lease *lease,
                      const char *event)
{
    int64_t end;

    memset(out, 0, sizeof(*out));
    out->event = event;
    out->outcome = "success";
    out->name = "";
    out->source = node->ref.text;
    out->provider = node->provider->scheme;
    out->at_ms = engine->wall_ms;
    out->count = 1;
    out->ttl_ms = -1;
    out->latency_ms = -1;
    out->tier = node->plan.tier;
    if (lease == NULL)
        return;
    end = srt_lease_end(lease, &out->limited_by);
    out->principal = lease->grant.principal;
    out->version = lease->grant.version;
    out->lease_id = srt_buf_text(&lease->grant.lease_id);
    out->request_id = lease->grant.request_id;
    out->ttl_ms = lease->granted_ms == SRT_NEVER ? -1 : lease->granted_ms;
    out->expires_at_ms =
        end == SRT_NEVER ? 0 : engine->wall_ms + (end - engine->now_ms);
    out->renewals = lease->renewals;
    out->renewable = lease->grant.renewable;
    out->tier = lease->grant.tier;
    out->weakest_tier = lease->weakest_tier;
}

void srt_record_failure(struct srt_record *record, const struct srt_failure *failure)
{
    int denied = failure->failure_class == SRT_CLASS_DENIED ||
                 failure->failure_class == SRT_CLASS_LOGIN ||
                 failure->failure_class == SRT_CLASS_AUTH;

    record->outcome = denied ? "denied" : "failure";
    record->reason = failure->error.message;
    record->status = failure->error.status;
    record->http_status = failure->error.http_status;
    if (failure->error.request_id[0] != '\0')
        record->request_id = failure->error.request_id;
}

/* Which generation of the secret a lease is, or was. */
static uint64_t record_generation(const struct srt_secret *secret,
                                  const struct srt_node *node,
                                  const struct srt_lease *lease)
{
    if (lease == NULL || lease == secret->published)
        return srt_secret_is_on(secret, node) ? secret->generation : 0;
    for (size_t i = 0; i < sizeof(secret->past) / sizeof(secret->past[0]); i++)
        if (secret->past[i].lease == lease)
            return secret->past[i].generation;
    return lease->state == SRT_LEASE_CANDIDATE ? secret->generation + 1 : 0;
}

/* One record for each secret that the node serves, or one without a name. */
void srt_record_node(struct srt_engine *engine, struct srt_node *node,
                     const struct srt_lease *lease, struct srt_record *record)
{
    const struct srt_listener *listener = engine->listener;
    struct srt_list *it, *tmp;
    struct srt_secret *secret;
    int told = 0;

    SRT_EACH_SECRET_OF(node, secret, it, tmp)
    {
        record->generation = record_generation(secret, node, lease);
        record->name = secret->spec->name;
        listener->record(listener->self, record, NULL);
        told = 1;
    }
    if (!told)
        listener->record(listener->self, record, NULL);
}
