/* What the engine says, on the renewal thread: kept for those who wait, queued as
 * events. */
#include "api/client.h"
#include "base/alloc.h"
#include "base/heap.h"
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

/* Who did not wait learns by an event how it ended; the engine has none for "no change"
 * nor for a failure that it has told before. */
static void listen_owed(struct secretrt_client *client, struct srt_managed *managed,
                        enum srt_settled how, const struct secretrt_error *error)
{
    struct srt_notice notice = {.kind = SECRETRT_EVENT_FAILED,
                                .status = SECRETRT_ERR_UNCHANGED,
                                .until_ms = SRT_NEVER,
                                .message = "the store still holds the same value"};
    const struct secretrt_value *live;

    if (how == SRT_SETTLED_TRYING || managed->pending_at == 0 ||
        managed->pending_at > managed->taken_at)
        return;
    managed->pending_at = 0;
    if (how == SRT_SETTLED_PUBLISHED)
        return;
    if (error != NULL) {
        notice.status = error->status;
        notice.message = error->message;
    }
    /* the renewal thread itself: nobody else publishes */
    live = atomic_load_explicit(&managed->cell.value, memory_order_relaxed);
    if (live != NULL) {
        notice.generation = live->info.generation;
        notice.tier = live->info.tier;
        notice.until_ms =
            atomic_load_explicit(&live->life->end_ms, memory_order_relaxed);
    }
    listen_push(client, managed, &notice);
}

static void listen_answered(struct srt_job *job);

/* On the loop, before its next turn: the engine must not be called from its own call.
 */
static void listen_post(struct srt_answer *answer, int status)
{
    answer->status = status;
    answer->job.run = listen_answered;
    srt_loop_post(answer->client->loop, &answer->job);
}

void srt_listen_settle(struct srt_managed *managed, enum srt_settled how,
                       const struct secretrt_error *error)
{
    struct secretrt_client *client = managed->client;
    struct srt_answer *answer = NULL;

    srt_lock_take(&client->lock);
    managed->answered_at = managed->taken_at;
    if (how == SRT_SETTLED_UNCHANGED)
        managed->unchanged_at = managed->taken_at;
    if (error != NULL) {
        managed->failure = *error;
        managed->failure_final = how == SRT_SETTLED_FAILED;
    } else {
        srt_error_clear(&managed->failure);
        managed->failure_final = 0;
        managed->expired = 0;
        listen_remember(managed);
    }
    if (how == SRT_SETTLED_PUBLISHED) { /* by its verdict, without, or another one */
        answer = managed->answer;
        managed->answer = NULL;
    }
    listen_owed(client, managed, how, error);
    srt_cond_signal_all(&client->changed);
    srt_lock_give(&client->lock);
    if (answer != NULL)
        listen_post(answer, SECRETRT_ERR_CANCELLED);
}

static void listen_settled(void *self, struct srt_secret *secret, enum srt_settled how,
                           const struct secretrt_error *error)
{
    (void)self;
    srt_listen_settle(srt_secret_data(secret), how, error);
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

void srt_answer_free(struct srt_answer *answer)
{
    if (answer == NULL)
        return;
    srt_value_drop(answer->candidate);
    srt_free(answer);
}

static void listen_answered(struct srt_job *job)
{
    struct srt_answer *answer = SRT_CONTAINER(job, struct srt_answer, job);

    srt_engine_answered(answer->client->engine, answer->ticket, answer->status);
    srt_answer_free(answer);
}

static struct secretrt_secret *listen_verifier(const struct srt_managed *managed)
{
    struct srt_list *it;

    for (it = managed->handles.next; it != &managed->handles; it = it->next) {
        struct secretrt_secret *handle =
            SRT_CONTAINER(it, struct secretrt_secret, link);

        if (handle->verify != NULL && !handle->closed)
            return handle;
    }
    return NULL;
}

/* The handle may have been closed since the candidate came: then nobody objects. */
static void listen_verify_run(struct srt_job *job)
{
    struct srt_answer *answer = SRT_CONTAINER(job, struct srt_answer, job);
    struct secretrt_client *client = answer->client;
    struct secretrt_secret *handle;
    int status = 0;

    srt_lock_take(&client->lock);
    handle = client->ending ? NULL : listen_verifier(answer->managed);
    client->verifying = handle;
    srt_lock_give(&client->lock);
    if (handle != NULL && handle->verify(answer->candidate, handle->target.data) != 0)
        status = SECRETRT_ERR_DENIED;
    srt_lock_take(&client->lock);
    client->verifying = NULL;
    if (handle != NULL && handle->closed && client->running != handle)
        srt_managed_let_go(client, handle);
    srt_managed_leave(answer->managed);
    srt_cond_signal_all(&client->changed);
    srt_lock_give(&client->lock);
    listen_post(answer, status);
    srt_client_close_if_asked(client);
}

/* Lock held; the thread starts with the first verification. */
static int listen_verify_by(struct secretrt_client *client, struct srt_answer *answer)
{
    int rc = 0;

    if (client->verifier == NULL)
        rc = srt_worker_new(&client->verifier, "secretrt-verify");
    answer->job.run = listen_verify_run;
    srt_managed_enter(answer->managed);
    if (rc == 0)
        rc = srt_worker_post(client->verifier, &answer->job);
    if (rc != 0)
        srt_managed_leave(answer->managed);
    return rc;
}

static void listen_ask_application(struct secretrt_client *client,
                                   struct srt_answer *answer)
{
    struct srt_notice notice = {.kind = SECRETRT_EVENT_VERIFY,
                                .tier = answer->candidate->info.tier,
                                .generation = answer->candidate->info.generation,
                                .until_ms = SRT_NEVER,
                                .message = "a candidate waits for a verdict"};

    answer->managed->answer = answer;
    listen_push(client, answer->managed, &notice);
}

static int listen_verify(void *self, struct srt_secret *secret,
                         struct secretrt_value *candidate, struct srt_ticket *ticket)
{
    struct secretrt_client *client = self;
    struct srt_managed *managed = srt_secret_data(secret);
    struct srt_answer *answer = srt_alloc(sizeof(*answer));
    struct srt_answer *old;
    int rc = 0;

    if (answer == NULL)
        return SECRETRT_ERR_NOMEM;
    answer->client = client;
    answer->managed = managed;
    answer->ticket = ticket;
    answer->candidate = srt_value_hold(candidate);
    srt_lock_take(&client->lock);
    old = managed->answer;
    managed->answer = NULL;
    if (listen_verifier(managed) == NULL)
        listen_ask_application(client, answer);
    else
        rc = listen_verify_by(client, answer);
    srt_lock_give(&client->lock);
    if (old != NULL) /* an older candidate's verdict is not awaited any more */
        listen_post(old, SECRETRT_ERR_CANCELLED);
    if (rc == 0)
        return SRT_TICKET_LATER;
    srt_answer_free(answer);
    return rc;
}

int secretrt_secret_verdict(struct secretrt_secret *secret, uint64_t generation,
                            int result, struct secretrt_error *err)
{
    struct srt_answer *answer;
    struct secretrt_client *client;
    struct srt_managed *managed;
    int rc;

    srt_error_clear(err);
    if (secret == NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "secretrt_secret_verdict: secret is NULL");
    managed = secret->managed;
    client = managed->client;
    if (client == NULL)
        return srt_fail(err, SECRETRT_ERR_CLOSED, "the client is closed");
    rc = srt_client_ready(client, err);
    if (rc != 0)
        return rc;
    srt_lock_take(&client->lock);
    answer = managed->answer;
    if (client->state != SRT_CLIENT_OPEN)
        rc = srt_fail(err, SECRETRT_ERR_CLOSED, "the client is closed");
    else if (answer == NULL || answer->candidate->info.generation != generation)
        rc = srt_fail(err, SECRETRT_ERR_NOT_FOUND,
                      "%s: no such candidate waits for a verdict", managed->spec->name);
    else
        managed->answer = NULL;
    srt_lock_give(&client->lock);
    if (rc == 0)
        listen_post(answer, result == 0 ? 0 : SECRETRT_ERR_DENIED);
    return rc;
}

/* The loop has stopped: what waits for a verdict gets none. */
void srt_listen_answers_drop(struct secretrt_client *client)
{
    struct srt_list *it, *tmp;

    SRT_LIST_EACH(it, tmp, &client->managed)
    {
        struct srt_managed *managed = SRT_CONTAINER(it, struct srt_managed, link);

        if (managed->answer != NULL)
            srt_engine_answered(client->engine, managed->answer->ticket,
                                SECRETRT_ERR_CLOSED);
        srt_answer_free(managed->answer);
        managed->answer = NULL;
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
