/* Reading: the hot path first, then waiting for what the renewal thread brings. */
#include "api/client.h"
#include "api/sized.h"
#include "base/status.h"
#include "mem/arena.h"
#include <secretrt/read.h>
#include <string.h>

#define WAIT_TEXT_MAX 128

/* ---- calls ---- */

static int wait_text_ok(const char *text)
{
    size_t len = text != NULL ? strnlen(text, WAIT_TEXT_MAX + 1) : 0;

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] == 0x7f)
            return 0;
    return len <= WAIT_TEXT_MAX;
}

int srt_call_check(const struct secretrt_call *call, struct secretrt_error *err)
{
    const uint32_t known =
        SECRETRT_CALL_NOWAIT | SECRETRT_CALL_FRESH | SECRETRT_CALL_CANDIDATE;
    int rc;

    if (call == NULL)
        return 0;
    if (call->size < sizeof(*call))
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "a call's size is not set: start from SECRETRT_CALL_INIT");
    rc = srt_sized_known(call, sizeof(*call), call->size, err);
    if (rc != 0)
        return rc;
    if ((call->flags & ~known) != 0)
        return srt_fail(err, SECRETRT_ERR_INVALID, "unknown flags in a call");
    if (!wait_text_ok(call->actor) || !wait_text_ok(call->purpose) ||
        !wait_text_ok(call->traceparent))
        return srt_fail(
            err, SECRETRT_ERR_INVALID,
            "actor, purpose and traceparent have at most %d printable bytes",
            WAIT_TEXT_MAX);
    return 0;
}

int64_t srt_call_deadline_ms(const struct secretrt_client *client,
                             const struct secretrt_call *call)
{
    return srt_mono_ms() + (call != NULL && call->timeout_ms > 0
                                ? call->timeout_ms
                                : client->fetch_timeout_ms);
}

static int wait_allowed(const struct secretrt_client *client,
                        const struct secretrt_call *call)
{
    if (call != NULL && (call->flags & SECRETRT_CALL_NOWAIT))
        return 0;
    return !(client->flags & SECRETRT_OPEN_NOWAIT) ||
           (call != NULL && call->timeout_ms > 0);
}

static int wait_has_flag(const struct secretrt_call *call, uint32_t flag)
{
    return call != NULL && (call->flags & flag) != 0;
}

unsigned srt_call_ask(const struct secretrt_call *call)
{
    return wait_has_flag(call, SECRETRT_CALL_FRESH) ? SRT_ASK_REFRESH : SRT_ASK_WANT;
}

static int wait_cancelled(struct secretrt_call *call)
{
    return call != NULL && __atomic_load_n(&call->cancelled, __ATOMIC_ACQUIRE) != 0;
}

static int wait_named(const struct secretrt_call *call)
{
    return call != NULL &&
           (call->actor != NULL || call->purpose != NULL || call->traceparent != NULL);
}

/* ---- one look ---- */

/* A reference, or NULL. What the hot path could not decide by its coarse clock, the
 * boot clock decides. */
static struct secretrt_value *wait_live(struct srt_managed *managed, uint64_t count)
{
    const struct srt_env *env = srt_loop_env(managed->client->loop);
    struct srt_reader *reader = srt_reader_self();
    struct secretrt_value *value;

    if (reader == NULL)
        return NULL;
    srt_reader_pin(reader);
    value = atomic_load_explicit(&managed->cell.value, memory_order_acquire);
    if (value != NULL && srt_value_live(value, env->boot_ms(env->self)) &&
        srt_reader_count(reader, managed->cell.slot,
                         (unsigned)(value->info.generation & 1), count) == 0)
        srt_value_hold(value);
    else
        value = NULL;
    srt_reader_unpin(reader);
    return value;
}

/* Why there is nothing: the last failure, in the words of the secret. */
static int wait_failure(const struct srt_managed *managed, int timed_out,
                        struct secretrt_error *err)
{
    const char *name = managed->spec->name;

    if (managed->failure.status == 0)
        return srt_fail(err, SECRETRT_ERR_TIMEOUT,
                        "%s: no answer from the store in time", name);
    if (managed->expired && timed_out &&
        managed->failure.status == SECRETRT_ERR_UNAVAILABLE) {
        srt_fail(err, SECRETRT_ERR_EXPIRED, "%s: the last value has expired: %s", name,
                 managed->failure.message);
        return SECRETRT_ERR_EXPIRED;
    }
    if (err != NULL)
        *err = managed->failure;
    return managed->failure.status;
}

static int wait_record(struct srt_managed *managed, const struct secretrt_call *call,
                       const struct secretrt_value *value, struct secretrt_error *err)
{
    const struct srt_env *env = srt_loop_env(managed->client->loop);
    struct srt_record record = {.event = "secret.read",
                                .outcome = "success",
                                .name = value->info.name,
                                .source = value->info.source,
                                .version = value->info.version,
                                .request_id = value->info.request_id,
                                .limited_by = value->info.limited_by,
                                .actor = call->actor,
                                .purpose = call->purpose,
                                .traceparent = call->traceparent,
                                .ttl_ms = -1,
                                .latency_ms = -1,
                                .expires_at_ms = value->info.expires_at_ms,
                                .generation = value->info.generation,
                                .count = 1,
                                .tier = value->info.tier,
                                .weakest_tier = value->info.weakest_tier};

    record.at_ms = env->wall_ms(env->self);
    if (srt_pump_record_now(managed->client->pump, &record) == 0)
        return 0;
    return srt_fail(err, SECRETRT_ERR_AUDIT,
                    "%s: the access could not be recorded, and audit is required",
                    value->info.name);
}

/* ---- waiting ---- */

/* 1: the call goes on waiting; otherwise *rc is its answer. Lock held. */
static int wait_goes_on(struct srt_managed *managed, struct secretrt_call *call,
                        uint64_t asked, int *rc, struct secretrt_error *err)
{
    struct secretrt_client *client = managed->client;
    const char *name = managed->spec->name;

    if (client->state != SRT_CLIENT_OPEN)
        *rc = srt_fail(err, SECRETRT_ERR_CLOSED, "%s: the client is closed", name);
    else if (srt_managed_is_closed(managed))
        *rc = srt_fail(err, SECRETRT_ERR_CLOSED, "%s: the secret is closed", name);
    else if (wait_cancelled(call))
        *rc = srt_fail(err, SECRETRT_ERR_CANCELLED, "%s: cancelled", name);
    else if (!wait_allowed(client, call))
        *rc = srt_fail(err, SECRETRT_ERR_PENDING, "%s: not there yet", name);
    else
        return 1;
    if (*rc == SECRETRT_ERR_PENDING)
        managed->pending_at = asked;
    return 0;
}

/* 1: *rc is the answer. Lock held. */
static int wait_look(struct secretrt_value **out, struct srt_managed *managed,
                     const struct srt_wait *wait, int *rc, struct secretrt_error *err)
{
    int fresh = wait_has_flag(wait->call, SECRETRT_CALL_FRESH);

    *rc = 0;
    if (managed->client->state != SRT_CLIENT_OPEN ||
        (fresh && managed->answered_at < wait->asked))
        return 0;
    *out = wait_live(managed, wait_named(wait->call) ? 0 : 1);
    if (*out == NULL && managed->failure_final && managed->failure.status != 0)
        *rc = wait_failure(managed, 0, err);
    return *out != NULL || *rc != 0;
}

static int wait_late(struct secretrt_value **out, struct srt_managed *managed,
                     const struct srt_wait *wait, struct secretrt_error *err)
{
    *out = wait_live(managed, wait_named(wait->call) ? 0 : 1);
    return *out != NULL ? 0 : wait_failure(managed, 1, err);
}

static int wait_locked(struct secretrt_value **out, struct srt_managed *managed,
                       struct srt_wait *wait, struct secretrt_error *err)
{
    struct secretrt_client *client = managed->client;
    int rc = 0;

    if (client->state == SRT_CLIENT_OPEN && wait->asked == 0)
        wait->asked = srt_client_ask(client, managed, srt_call_ask(wait->call));
    while (!wait_look(out, managed, wait, &rc, err)) {
        if (!wait_goes_on(managed, wait->call, wait->asked, &rc, err))
            return rc;
        if (!srt_cond_wait_until(&client->changed, &client->lock, wait->until_ms))
            return wait_late(out, managed, wait, err);
    }
    return rc;
}

static int wait_candidate(struct secretrt_value **out, struct srt_managed *managed,
                          struct secretrt_error *err)
{
    if (managed->client->state != SRT_CLIENT_OPEN)
        return srt_fail(err, SECRETRT_ERR_CLOSED, "%s: the client is closed",
                        managed->spec->name);
    if (managed->answer == NULL)
        return srt_fail(err, SECRETRT_ERR_NOT_FOUND,
                        "%s: no candidate waits for a verdict", managed->spec->name);
    *out = srt_value_hold(managed->answer->candidate);
    return 0;
}

int srt_wait_value(struct secretrt_value **out, struct srt_managed *managed,
                   struct srt_wait *wait, struct secretrt_error *err)
{
    struct secretrt_client *client = managed->client;
    struct secretrt_call *call = wait->call;
    int candidate = wait_has_flag(call, SECRETRT_CALL_CANDIDATE);
    int rc = 0;

    if (!candidate && !wait_has_flag(call, SECRETRT_CALL_FRESH))
        *out = wait_live(managed, wait_named(call) ? 0 : 1);
    if (*out == NULL || wait_named(call)) {
        srt_lock_take(&client->lock);
        srt_managed_enter(managed);
        if (candidate)
            rc = wait_candidate(out, managed, err);
        else if (*out == NULL)
            rc = wait_locked(out, managed, wait, err);
        if (rc == 0 && wait_named(call)) {
            srt_lock_give(&client->lock);
            rc = wait_record(managed, call, *out, err);
            srt_lock_take(&client->lock);
        }
        srt_managed_leave(managed);
        srt_lock_give(&client->lock);
    }
    if (rc != 0) {
        srt_value_drop(*out);
        *out = NULL;
    }
    return rc;
}

/* ---- rejecting ---- */

enum wait_standing { WAIT_NONE, WAIT_SAME, WAIT_NEWER };

/* Two values are the same if one lease is behind them: handles opened with different
 * options count their generations each for itself. */
static enum wait_standing wait_newer(struct secretrt_value **out,
                                     struct srt_managed *managed,
                                     const struct secretrt_value *refused,
                                     uint64_t *generation)
{
    struct secretrt_value *value = wait_live(managed, 0);

    *generation = refused->info.generation;
    if (value == NULL)
        return WAIT_NONE;
    *generation = value->info.generation;
    if (value->life == refused->life) {
        srt_value_drop(value);
        return WAIT_SAME;
    }
    if (out == NULL)
        srt_value_drop(value);
    else if (srt_reader_count(srt_reader_self(), managed->cell.slot,
                              (unsigned)(value->info.generation & 1), 1) == 0)
        *out = value;
    return WAIT_NEWER;
}

static int wait_reject_locked(struct secretrt_value **out, struct srt_managed *managed,
                              const struct secretrt_value *refused, uint64_t asked,
                              struct secretrt_call *call, struct secretrt_error *err)
{
    struct secretrt_client *client = managed->client;
    int64_t until_ms = srt_call_deadline_ms(client, call);
    uint64_t generation;
    int rc = 0;

    for (;;) {
        enum wait_standing standing = wait_newer(out, managed, refused, &generation);

        if (standing == WAIT_NEWER)
            return 0;
        if (managed->unchanged_at >= asked)
            return srt_fail(err, SECRETRT_ERR_UNCHANGED,
                            "%s: the store still holds the refused value",
                            managed->spec->name);
        if ((managed->answered_at >= asked || standing == WAIT_NONE) &&
            managed->failure_final && managed->failure.status != 0)
            return wait_failure(managed, 0, err);
        if (!wait_goes_on(managed, call, asked, &rc, err))
            return rc;
        if (!srt_cond_wait_until(&client->changed, &client->lock, until_ms))
            return wait_failure(managed, 1, err);
    }
}

int srt_wait_reject(struct secretrt_value **out, struct srt_managed *managed,
                    const struct secretrt_value *refused, int http_status,
                    struct secretrt_call *call, struct secretrt_error *err)
{
    struct secretrt_client *client = managed->client;
    uint64_t generation = 0;
    uint64_t asked;
    int rc = 0;

    srt_lock_take(&client->lock);
    srt_managed_enter(managed);
    if (client->state != SRT_CLIENT_OPEN) {
        rc = srt_fail(err, SECRETRT_ERR_CLOSED, "%s: the client is closed",
                      managed->spec->name);
    } else if (wait_newer(out, managed, refused, &generation) != WAIT_NEWER) {
        managed->reject_generation = generation;
        managed->reject_status = http_status;
        asked = srt_client_ask(client, managed, SRT_ASK_REJECT);
        if (out != NULL)
            rc = wait_reject_locked(out, managed, refused, asked, call, err);
    }
    srt_managed_leave(managed);
    srt_lock_give(&client->lock);
    return rc;
}

void secretrt_cancel(struct secretrt_client *client, struct secretrt_call *call)
{
    if (client == NULL || call == NULL)
        return;
    srt_lock_take(&client->lock);
    __atomic_store_n(&call->cancelled, 1, __ATOMIC_RELEASE);
    srt_cond_signal_all(&client->changed);
    srt_lock_give(&client->lock);
}
