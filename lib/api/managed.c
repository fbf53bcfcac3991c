/* Names and handles: who manages what, and what callers ask of the renewal thread. */
#include "api/client.h"
#include "api/sized.h"
#include "base/alloc.h"
#include "base/status.h"
#include <secretrt/secret.h>
#include <string.h>

static int managed_same_texts(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
    if (n_a != n_b)
        return 0;
    for (size_t i = 0; i < n_a; i++)
        if (strcmp(a[i], b[i]) != 0)
            return 0;
    return 1;
}

/* 1: the second says nothing that the first does not do. */
static int managed_same_spec(const struct srt_spec *a, const struct srt_spec *b)
{
    return managed_same_texts(a->config.source, a->config.sources, b->config.source,
                              b->config.sources) &&
           managed_same_texts(a->config.field, a->config.fields, b->config.field,
                              b->config.fields) &&
           a->config.refresh_ms == b->config.refresh_ms &&
           a->config.overlap_ms == b->config.overlap_ms &&
           a->config.verify == b->config.verify;
}

/* spec NULL: whoever has the name first. */
static struct srt_managed *managed_find(struct secretrt_client *client,
                                        const char *name, const struct srt_spec *spec)
{
    struct srt_list *it, *tmp;

    SRT_LIST_EACH(it, tmp, &client->managed)
    {
        struct srt_managed *managed = SRT_CONTAINER(it, struct srt_managed, link);

        if (!(managed->asks & SRT_ASK_CLOSE) &&
            strcmp(managed->spec->name, name) == 0 &&
            (spec == NULL || managed_same_spec(managed->spec, spec)))
            return managed;
    }
    return NULL;
}

void srt_managed_forget_recent(struct srt_managed *managed)
{
    for (size_t i = 0; i < SRT_RECENT_MAX; i++) {
        srt_bundle_unref(managed->recent[i]);
        managed->recent[i] = NULL;
    }
}

void srt_managed_free(struct srt_managed *managed)
{
    if (managed == NULL)
        return;
    srt_managed_forget_recent(managed);
    srt_answer_free(managed->answer);
    srt_cell_wipe(&managed->cell);
    srt_spec_free(managed->spec);
    srt_free(managed);
}

/* Takes the spec, also where it fails. */
static int managed_new(struct srt_managed **out, struct secretrt_client *client,
                       struct srt_spec *spec, struct secretrt_error *err)
{
    struct srt_managed *managed = srt_alloc(sizeof(*managed));

    *out = NULL;
    if (managed == NULL) {
        srt_spec_free(spec);
        return srt_nomem(err);
    }
    srt_list_init(&managed->link);
    srt_list_init(&managed->dirty);
    srt_list_init(&managed->handles);
    managed->client = client;
    managed->spec = spec;
    managed->cell.slot = SRT_SLOT_NONE;
    if (srt_cell_init(&managed->cell) != 0) {
        srt_managed_free(managed);
        return srt_nomem(err);
    }
    srt_target_init(&managed->target, spec->name);
    *out = managed;
    return 0;
}

/* Found or made. Options that ask for something else than those of the first opener
 * make another one of the same name, on the same lease. */
int srt_managed_get(struct srt_managed **out, struct secretrt_client *client,
                    const char *name, const struct secretrt_secret_options *options,
                    struct secretrt_error *err)
{
    struct srt_spec *spec = NULL;
    int rc;

    *out = NULL;
    if (client->state != SRT_CLIENT_OPEN)
        return srt_fail(err, SECRETRT_ERR_CLOSED, "the client is closed");
    if (name == NULL || name[0] == '\0')
        return srt_fail(err, SECRETRT_ERR_INVALID, "a secret's name is missing");
    if (options == NULL)
        *out = managed_find(client, name, NULL);
    if (*out != NULL)
        return 0;
    rc = srt_spec_new(&spec, client->config, name, options, err);
    if (rc != 0)
        return rc;
    *out = managed_find(client, name, spec);
    if (*out != NULL) {
        srt_spec_free(spec);
        return 0;
    }
    rc = managed_new(out, client, spec, err);
    if (rc != 0)
        return rc;
    srt_list_append(&client->managed, &(*out)->link);
    srt_client_ask(client, *out, SRT_ASK_OPEN);
    return 0;
}

/* ---- who looks at it ---- */

int srt_managed_is_closed(const struct srt_managed *managed)
{
    return srt_list_empty(&managed->handles) && !managed->by_name;
}

void srt_managed_enter(struct srt_managed *managed)
{
    managed->client->callers++;
    managed->callers++;
}

/* The last to look gives it back, if its last handle was closed meanwhile. */
void srt_managed_leave(struct srt_managed *managed)
{
    struct secretrt_client *client = managed->client;

    managed->callers--;
    srt_client_leave(client);
    if (managed->callers == 0 && srt_managed_is_closed(managed))
        srt_client_ask(client, managed, SRT_ASK_CLOSE);
}

/* ---- the renewal thread's side ---- */

struct managed_order {
    unsigned asks;
    uint64_t reject_generation;
    int reject_status;
    uint64_t drained[SRT_DRAINED_MAX];
    unsigned n_drained;
};

static struct srt_managed *managed_take(struct secretrt_client *client,
                                        struct managed_order *order)
{
    struct srt_managed *managed = NULL;

    srt_lock_take(&client->lock);
    if (!srt_list_empty(&client->dirty)) {
        managed = SRT_CONTAINER(client->dirty.next, struct srt_managed, dirty);
        srt_list_remove(&managed->dirty);
        order->asks = managed->asks;
        order->reject_generation = managed->reject_generation;
        order->reject_status = managed->reject_status;
        memcpy(order->drained, managed->drained, sizeof(order->drained));
        order->n_drained = managed->n_drained;
        managed->n_drained = 0;
        managed->taken_at = managed->asked_at;
        managed->asks &= SRT_ASK_CLOSE; /* stays: nobody finds it any more */
        if (client->state != SRT_CLIENT_OPEN)
            order->asks &= SRT_ASK_CLOSE;
    }
    srt_lock_give(&client->lock);
    return managed;
}

/* The engine could not take it: whoever asks next tries again. */
static void managed_fail(struct srt_managed *managed,
                         const struct secretrt_error *error)
{
    srt_lock_take(&managed->client->lock);
    managed->opened = 0;
    srt_lock_give(&managed->client->lock);
    srt_listen_settle(managed, SRT_SETTLED_FAILED, error);
}

static void managed_close(struct secretrt_client *client, struct srt_managed *managed)
{
    struct srt_answer *answer;

    if (managed->record != NULL)
        srt_secret_close(client->engine, managed->record);
    managed->record = NULL;
    srt_lock_take(&client->lock);
    srt_event_forget(client, &managed->target);
    srt_list_remove(&managed->link);
    answer = managed->answer;
    managed->answer = NULL;
    srt_cond_signal_all(&client->changed);
    srt_lock_give(&client->lock);
    if (answer != NULL)
        srt_engine_answered(client->engine, answer->ticket, SECRETRT_ERR_CLOSED);
    srt_answer_free(answer);
    srt_managed_free(managed);
}

static void managed_do(struct secretrt_client *client, struct srt_managed *managed,
                       const struct managed_order *order)
{
    struct srt_engine *engine = client->engine;
    struct secretrt_error error;

    srt_error_clear(&error);
    if ((order->asks & SRT_ASK_OPEN) && managed->record == NULL &&
        srt_secret_open(&managed->record, engine, managed->spec, &managed->cell,
                        managed, &error) != 0)
        managed_fail(managed, &error);
    if (managed->record != NULL) {
        if (order->asks & SRT_ASK_WANT)
            srt_secret_want(engine, managed->record);
        if (order->asks & SRT_ASK_REFRESH)
            srt_secret_refresh(engine, managed->record);
        if (order->asks & SRT_ASK_REJECT)
            srt_secret_reject(engine, managed->record, order->reject_generation,
                              order->reject_status);
        for (unsigned i = 0; i < order->n_drained; i++)
            (void)srt_secret_drained(engine, managed->record, order->drained[i]);
    }
    if (order->asks & SRT_ASK_CLOSE)
        managed_close(client, managed);
}

void srt_managed_turn(struct secretrt_client *client)
{
    struct managed_order order;
    struct srt_managed *managed;

    while ((managed = managed_take(client, &order)) != NULL)
        managed_do(client, managed, &order);
}

/* ---- handles ---- */

static int managed_options(struct secretrt_secret_options *out,
                           const struct secretrt_secret_options *in,
                           struct secretrt_error *err)
{
    static const struct secretrt_secret_options none = SECRETRT_SECRET_OPTIONS_INIT;

    *out = none;
    return in != NULL ? srt_sized_copy(out, sizeof(*out), in, in->size, err) : 0;
}

int secretrt_secret_open_with(struct secretrt_secret **out,
                              struct secretrt_client *client, const char *name,
                              const struct secretrt_secret_options *options,
                              struct secretrt_error *err)
{
    struct secretrt_secret_options checked;
    struct secretrt_secret *handle = NULL;
    struct srt_managed *managed = NULL;
    int rc;

    srt_error_clear(err);
    if (out != NULL)
        *out = NULL;
    if (out == NULL || client == NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "secretrt_secret_open: out or client is NULL");
    rc = managed_options(&checked, options, err);
    if (rc == 0)
        rc = srt_client_ready(client, err);
    if (rc != 0)
        return rc;
    handle = srt_alloc(sizeof(*handle));
    if (handle == NULL)
        return srt_nomem(err);
    srt_lock_take(&client->lock);
    rc =
        srt_managed_get(&managed, client, name, options != NULL ? &checked : NULL, err);
    if (rc == 0) {
        handle->managed = managed;
        srt_target_init(&handle->target, managed->spec->name);
        handle->target.handle = handle;
        handle->target.on_event = checked.on_event;
        handle->target.data = checked.data;
        handle->verify = checked.verify;
        srt_list_append(&managed->handles, &handle->link);
        if (!managed->spec->config.lazy)
            srt_client_ask(client, managed, SRT_ASK_WANT);
    }
    srt_lock_give(&client->lock);
    if (rc != 0) {
        srt_free(handle);
        return rc;
    }
    *out = handle;
    return 0;
}

int secretrt_secret_open(struct secretrt_secret **out, struct secretrt_client *client,
                         const char *name, struct secretrt_error *err)
{
    return secretrt_secret_open_with(out, client, name, NULL, err);
}

/* After the client: only memory is left. */
static void managed_close_late(struct secretrt_secret *handle)
{
    struct srt_managed *managed = handle->managed;

    srt_list_remove(&handle->link);
    if (srt_list_empty(&managed->handles))
        srt_managed_free(managed);
    srt_free(handle);
}

/* The last handle of a secret that is not read by name gives its lease back. */
void srt_managed_let_go(struct secretrt_client *client, struct secretrt_secret *handle)
{
    struct srt_managed *managed = handle->managed;

    srt_list_remove(&handle->link);
    srt_free(handle);
    if (!srt_managed_is_closed(managed))
        return;
    if (managed->callers == 0)
        srt_client_ask(client, managed, SRT_ASK_CLOSE);
    else
        srt_cond_signal_all(&client->changed); /* they are sent away */
}

/* Its callback or verification runs, on another thread than this. */
static int managed_is_busy(const struct secretrt_client *client,
                           const struct secretrt_secret *handle)
{
    if (client->abandoned)
        return 0;
    return (client->running == handle && !srt_worker_is_self(client->dispatcher)) ||
           (client->verifying == handle && !srt_worker_is_self(client->verifier));
}

void secretrt_secret_close(struct secretrt_secret *handle)
{
    struct secretrt_client *client;

    if (handle == NULL)
        return;
    client = handle->managed->client;
    if (client == NULL) {
        managed_close_late(handle);
        return;
    }
    if (srt_client_ready(client, NULL) != 0)
        return; /* a child without memory: the handle is left behind */
    srt_lock_take(&client->lock);
    srt_event_forget(client, &handle->target);
    while (managed_is_busy(client, handle))
        srt_cond_wait(&client->changed, &client->lock);
    if (client->running == handle || client->verifying == handle)
        handle->closed = 1; /* from within: let go after it */
    else
        srt_managed_let_go(client, handle);
    srt_lock_give(&client->lock);
}
