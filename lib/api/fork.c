/* Fork and exit. In a child the same handles work with a thread, connections and leases
 * of its own, made at first use; what the parent holds is left alone. */
#include "api/client.h"
#include "base/status.h"
#include "io/descriptor.h"
#include "mem/arena.h"
#include "mem/epoch.h"
#include <pthread.h>
#include <stdlib.h>

static struct srt_lock fork_lock = SRT_LOCK_INIT;
static struct srt_list fork_clients = {&fork_clients, &fork_clients};
static int fork_installed;

#define FORK_EACH(it)                                                                  \
    for ((it) = fork_clients.next; (it) != &fork_clients; (it) = (it)->next)

static struct secretrt_client *fork_client(struct srt_list *it)
{
    return SRT_CONTAINER(it, struct secretrt_client, link);
}

static int fork_is_ours(const struct secretrt_client *client)
{
    return client->stamp == srt_fork_stamp();
}

/* Nothing is half done at the moment of the fork: every thread of ours is between
 * turns. */
static void fork_prepare(void)
{
    struct srt_list *it;

    srt_lock_take(&fork_lock);
    FORK_EACH(it)
    {
        struct secretrt_client *client = fork_client(it);

        if (!fork_is_ours(client))
            continue;
        srt_loop_hold(client->loop);
        srt_lock_take(&client->lock);
        srt_pump_hold(client->pump);
        if (client->dispatcher != NULL)
            srt_worker_hold(client->dispatcher);
        if (client->verifier != NULL)
            srt_worker_hold(client->verifier);
    }
    srt_epoch_fork_prepare();
    srt_arena_fork_prepare();
}

static void fork_release(struct secretrt_client *client)
{
    if (client->verifier != NULL)
        srt_worker_release(client->verifier);
    if (client->dispatcher != NULL)
        srt_worker_release(client->dispatcher);
    srt_pump_release(client->pump);
    srt_lock_give(&client->lock);
    srt_loop_release(client->loop);
}

static void fork_parent(void)
{
    struct srt_list *it;

    srt_arena_fork_parent();
    srt_epoch_fork_parent();
    FORK_EACH(it)
    if (fork_is_ours(fork_client(it)))
        fork_release(fork_client(it));
    srt_lock_give(&fork_lock);
}

static void fork_child(void)
{
    uint32_t before = srt_fork_stamp();
    struct srt_list *it, *m;

    srt_arena_fork_child();
    srt_epoch_fork_child();
    FORK_EACH(it)
    {
        struct secretrt_client *client = fork_client(it);

        for (m = client->managed.next; m != &client->managed; m = m->next)
            srt_cell_forget(&SRT_CONTAINER(m, struct srt_managed, link)->cell);
        if (client->stamp == before)
            fork_release(client);
    }
    srt_lock_give(&fork_lock);
}

/* Before OpenSSL's own handlers, which must find no transfer of ours on its way. */
static void fork_at_exit(void)
{
    struct srt_list *it;

    srt_lock_take(&fork_lock);
    FORK_EACH(it)
    if (fork_is_ours(fork_client(it)))
        srt_loop_stop(fork_client(it)->loop);
    srt_lock_give(&fork_lock);
}

int srt_fork_enlist(struct secretrt_client *client)
{
    int rc = 0;

    srt_lock_take(&fork_lock);
    if (!fork_installed)
        rc = pthread_atfork(fork_prepare, fork_parent, fork_child) != 0 ||
             atexit(fork_at_exit) != 0;
    fork_installed = rc == 0;
    if (rc == 0)
        srt_list_append(&fork_clients, &client->link);
    srt_lock_give(&fork_lock);
    return rc == 0 ? 0 : SECRETRT_ERR_NOMEM;
}

void srt_fork_delist(struct secretrt_client *client)
{
    srt_lock_take(&fork_lock);
    srt_list_remove(&client->link);
    srt_lock_give(&fork_lock);
}

/* ---- a child's first use ---- */

static void fork_reset_secrets(struct secretrt_client *client)
{
    struct srt_list *it, *tmp;

    srt_list_init(&client->dirty);
    srt_list_init(&client->queue);
    srt_list_init(&client->callbacks);
    srt_target_init(&client->target, "");
    SRT_LIST_EACH(it, tmp, &client->managed)
    {
        struct srt_managed *managed = SRT_CONTAINER(it, struct srt_managed, link);
        struct srt_list *h;

        srt_target_init(&managed->target, managed->spec->name);
        for (h = managed->handles.next; h != &managed->handles; h = h->next)
            srt_target_init(&SRT_CONTAINER(h, struct secretrt_secret, link)->target,
                            managed->spec->name);
        managed->record = NULL;
        managed->ticket = NULL;
        srt_value_drop(managed->candidate);
        managed->candidate = NULL;
        srt_managed_forget_recent(managed);
        managed->asks = 0;
        managed->n_drained = 0;
        managed->settles = 0;
        managed->failure_final = 0;
        managed->expired = 0;
        srt_error_clear(&managed->failure);
    }
}

static int fork_begin_afresh(struct secretrt_client *client, struct secretrt_error *err)
{
    struct srt_list *it, *tmp;
    int rc;

    srt_engine_abandon(client->engine);
    srt_loop_abandon(client->loop);
    client->engine = NULL;
    client->loop = NULL;
    if (client->dispatcher != NULL)
        srt_worker_abandon(client->dispatcher);
    if (client->verifier != NULL)
        srt_worker_abandon(client->verifier);
    client->dispatcher = client->verifier = NULL;
    client->dispatching = 0;
    client->running = NULL;
    client->unreturned = 0;
    client->callers = 0;
    srt_cond_init(&client->changed);
    fork_reset_secrets(client);
    srt_fd_close(&client->event_fd);
    client->event_fd = srt_fd_event();
    rc = srt_pump_afresh(client->pump) == 0 ? 0 : srt_nomem(err);
    if (rc == 0 && client->event_fd < 0)
        rc = srt_fail(err, SECRETRT_ERR_UNAVAILABLE,
                      "no descriptor for events is to be had");
    if (rc == 0)
        rc = srt_client_start(client, err);
    if (rc != 0)
        return rc;
    if (client->state == SRT_CLIENT_CLOSING)
        client->state = SRT_CLIENT_CLOSED; /* the parent's shutdown is the parent's */
    SRT_LIST_EACH(it, tmp, &client->managed)
    srt_client_ask(client, SRT_CONTAINER(it, struct srt_managed, link), SRT_ASK_OPEN);
    return 0;
}

int srt_client_ready(struct secretrt_client *client, struct secretrt_error *err)
{
    int rc = 0;

    if (__atomic_load_n(&client->stamp, __ATOMIC_ACQUIRE) == srt_fork_stamp())
        return 0;
    srt_lock_take(&client->lock);
    if (client->stamp != srt_fork_stamp())
        rc = fork_begin_afresh(client, err);
    if (rc == 0)
        __atomic_store_n(&client->stamp, srt_fork_stamp(), __ATOMIC_RELEASE);
    srt_lock_give(&client->lock);
    return rc;
}
