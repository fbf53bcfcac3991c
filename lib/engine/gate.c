/* The gate: what stands between a grant and its publication. A candidate is offered to
 * each secret that would be served by it: policy and fields are looked at, its audit
 * record is written, the application is asked to try it. The answers come by tickets,
 * at once or later. A secret that joins a lease already in force passes the same gate,
 * on its own. */
#include "base/alloc.h"
#include "engine/graph.h"
#include <string.h>

#define GATE_VERDICT_MS 10000 /* the first value is published without one then */
#define GATE_NOMEM_MS 1000

/* A secret on its way into a lease that is in force. */
struct srt_gate {
    struct srt_due due;
    struct srt_secret *secret; /* NULL: it was closed, or needs this one no more */
    struct srt_lease *lease;   /* a reference */
    int source;
    unsigned records;
    unsigned verdicts;
    int overdue;
    int lasting; /* the refusal stands for this generation */
    struct secretrt_error refusal;
};

/* One answer that is still out: a candidate's, or a joining secret's. */
struct srt_ticket {
    struct srt_lease *lease; /* a reference */
    struct srt_gate *gate;
    int verdict;
};

static int gate_refused(struct secretrt_error *error, int status, int verdict)
{
    srt_error_clear(error);
    return srt_fail(error, status,
                    verdict
                        ? "the new value was refused by its verification"
                        : "the access could not be recorded, and audit is required");
}

/* ---- candidates ---- */

static void gate_refuse(struct srt_lease *candidate, enum srt_class failure_class,
                        const struct secretrt_error *error)
{
    if (candidate->refusal != 0 || candidate->state != SRT_LEASE_CANDIDATE)
        return;
    candidate->refusal = error->status;
    srt_node_blame(candidate->node, failure_class, error->message);
    candidate->node->failure.error.status = error->status;
}

static void gate_refuse_nomem(struct srt_lease *candidate)
{
    struct secretrt_error error;

    srt_error_clear(&error);
    srt_nomem(&error);
    gate_refuse(candidate, SRT_CLASS_NOMEM, &error);
}

/* Opens once all have been asked and have answered, or one has refused. */
static void gate_try(struct srt_engine *engine, struct srt_lease *candidate)
{
    struct srt_node *node = candidate->node;

    if (candidate->state != SRT_LEASE_CANDIDATE || node->candidate != candidate)
        return;
    if (candidate->refusal == 0) {
        if (candidate->records == 0 && (candidate->verdicts == 0 || candidate->overdue))
            srt_machine_feed(engine, node, SRT_EVENT_GRANTED);
        return;
    }
    node->candidate = NULL;
    srt_lease_retire(engine, candidate);
    node->acquiring = 0;
    srt_machine_feed(engine, node, srt_class_event(node->failure.failure_class));
}

/* A verdict that never comes does not stop publication: until the present value would
 * end, or for the first one until the fetch timeout. A record that is not written does.
 */
void srt_gate_overdue(struct srt_engine *engine, struct srt_lease *candidate)
{
    struct srt_record record;

    if (candidate->node->candidate != candidate || candidate->verdicts == 0)
        return;
    candidate->overdue = 1;
    srt_record_lease(&record, engine, candidate->node, candidate, "secret.unverified");
    record.reason = "no verdict came in time";
    srt_record_node(engine, candidate->node, candidate, &record);
    srt_engine_log(engine, 4, "%s: published without a verdict",
                   candidate->node->ref.text);
    gate_try(engine, candidate);
}

/* ---- tickets ---- */

static void gate_joined(struct srt_engine *engine, struct srt_gate *gate);

static unsigned *gate_waits(struct srt_lease *lease, struct srt_gate *gate, int verdict)
{
    if (gate != NULL)
        return verdict ? &gate->verdicts : &gate->records;
    return verdict ? &lease->verdicts : &lease->records;
}

static void gate_answer(struct srt_engine *engine, struct srt_ticket *ticket,
                        int status)
{
    struct srt_lease *lease = ticket->lease;
    struct srt_gate *gate = ticket->gate;
    int verdict = ticket->verdict;
    struct secretrt_error error;

    srt_free(ticket);
    --*gate_waits(lease, gate, verdict);
    if (status != 0)
        gate_refused(&error, status, verdict);
    if (gate != NULL) {
        if (status != 0 && gate->refusal.status == 0) {
            gate->refusal = error;
            gate->lasting = verdict;
        }
        gate_joined(engine, gate);
    } else {
        if (status != 0)
            gate_refuse(lease, SRT_CLASS_CONFIG, &error);
        gate_try(engine, lease);
    }
    srt_lease_unref(engine, lease);
}

void srt_engine_answered(struct srt_engine *engine, struct srt_ticket *ticket,
                         int status)
{
    srt_engine_look(engine);
    gate_answer(engine, ticket, status);
}

static struct srt_ticket *gate_ticket(struct srt_lease *lease, struct srt_gate *gate,
                                      int verdict)
{
    struct srt_ticket *ticket = srt_alloc(sizeof(*ticket));

    if (ticket == NULL)
        return NULL;
    ticket->lease = lease;
    ticket->gate = gate;
    ticket->verdict = verdict;
    srt_lease_ref(lease);
    ++*gate_waits(lease, gate, verdict);
    return ticket;
}

static int gate_record(struct srt_engine *engine, struct srt_lease *lease,
                       struct srt_gate *gate, const struct srt_record *record)
{
    struct srt_ticket *ticket = gate_ticket(lease, gate, 0);
    int rc;

    if (ticket == NULL)
        return SECRETRT_ERR_NOMEM;
    rc = engine->listener->record(engine->listener->self, record, ticket);
    if (rc != SRT_TICKET_LATER)
        gate_answer(engine, ticket, rc);
    return 0;
}

static int gate_verify(struct srt_engine *engine, struct srt_secret *secret, int source,
                       struct srt_lease *lease, struct srt_gate *gate)
{
    const struct srt_listener *listener = engine->listener;
    struct secretrt_value *value = NULL;
    struct srt_ticket *ticket;
    int rc;

    if (!secret->spec->config.verify)
        return 0;
    if (srt_secret_value(&value, engine, secret, lease, source) != 0)
        return SECRETRT_ERR_NOMEM;
    ticket = gate_ticket(lease, gate, 1);
    if (ticket == NULL) {
        srt_value_drop(value);
        return SECRETRT_ERR_NOMEM;
    }
    rc = listener->verify(listener->self, secret, value, ticket);
    srt_value_drop(value);
    if (rc != SRT_TICKET_LATER)
        gate_answer(engine, ticket, rc);
    return 0;
}

/* ---- what a secret says of a lease ---- */

static void gate_describe(struct srt_record *record, const struct srt_engine *engine,
                          const struct srt_secret *secret,
                          const struct srt_lease *lease)
{
    srt_record_lease(record, engine, lease->node, lease,
                     srt_buf_text(&lease->grant.lease_id)[0] != '\0'
                         ? "lease.acquire"
                         : "secret.refetch");
    record->name = secret->spec->name;
    record->generation = secret->generation + 1;
}

/* 0, or why this secret may not be served by it: recorded. */
static int gate_admit(struct srt_engine *engine, struct srt_secret *secret, int source,
                      const struct srt_lease *lease, struct secretrt_error *err)
{
    struct srt_record record;
    int rc = srt_sources_admit(engine, secret, lease, err);

    if (rc == 0)
        return 0;
    secret->source[source].refused = lease->generation;
    gate_describe(&record, engine, secret, lease);
    record.event = "secret.deny";
    record.outcome = "denied";
    record.reason = err->message;
    record.status = rc;
    engine->listener->record(engine->listener->self, &record, NULL);
    return rc;
}

static void gate_tell_refusal(struct srt_engine *engine, struct srt_secret *secret,
                              const struct secretrt_error *error)
{
    srt_secret_notice(engine, secret, SECRETRT_EVENT_FAILED, error->status,
                      engine->now_ms, error->message);
    srt_secret_settle(engine, secret, SRT_SETTLED_FAILED, error);
}

/* ---- offering a candidate ---- */

/* 1: this secret takes it; 0: it may not; the error is why. */
static int gate_ask(struct srt_engine *engine, struct srt_secret *secret,
                    struct srt_lease *candidate, struct secretrt_error *error)
{
    int source = srt_secret_uses(secret, candidate->node);
    struct srt_record record;

    srt_error_clear(error);
    if (gate_admit(engine, secret, source, candidate, error) != 0)
        return 0;
    secret->source[source].admitted = candidate->generation;
    gate_describe(&record, engine, secret, candidate);
    if (gate_record(engine, candidate, NULL, &record) != 0 ||
        (candidate->refusal == 0 &&
         gate_verify(engine, secret, source, candidate, NULL) != 0))
        gate_refuse_nomem(candidate);
    return 1;
}

/* Nobody waits for it by name: a login, or a credential. */
static void gate_record_only(struct srt_engine *engine, struct srt_lease *candidate)
{
    struct srt_record record;

    srt_record_lease(&record, engine, candidate->node, candidate,
                     candidate->node->plan.login ? "auth.login" : "secret.refetch");
    if (gate_record(engine, candidate, NULL, &record) != 0)
        gate_refuse_nomem(candidate);
}

/* It goes into force for others: those whom it does not suit wait for nothing. */
static void gate_tell_refused(struct srt_engine *engine, struct srt_node *node,
                              const struct srt_lease *candidate)
{
    struct srt_list *it, *tmp;
    struct srt_secret *secret;
    struct secretrt_error error;

    SRT_EACH_SECRET_OF(node, secret, it, tmp)
    {
        int source = srt_secret_uses(secret, node);

        srt_error_clear(&error);
        if (secret->source[source].refused == candidate->generation &&
            srt_sources_admit(engine, secret, candidate, &error) != 0)
            gate_tell_refusal(engine, secret, &error);
    }
}

void srt_gate_offer(struct srt_engine *engine, struct srt_node *node,
                    struct srt_lease *candidate)
{
    struct srt_list *it, *tmp;
    struct srt_secret *secret;
    struct secretrt_error error, refusal;
    int64_t until = engine->now_ms + GATE_VERDICT_MS;
    int takers = 0, refusals = 0;

    SRT_EACH_SECRET_OF(node, secret, it, tmp)
    {
        if (!srt_sources_would_use(engine, secret, srt_secret_uses(secret, node)))
            continue;
        if (gate_ask(engine, secret, candidate, &error)) {
            takers++;
            continue;
        }
        if (refusals++ == 0)
            refusal = error;
    }
    if (takers == 0 && refusals > 0)
        gate_refuse(candidate, SRT_CLASS_CONFIG, &refusal);
    else if (refusals > 0)
        gate_tell_refused(engine, node, candidate);
    if (takers == 0 && refusals == 0)
        gate_record_only(engine, candidate);
    if (node->current != NULL && srt_lease_end(node->current, NULL) != SRT_NEVER)
        until = srt_lease_end(node->current, NULL) - node->current->terms.budget_ms / 2;
    if (candidate->verdicts > 0)
        srt_due_set(engine, &candidate->due, until);
    node->candidate = candidate; /* all have been asked */
    gate_try(engine, candidate);
}

/* ---- joining a lease in force ---- */

static void gate_free(struct srt_engine *engine, struct srt_gate *gate)
{
    if (gate->secret != NULL)
        gate->secret->gate = NULL;
    srt_due_wipe(engine, &gate->due);
    srt_lease_unref(engine, gate->lease);
    srt_free(gate);
}

/* The secret goes its way; what is still out finds nobody. */
void srt_gate_leave(struct srt_engine *engine, struct srt_secret *secret)
{
    struct srt_gate *gate = secret->gate;

    if (gate == NULL)
        return;
    gate->secret->gate = NULL;
    gate->secret = NULL;
    if (gate->records + gate->verdicts == 0)
        gate_free(engine, gate);
}

static void gate_joined(struct srt_engine *engine, struct srt_gate *gate)
{
    struct srt_secret *secret = gate->secret;
    struct secretrt_error refusal = gate->refusal;
    struct srt_node *node;
    uint64_t generation = gate->lease->generation;
    int source = gate->source, lasting = gate->lasting;

    if (secret != NULL && refusal.status == 0 &&
        (gate->records > 0 || (gate->verdicts > 0 && !gate->overdue)))
        return;
    if (gate->records + gate->verdicts == 0)
        gate_free(engine, gate);
    if (secret == NULL)
        return;
    srt_gate_leave(engine, secret);
    node = secret->source[source].node;
    if (refusal.status != 0) {
        if (lasting)
            secret->source[source].refused = generation;
        else
            srt_due_set(engine, &secret->due, engine->now_ms + SRT_SLOW_LEAST_MS);
        gate_tell_refusal(engine, secret, &refusal);
    } else if (node->current != NULL && node->current->generation == generation) {
        secret->source[source].admitted = generation;
        srt_secret_publish(engine, secret, node);
    } else {
        srt_sources_consider(engine, secret);
    }
}

static void gate_fire(struct srt_engine *engine, struct srt_due *due)
{
    struct srt_gate *gate = SRT_CONTAINER(due, struct srt_gate, due);

    gate->overdue = 1;
    srt_engine_log(engine, 4, "%s: published without a verdict",
                   gate->lease->node->ref.text);
    gate_joined(engine, gate);
}

static struct srt_gate *gate_new(struct srt_engine *engine, struct srt_secret *secret,
                                 int source)
{
    struct srt_gate *gate = srt_alloc(sizeof(*gate));

    if (gate == NULL || srt_due_init(engine, &gate->due, gate_fire) != 0) {
        srt_free(gate);
        return NULL;
    }
    gate->secret = secret;
    gate->source = source;
    gate->lease = secret->source[source].node->current;
    srt_lease_ref(gate->lease);
    srt_error_clear(&gate->refusal);
    secret->gate = gate;
    return gate;
}

void srt_gate_join(struct srt_engine *engine, struct srt_secret *secret, int source)
{
    struct srt_lease *lease = secret->source[source].node->current;
    struct srt_gate *gate = secret->gate;
    struct secretrt_error error;
    struct srt_record record;

    if ((gate != NULL && gate->lease == lease) ||
        secret->source[source].refused == lease->generation)
        return;
    srt_gate_leave(engine, secret);
    srt_error_clear(&error);
    if (gate_admit(engine, secret, source, lease, &error) != 0) {
        gate_tell_refusal(engine, secret, &error);
        return;
    }
    gate = gate_new(engine, secret, source);
    if (gate == NULL) {
        srt_due_set(engine, &secret->due, engine->now_ms + GATE_NOMEM_MS);
        return;
    }
    gate->records = 1; /* ours, until all have been asked */
    gate_describe(&record, engine, secret, lease);
    if (gate_record(engine, lease, gate, &record) != 0 ||
        (gate->secret != NULL && gate_verify(engine, secret, source, lease, gate) != 0))
        srt_nomem(&gate->refusal);
    gate->records--;
    if (gate->verdicts > 0)
        srt_due_set(engine, &gate->due, engine->now_ms + GATE_VERDICT_MS);
    gate_joined(engine, gate);
}
