/* What the engine says, on the renewal thread: kept for those who wait, queued as
 * events. */
#include "api/client.h"
#include "base/alloc.h"
#include "base/status.h"
#include <string.h>

/* The renewal thread is the one that retires what the cell holds: no pin is needed. */
static void listen_remember(struct srt_managed *managed)
{
    const struct secretrt_value *value =
        atomic_load_explicit(&managed->cell.value, memory_order_relaxed);

    if (value == NULL || value->bundle == managed->recent[0])
        return;
    srt_bundle_unref(managed->recent[SRT_RECENT_MAX - 1]);
    memmove(&managed->recent[1], &managed->recent[0],
            (SRT_RECENT_MAX - 1) * sizeof(managed->recent[0]));
    managed->recent[0] = srt_bundle_ref(value->bundle);
}

static void listen_settled(void *self, struct srt_secret *secret, enum srt_settled how,
                           const struct secretrt_error *error)
{
    struct secretrt_client *client = self;
    struct srt_managed *managed = srt_secret_data(secret);

    srt_lock_take(&client->lock);
    managed->settled = how;
    managed->settles++;
    if (error != NULL) {
        managed->failure = *error;
        managed->failure_final = how == SRT_SETTLED_FAILED;
        if (managed->ticket == NULL) {
            srt_value_drop(managed->candidate);
            managed->candidate = NULL;
        }
    } else if (how == SRT_SETTLED_PUBLISHED || how == SRT_SETTLED_CONFIRMED) {
        srt_error_clear(&managed->failure);
        managed->failure_final = 0;
        managed->expired = 0;
        listen_remember(managed);
        srt_value_drop(managed->candidate);
        managed->candidate = NULL;
    }
    srt_cond_signal_all(&client->changed);
    srt_lock_give(&client->lock);
}

static void listen_push(struct secretrt_client *client, struct srt_managed *managed,
                        const struct srt_notice *notice)
{
    struct srt_list *it, *tmp;

    SRT_LIST_EACH(it, tmp, &managed->handles)
    srt_event_push(client, &SRT_CONTAINER(it, struct secretrt_secret, link)->target,
                   notice);
    if (srt_list_empty(&managed->handles))
        srt_event_push(client, &managed->target, notice);
}

static void listen_notice(void *self, struct srt_secret *secret,
                          const struct srt_notice *notice)
{
    struct secretrt_client *client = self;
    struct srt_managed *managed = srt_secret_data(secret);

    srt_lock_take(&client->lock);
    if (notice->kind == SECRETRT_EVENT_EXPIRED)
        managed->expired = 1;
    listen_push(client, managed, notice);
    srt_lock_give(&client->lock);
}

static int listen_record(void *self, const struct srt_record *record,
                         struct srt_ticket *ticket)
{
    return srt_pump_record(((struct secretrt_client *)self)->pump, record, ticket);
}

static void listen_log(void *self, int level, const char *message)
{
    srt_client_log(self, level, message);
}

static void listen_hash(void *self, char *out, size_t cap, const char *lease_id)
{
    srt_pump_hash(((struct secretrt_client *)self)->pump, out, cap, lease_id);
}

/* ---- verification ---- */

struct listen_answer {
    struct srt_job job;
    struct secretrt_client *client;
    struct srt_ticket *ticket;
    struct secretrt_value *candidate; /* for a verify function */
    secretrt_verify_fn *verify;
    void *data;
    int status;
};

static void listen_answered(struct srt_job *job)
{
    struct listen_answer *answer = SRT_CONTAINER(job, struct listen_answer, job);

    srt_engine_answered(answer->client->engine, answer->ticket, answer->status);
    srt_free(answer);
}

/* Runs on the loop before its next turn. Out of memory is no reason to lose a ticket.
 */
static void listen_post(struct listen_answer *answer)
{
    answer->job.run = listen_answered;
    srt_loop_post(answer->client->loop, &answer->job);
}

static void listen_verify_run(struct srt_job *job)
{
    struct listen_answer *answer = SRT_CONTAINER(job, struct listen_answer, job);

    answer->status =
        answer->verify(answer->candidate, answer->data) == 0 ? 0 : SECRETRT_ERR_DENIED;
    srt_value_drop(answer->candidate);
    answer->candidate = NULL;
    listen_post(answer);
}

static const struct secretrt_secret *listen_verifier(const struct srt_managed *managed)
{
    struct srt_list *it;

    for (it = managed->handles.next; it != &managed->handles; it = it->next)
        if (SRT_CONTAINER(it, struct secretrt_secret, link)->verify != NULL)
            return SRT_CONTAINER(it, struct secretrt_secret, link);
    return NULL;
}

static int listen_verify_by(struct secretrt_client *client,
                            struct listen_answer *answer)
{
    int rc = 0;

    if (client->verifier == NULL)
        rc = srt_worker_new(&client->verifier, "secretrt-verify");
    answer->job.run = listen_verify_run;
    if (rc == 0)
        rc = srt_worker_post(client->verifier, &answer->job);
    return rc;
}

static void listen_ask_application(struct secretrt_client *client,
                                   struct srt_managed *managed,
                                   struct secretrt_value *candidate,
                                   struct srt_ticket *ticket)
{
    struct srt_notice notice = {.kind = SECRETRT_EVENT_VERIFY,
                                .tier = candidate->info.tier,
                                .generation = candidate->info.generation,
                                .until_ms = INT64_MAX,
                                .message = "a candidate waits for a verdict"};

    managed->candidate = srt_value_hold(candidate);
    managed->ticket = ticket;
    listen_push(client, managed, &notice);
}

static int listen_verify(void *self, struct srt_secret *secret,
                         struct secretrt_value *candidate, struct srt_ticket *ticket)
{
    struct secretrt_client *client = self;
    struct srt_managed *managed = srt_secret_data(secret);
    struct listen_answer *answer = srt_alloc(sizeof(*answer));
    const struct secretrt_secret *handle;
    struct srt_ticket *old;
    int rc = SRT_TICKET_LATER;

    if (answer == NULL)
        return SECRETRT_ERR_NOMEM;
    srt_lock_take(&client->lock);
    old = managed->ticket;
    managed->ticket = NULL;
    srt_value_drop(managed->candidate);
    managed->candidate = NULL;
    handle = listen_verifier(managed);
    if (handle != NULL) {
        *answer = (struct listen_answer){.client = client,
                                         .ticket = ticket,
                                         .candidate = srt_value_hold(candidate),
                                         .verify = handle->verify,
                                         .data = handle->target.data};
    } else {
        listen_ask_application(client, managed, candidate, ticket);
    }
    srt_lock_give(&client->lock);
    if (handle != NULL && (rc = listen_verify_by(client, answer)) == 0) {
        rc = SRT_TICKET_LATER;
        answer = NULL;
    } else if (handle != NULL) {
        srt_value_drop(answer->candidate);
    }
    srt_free(answer);
    if (old != NULL) /* an older candidate's verdict is not awaited any more */
        srt_engine_answered(client->engine, old, SECRETRT_ERR_CANCELLED);
    return rc;
}

int secretrt_secret_verdict(struct secretrt_secret *secret, uint64_t generation,
                            int result, struct secretrt_error *err)
{
    struct listen_answer *answer;
    struct secretrt_client *client;
    struct srt_managed *managed;
    int rc = 0;

    srt_error_clear(err);
    if (secret == NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "secretrt_secret_verdict: secret is NULL");
    managed = secret->managed;
    client = managed->client;
    if (client == NULL)
        return srt_fail(err, SECRETRT_ERR_CLOSED, "the client is closed");
    answer = srt_alloc(sizeof(*answer));
    if (answer == NULL)
        return srt_nomem(err);
    srt_lock_take(&client->lock);
    if (managed->ticket == NULL || managed->candidate == NULL ||
        managed->candidate->info.generation != generation) {
        rc = srt_fail(err, SECRETRT_ERR_NOT_FOUND,
                      "%s: no such candidate waits for a verdict", managed->spec->name);
    } else {
        answer->client = client;
        answer->ticket = managed->ticket;
        answer->status = result == 0 ? 0 : SECRETRT_ERR_DENIED;
        managed->ticket = NULL;
    }
    srt_lock_give(&client->lock);
    if (rc != 0) {
        srt_free(answer);
        return rc;
    }
    listen_post(answer);
    return 0;
}

/* The loop has stopped: what waits for a verdict gets none. */
void srt_listen_verdicts_drop(struct secretrt_client *client)
{
    struct srt_list *it, *tmp;

    SRT_LIST_EACH(it, tmp, &client->managed)
    {
        struct srt_managed *managed = SRT_CONTAINER(it, struct srt_managed, link);

        if (managed->ticket != NULL)
            srt_engine_answered(client->engine, managed->ticket, SECRETRT_ERR_CLOSED);
        managed->ticket = NULL;
    }
}

void srt_listen_init(struct secretrt_client *client)
{
    client->listener = (struct srt_listener){.self = client,
                                             .settled = listen_settled,
                                             .notice = listen_notice,
                                             .record = listen_record,
                                             .verify = listen_verify,
                                             .log = listen_log,
                                             .hash = listen_hash};
}
