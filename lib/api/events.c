/* Events as data: one slot a target and kind, so that nothing can overflow; a queue
 * with a descriptor, and callbacks on a dispatcher thread as a convenience over it. */
#include "api/client.h"
#include "api/sized.h"
#include "base/alloc.h"
#include "base/heap.h"
#include "base/status.h"
#include "io/descriptor.h"
#include <secretrt/event.h>
#include <string.h>

static const char *const event_names[SRT_EVENT_KINDS] = {
    "unknown", "ready",  "reload",  "verify", "expiring",
    "expired", "failed", "drained", "tier",   "warning"};

const char *secretrt_event_name(int kind)
{
    return kind > 0 && kind < SRT_EVENT_KINDS ? event_names[kind] : event_names[0];
}

void srt_target_init(struct srt_target *target, const char *name)
{
    target->name = name;
    for (size_t i = 0; i < SRT_EVENT_KINDS; i++) {
        srt_list_init(&target->slot[i].link);
        target->slot[i].target = target;
    }
}

static void events_dispatch(struct srt_job *job);

/* The dispatcher's thread starts with the first callback. */
static void events_start_dispatch(struct secretrt_client *client)
{
    if (client->dispatching || client->ending)
        return;
    if (client->dispatcher == NULL &&
        srt_worker_new(&client->dispatcher, "secretrt-events") != 0)
        return;
    client->dispatch.run = events_dispatch;
    client->dispatching = srt_worker_post(client->dispatcher, &client->dispatch) == 0;
}

void srt_event_push(struct secretrt_client *client, struct srt_target *target,
                    const struct srt_notice *notice)
{
    struct srt_pending *slot = &target->slot[notice->kind];
    struct srt_list *list =
        target->on_event != NULL ? &client->callbacks : &client->queue;

    if (srt_list_linked(&slot->link)) {
        slot->merged++;
        srt_list_remove(&slot->link); /* the newest comes last */
    } else {
        slot->merged = 0;
    }
    slot->notice = *notice;
    srt_text_copy(slot->message, sizeof(slot->message), notice->message);
    srt_list_append(list, &slot->link);
    if (target->on_event != NULL)
        events_start_dispatch(client);
    else
        srt_fd_signal(client->event_fd);
    srt_cond_signal_all(&client->changed);
}

/* The descriptor is readable while events wait; once closed, for ever. */
static void events_level(struct secretrt_client *client)
{
    if (srt_list_empty(&client->queue) && client->state == SRT_CLIENT_OPEN)
        srt_fd_drain(client->event_fd);
}

void srt_event_forget(struct secretrt_client *client, struct srt_target *target)
{
    for (size_t i = 0; i < SRT_EVENT_KINDS; i++)
        srt_list_remove(&target->slot[i].link);
    events_level(client);
}

void srt_event_warning(struct secretrt_client *client, int status, const char *message)
{
    struct srt_notice notice = {.kind = SECRETRT_EVENT_WARNING,
                                .status = status,
                                .until_ms = SRT_NEVER,
                                .message = message};

    srt_lock_take(&client->lock);
    srt_event_push(client, &client->target, &notice);
    srt_lock_give(&client->lock);
}

static void events_hand_out(struct secretrt_event *out, struct secretrt_client *client,
                            struct srt_pending *slot)
{
    const struct srt_env *env = srt_loop_env(client->loop);
    const struct srt_notice *notice = &slot->notice;
    int64_t left = notice->until_ms;

    if (left != SRT_NEVER) {
        left -= env->boot_ms(env->self);
        left = left > 0 ? left : 0;
    }
    srt_list_remove(&slot->link);
    memcpy(slot->handed, slot->message, sizeof(slot->handed));
    out->kind = notice->kind;
    out->status = notice->status;
    out->tier = notice->tier;
    out->merged = slot->merged;
    out->generation = notice->generation;
    out->old_generation = notice->old_generation;
    out->left_ms = left;
    out->secret = slot->target->handle;
    out->data = slot->target->data;
    out->name = slot->target->name;
    out->message = slot->handed;
}

/* ---- callbacks ---- */

static void events_acknowledge(struct secretrt_client *client,
                               const struct secretrt_event *event, int result)
{
    const struct srt_env *env = srt_loop_env(client->loop);
    struct srt_record record = {.event = result == 0 ? "reload.ack" : "reload.fail",
                                .outcome = result == 0 ? "success" : "failure",
                                .name = event->name,
                                .ttl_ms = -1,
                                .latency_ms = -1,
                                .generation = event->generation,
                                .count = 1,
                                .tier = event->tier};

    if (event->kind != SECRETRT_EVENT_RELOAD)
        return;
    record.at_ms = env->wall_ms(env->self);
    srt_pump_record(client->pump, &record, NULL);
}

/* Lock held, but not while the callback runs. */
static void events_call_back(struct secretrt_client *client, struct srt_pending *slot)
{
    struct secretrt_event event = SECRETRT_EVENT_INIT;
    struct srt_target *target = slot->target;
    struct secretrt_secret *handle = target->handle;
    int result;

    events_hand_out(&event, client, slot);
    client->running = handle;
    srt_lock_give(&client->lock);
    result = target->on_event(&event, target->data);
    events_acknowledge(client, &event, result);
    srt_lock_take(&client->lock);
    client->running = NULL;
    if (handle->closed && client->verifying != handle)
        srt_managed_let_go(client, handle);
    srt_cond_signal_all(&client->changed);
}

static void events_dispatch(struct srt_job *job)
{
    struct secretrt_client *client =
        SRT_CONTAINER(job, struct secretrt_client, dispatch);

    srt_lock_take(&client->lock);
    while (!srt_list_empty(&client->callbacks) && !client->close_in_callback &&
           !client->ending)
        events_call_back(
            client, SRT_CONTAINER(client->callbacks.next, struct srt_pending, link));
    client->dispatching = 0;
    srt_lock_give(&client->lock);
    srt_client_close_if_asked(client);
}

/* ---- the queue ---- */

int secretrt_event_fd(struct secretrt_client *client)
{
    int rc;

    if (client == NULL)
        return SECRETRT_ERR_INVALID;
    rc = srt_client_ready(client, NULL);
    return rc != 0 ? rc : client->event_fd;
}

static int events_wait(struct secretrt_client *client, int timeout_ms)
{
    int64_t until = srt_mono_ms() + timeout_ms;

    while (srt_list_empty(&client->queue) && client->state == SRT_CLIENT_OPEN) {
        if (timeout_ms == 0)
            return SECRETRT_ERR_TIMEOUT;
        if (timeout_ms < 0)
            srt_cond_wait(&client->changed, &client->lock);
        else if (!srt_cond_wait_until(&client->changed, &client->lock, until))
            return SECRETRT_ERR_TIMEOUT;
    }
    return srt_list_empty(&client->queue) ? SECRETRT_ERR_CLOSED : 0;
}

int secretrt_event_next(struct secretrt_event *out, struct secretrt_client *client,
                        int timeout_ms)
{
    struct secretrt_event event = SECRETRT_EVENT_INIT;
    size_t size;
    int rc;

    if (out == NULL || client == NULL || out->size < sizeof(size_t) * 2)
        return SECRETRT_ERR_INVALID;
    rc = srt_client_ready(client, NULL);
    if (rc != 0)
        return rc;
    srt_lock_take(&client->lock);
    client->callers++;
    rc = events_wait(client, timeout_ms);
    if (rc == 0)
        events_hand_out(&event, client,
                        SRT_CONTAINER(client->queue.next, struct srt_pending, link));
    events_level(client);
    srt_client_leave(client);
    srt_lock_give(&client->lock);
    if (rc != 0)
        return rc;
    size = out->size;
    memcpy(out, &event, size < sizeof(event) ? size : sizeof(event));
    out->size = size;
    return 0;
}
