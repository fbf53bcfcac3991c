/* Opening, the renewal thread's turn, shutting down. */
#include "api/client.h"
#include "api/sized.h"
#include "base/alloc.h"
#include "base/heap.h"
#include "base/status.h"
#include "engine/provider.h"
#include "io/append.h"
#include "io/descriptor.h"
#include "mem/arena.h"
#include <secretrt/client.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENT_FETCH_TIMEOUT_MS 10000
#define CLIENT_CLOSE_TIMEOUT_MS 2000
#define CLIENT_CONFIG_MAX (1024 * 1024)
/* For records and callbacks, when giving back has used up the time. */
#define CLIENT_GRACE_MS 250

#define SRT_PROVIDER(name) extern const struct srt_provider srt_provider_##name;
#include "api/providers.def"
#undef SRT_PROVIDER

static const struct srt_provider *const client_registry[] = {
#define SRT_PROVIDER(name) &srt_provider_##name,
#include "api/providers.def"
#undef SRT_PROVIDER
    NULL};

/* ---- options and configuration ---- */

static int client_options(struct secretrt_options *out,
                          const struct secretrt_options *in, struct secretrt_error *err)
{
    static const struct secretrt_options none = SECRETRT_OPTIONS_INIT;
    int rc = 0;

    *out = none;
    if (in != NULL)
        rc = srt_sized_copy(out, sizeof(*out), in, in->size, err);
    if (rc != 0)
        return rc;
    if ((out->flags & ~(uint32_t)SECRETRT_OPEN_NOWAIT) != 0)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "unknown flags in the client's options");
    if (out->weakest_tier < 0 || out->weakest_tier > 4)
        return srt_fail(err, SECRETRT_ERR_INVALID, "weakest_tier is 1 to 4, or 0");
    if (out->config != NULL && out->config_file != NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "config and config_file exclude each other");
    return 0;
}

static const char *client_getenv(const char *name, void *data)
{
    (void)data;
    return getenv(name);
}

static int client_configure(struct secretrt_client *client,
                            const struct secretrt_options *options,
                            struct secretrt_error *err)
{
    const struct srt_lookup lookup = {client_getenv, NULL};
    const char *file = options->config_file;
    struct srt_buf text;
    int rc = 0;

    srt_buf_init(&text, CLIENT_CONFIG_MAX);
    if (file == NULL && options->config == NULL)
        file = getenv("SECRETRT_CONFIG");
    if (file != NULL && file[0] == '\0' && options->config_file == NULL)
        file = NULL;
    if (file != NULL)
        rc = srt_read_file(&text, file, err);
    else if (options->config != NULL)
        srt_buf_text_add(&text, options->config);
    if (rc == 0 && text.status != 0)
        rc = srt_fail(err,
                      text.status == SECRETRT_ERR_NOMEM ? SECRETRT_ERR_NOMEM
                                                        : SECRETRT_ERR_CONFIG,
                      "the configuration is larger than %d bytes", CLIENT_CONFIG_MAX);
    if (rc == 0)
        rc = srt_config_read(&client->config, srt_buf_text(&text), text.len,
                             client_registry, &lookup, err);
    if (rc != 0 && file != NULL)
        srt_error_prefix(err, file);
    srt_buf_wipe(&text);
    if (rc == 0 && options->weakest_tier != 0 &&
        options->weakest_tier < client->config->policy.weakest_tier)
        client->config->policy.weakest_tier = options->weakest_tier;
    return rc;
}

static int client_memory(struct secretrt_client *client, struct secretrt_error *err)
{
    int level = srt_arena_probe();

    if (level == SRT_ARENA_NONE)
        return srt_nomem(err);
    if (level >= SRT_ARENA_LOCKED)
        return 0;
    if (client->config->memory_strict)
        return srt_fail(
            err, SECRETRT_ERR_MEMORY,
            "no locked memory, and \"memory\" is \"strict\": raise RLIMIT_MEMLOCK");
    srt_client_log(client, 4,
                   "secrets are in memory that may be swapped: raise RLIMIT_MEMLOCK");
    return 0;
}

/* ---- the renewal thread ---- */

static int64_t client_turn(void *self)
{
    struct secretrt_client *client = self;
    int64_t next, pump;
    int closing;

    srt_managed_turn(client);
    srt_lock_take(&client->lock);
    closing = client->state == SRT_CLIENT_CLOSING;
    srt_lock_give(&client->lock);
    if (closing)
        srt_engine_close(client->engine);
    next = srt_engine_step(client->engine);
    pump = srt_pump_turn(
        client->pump,
        srt_loop_env(client->loop)->boot_ms(srt_loop_env(client->loop)->self));
    if (closing) {
        unsigned unreturned = 0;
        int done = srt_engine_closed(client->engine, &unreturned);

        srt_lock_take(&client->lock);
        client->unreturned = unreturned;
        if (done)
            client->state = SRT_CLIENT_CLOSED;
        srt_cond_signal_all(&client->changed);
        srt_lock_give(&client->lock);
    }
    return pump < next ? pump : next;
}

int srt_client_start(struct secretrt_client *client, struct secretrt_error *err)
{
    int rc = srt_loop_new(&client->loop, err);

    if (rc == 0 && srt_engine_new(&client->engine, client->config,
                                  srt_loop_env(client->loop), &client->listener) != 0)
        rc = srt_nomem(err);
    if (rc == 0)
        rc = srt_loop_start(client->loop, client_turn, client, err);
    return rc;
}

static void client_init(struct secretrt_client *client,
                        const struct secretrt_options *options)
{
    srt_lock_init(&client->lock);
    srt_cond_init(&client->changed);
    srt_list_init(&client->link);
    srt_list_init(&client->managed);
    srt_list_init(&client->dirty);
    srt_list_init(&client->queue);
    srt_list_init(&client->callbacks);
    srt_target_init(&client->target, "");
    client->state = SRT_CLIENT_OPEN;
    client->stamp = srt_fork_stamp();
    client->event_fd = -1;
    client->flags = options->flags;
    client->fetch_timeout_ms = options->fetch_timeout_ms != 0
                                   ? options->fetch_timeout_ms
                                   : CLIENT_FETCH_TIMEOUT_MS;
    client->close_timeout_ms = options->close_timeout_ms != 0
                                   ? options->close_timeout_ms
                                   : CLIENT_CLOSE_TIMEOUT_MS;
    client->log = options->log;
    client->log_data = options->log_data;
    srt_listen_init(client);
}

static void client_finish(struct secretrt_client *client, int64_t until_ms);

static void client_record(struct secretrt_client *client, const char *event, int status)
{
    const struct srt_env *env = srt_loop_env(client->loop);
    struct srt_record record = {.event = event,
                                .outcome = status == 0 ? "success" : "failure",
                                .ttl_ms = -1,
                                .latency_ms = -1,
                                .count = 1,
                                .status = status};

    record.at_ms = env->wall_ms(env->self);
    srt_pump_record(client->pump, &record, NULL);
}

int secretrt_open(struct secretrt_client **out, const struct secretrt_options *options,
                  struct secretrt_error *err)
{
    struct secretrt_options checked;
    struct secretrt_client *client = NULL;
    int rc;

    srt_error_clear(err);
    if (out == NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID, "secretrt_open: out is NULL");
    *out = NULL;
    rc = client_options(&checked, options, err);
    if (rc != 0)
        return rc;
    client = srt_alloc(sizeof(*client));
    if (client == NULL)
        return srt_nomem(err);
    client_init(client, &checked);
    rc = client_configure(client, &checked, err);
    if (rc == 0)
        rc = srt_pump_new(&client->pump, client, &checked, err);
    if (rc == 0)
        rc = client_memory(client, err);
    if (rc == 0 && (client->event_fd = srt_fd_event()) < 0)
        rc = srt_fail(err, SECRETRT_ERR_UNAVAILABLE,
                      "no descriptor for events is to be had");
    if (rc == 0)
        rc = srt_client_start(client, err);
    if (rc == 0)
        rc = srt_fork_enlist(client);
    if (rc != 0) {
        client_finish(client, srt_mono_ms() + CLIENT_GRACE_MS);
        return rc;
    }
    client_record(client, "client.open", 0);
    *out = client;
    return 0;
}

void srt_client_log(struct secretrt_client *client, int level, const char *message)
{
    if (client->log != NULL)
        srt_pump_log(client->pump, level, message);
}

void srt_client_leave(struct secretrt_client *client)
{
    client->callers--;
    if (client->callers == 0 && client->state != SRT_CLIENT_OPEN)
        srt_cond_signal_all(&client->changed); /* close waits for it */
}

/* In a forked child nothing is opened before somebody asks for it. */
uint64_t srt_client_ask(struct secretrt_client *client, struct srt_managed *managed,
                        unsigned ask)
{
    if (!managed->opened && ask != SRT_ASK_CLOSE) {
        managed->opened = 1;
        ask |= SRT_ASK_OPEN;
    }
    if (managed->asks == 0)
        srt_list_append(&client->dirty, &managed->dirty);
    managed->asks |= ask;
    managed->asked_at = ++client->asked;
    srt_loop_wake(client->loop);
    return managed->asked_at;
}

/* ---- closing ---- */

static int client_shut(struct secretrt_client *client, int64_t timeout_ms,
                       struct secretrt_error *err)
{
    int64_t until = srt_mono_ms() + timeout_ms;
    int rc = 0;

    srt_lock_take(&client->lock);
    if (client->state == SRT_CLIENT_OPEN) {
        client->state = SRT_CLIENT_CLOSING;
        srt_cond_signal_all(&client->changed);
        srt_fd_signal(client->event_fd);
        srt_loop_wake(client->loop);
    }
    while (client->state != SRT_CLIENT_CLOSED &&
           srt_cond_wait_until(&client->changed, &client->lock, until))
        ;
    if (client->state != SRT_CLIENT_CLOSED)
        rc = srt_fail(
            err, SECRETRT_ERR_TIMEOUT,
            "not everything was given back in time: what is left ends by itself");
    else if (client->unreturned > 0)
        rc = srt_fail(err, SECRETRT_ERR_UNAVAILABLE,
                      "%u leases could not be given back: they end by themselves",
                      client->unreturned);
    srt_lock_give(&client->lock);
    return rc;
}

int secretrt_shutdown(struct secretrt_client *client, uint32_t timeout_ms,
                      struct secretrt_error *err)
{
    int rc;

    srt_error_clear(err);
    if (client == NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID, "secretrt_shutdown: client is NULL");
    rc = srt_client_ready(client, err);
    return rc != 0 ? rc : client_shut(client, timeout_ms, err);
}

/* Handles that are still open stay valid memory: they keep their managed secret. */
static void client_let_managed_go(struct secretrt_client *client)
{
    while (!srt_list_empty(&client->managed)) {
        struct srt_managed *managed =
            SRT_CONTAINER(client->managed.next, struct srt_managed, link);

        srt_list_remove(&managed->link);
        managed->client = NULL;
        managed->record = NULL;
        if (srt_list_empty(&managed->handles))
            srt_managed_free(managed);
    }
}

static int client_end_worker(struct srt_worker **worker, int64_t until_ms)
{
    int64_t left_ms = until_ms - srt_mono_ms();
    int rc = 0;

    if (*worker != NULL)
        rc = srt_worker_end(*worker, left_ms > 0 ? left_ms : 0, NULL);
    if (rc == 0)
        *worker = NULL;
    return rc;
}

/* No callback begins any more; those that run, and calls on their way out, are waited
 * for. 1: one of them does not end and still holds the client. */
static int client_quiesce(struct secretrt_client *client, int64_t until_ms)
{
    int stuck;

    srt_lock_take(&client->lock);
    client->state = SRT_CLIENT_CLOSED;
    client->ending = 1;
    srt_cond_signal_all(&client->changed);
    while (!srt_list_empty(&client->callbacks))
        srt_list_remove(client->callbacks.next);
    while (client->callers > 0 &&
           srt_cond_wait_until(&client->changed, &client->lock, until_ms))
        ;
    stuck = client->callers > 0;
    srt_lock_give(&client->lock);
    stuck |= client_end_worker(&client->dispatcher, until_ms) != 0;
    stuck |= client_end_worker(&client->verifier, until_ms) != 0;
    if (client->pump != NULL)
        stuck |= srt_pump_flush(client->pump, until_ms) != 0;
    return stuck;
}

static struct srt_lock client_left_lock = SRT_LOCK_INIT;
static struct srt_list client_left = {&client_left, &client_left};

/* Leases and login are given back; what a callback still holds is left behind, where a
 * leak checker finds it in use. */
static void client_abandon(struct secretrt_client *client)
{
    srt_lock_take(&client_left_lock);
    srt_list_append(&client_left, &client->link);
    srt_lock_give(&client_left_lock);
    srt_lock_take(&client->lock);
    client->abandoned = 1;
    srt_cond_signal_all(&client->changed);
    srt_lock_give(&client->lock);
}

/* Everything is given back, or was never begun. */
static void client_finish(struct secretrt_client *client, int64_t until_ms)
{
    srt_fork_delist(client);
    if (client->loop != NULL)
        srt_loop_stop(client->loop);
    if (client_quiesce(client, until_ms)) {
        client_abandon(client);
        return;
    }
    if (client->loop != NULL)
        srt_loop_run_posted(client->loop);
    srt_listen_answers_drop(client);
    srt_engine_free(client->engine);
    if (client->loop != NULL)
        srt_loop_free(client->loop);
    srt_pump_free(client->pump);
    client_let_managed_go(client);
    srt_fd_close(&client->event_fd);
    srt_config_free(client->config);
    srt_cond_wipe(&client->changed);
    srt_lock_wipe(&client->lock);
    srt_epoch_collect();
    srt_free(client);
}

static void client_close_now(struct secretrt_client *client)
{
    int64_t until_ms = srt_mono_ms() + client->close_timeout_ms;
    int rc = client_shut(client, client->close_timeout_ms, NULL);
    int64_t grace_ms = srt_mono_ms() + CLIENT_GRACE_MS;

    client_record(client, "client.close", rc);
    client_finish(client, until_ms > grace_ms ? until_ms : grace_ms);
}

void srt_client_close_if_asked(struct secretrt_client *client)
{
    int asked;

    srt_lock_take(&client->lock);
    asked = client->close_in_callback;
    client->close_in_callback = 0;
    srt_lock_give(&client->lock);
    if (asked)
        client_close_now(client);
}

void secretrt_close(struct secretrt_client *client)
{
    int in_callback;

    if (client == NULL || srt_client_ready(client, NULL) != 0)
        return; /* a child without memory for its own thread: nothing to give back */
    srt_lock_take(&client->lock);
    in_callback =
        (client->dispatcher != NULL && srt_worker_is_self(client->dispatcher)) ||
        (client->verifier != NULL && srt_worker_is_self(client->verifier));
    client->close_in_callback |= in_callback;
    srt_lock_give(&client->lock);
    if (!in_callback)
        client_close_now(client);
}
