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
static int fork_handled; /* the handlers are there: they can't be taken back */
static int fork_exits;

#define FORK_EACH(it)                                                                  \
    for ((it) = fork_clients.next; (it) != &fork_clients; (it) = (it)->next)

static struct secretrt_client *fork_client(struct srt_list *it)
{
    return SRT_CONTAINER(it, struct secretrt_client, link);
}

static int fork_is_ours(const struct secretrt_client *client)
{
    return __atomic_load_n(&client->stamp, __ATOMIC_ACQUIRE) == srt_fork_stamp();
}

/* A child that begins afresh while another of its threads forks: its lock is taken in
 * any case, its thread is held if it has one by then. */
static void fork_hold(struct secretrt_client *client)
{
    for (;;) {
        int ours = fork_is_ours(client);

        if (ours)
            srt_loop_hold(client->loop);
        srt_lock_take(&client->lock);
        client->held = fork_is_ours(client);
        if (client->held == ours)
            break;
        srt_lock_give(&client->lock); /* it was not, and is now */
    }
    if (!client->held)
        return;
    srt_pump_hold(client->pump);
    if (client->dispatcher != NULL)
        srt_worker_hold(client->dispatcher);
    if (client->verifier != NULL)
        srt_worker_hold(client->verifier);
}

static void fork_release(struct secretrt_client *client)
{
    int held = client->held;

    if (held && client->verifier != NULL)
        srt_worker_release(client->verifier);
    if (held && client->dispatcher != NULL)
        srt_worker_release(client->dispatcher);
    if (held)
        srt_pump_release(client->pump);
    srt_lock_give(&client->lock);
    if (held)
        srt_loop_release(client->loop);
}

/* Nothing is half done at the moment of the fork: every thread of ours is between
 * turns. */
static void fork_prepare(void)
{
    struct srt_list *it;

    srt_lock_take(&fork_lock);
    FORK_EACH(it)
    fork_hold(fork_client(it));
    srt_epoch_fork_prepare();
    srt_arena_fork_prepare();
}

static void fork_parent(void)
{
    struct srt_list *it;

    srt_arena_fork_parent();
    srt_epoch_fork_parent();
    FORK_EACH(it)
    fork_release(fork_client(it));
    srt_lock_give(&fork_lock);
}

static void fork_child(void)
{
    struct srt_list *it, *m;

    srt_arena_fork_child();
    srt_epoch_fork_child();
    FORK_EACH(it)
    {
        struct secretrt_client *client = fork_client(it);

        for (m = client->managed.next; m != &client->managed; m = m->next)
            srt_cell_forget(&SRT_CONTAINER(m, struct srt_managed, link)->cell);
        fork_release(client);
    }
    srt_lock_give(&fork_lock);
}

/* Before OpenSSL's own handlers, which must find no transfer of ours on its way. Who
 * calls after it, a destructor for instance, finds a client that is shut down. */
static void fork_at_exit(void)
{
    struct srt_list *it;

    srt_lock_take(&fork_lock);
    FORK_EACH(it)
    {
        struct secretrt_client *client = fork_client(it);

        if (!fork_is_ours(client))
            continue;
        srt_loop_stop(client->loop);
        srt_lock_take(&client->lock);
        client->state = SRT_CLIENT_CLOSED;
        srt_cond_signal_all(&client->changed);
        srt_lock_give(&client->lock);
    }
    srt_lock_give(&fork_lock);
}

int srt_fork_enlist(struct secretrt_client *client)
{
    int rc = 0;

    srt_lock_take(&fork_lock);
    if (!fork_handled)
        rc = pthread_atfork(fork_prepare, fork_parent, fork_child);
    fork_handled = rc == 0;
    if (rc == 0 && !fork_exits)
        rc = atexit(fork_at_exit);
    fork_exits = rc == 0;
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

static void fork_reset_secret(struct srt_managed *managed)
{
    struct srt_list *h;

    srt_target_init(&managed->target, managed->spec->name);
    for (h = managed->handles.next; h != &managed->handles; h = h->next)
        srt_target_init(&SRT_CONTAINER(h, struct secretrt_secret, link)->target,
                        managed->spec->name);
    srt_list_init(&managed->dirty);
    managed->record = NULL;
    srt_answer_free(managed->answer); /* its ticket is the parent's */
    managed->answer = NULL;
    srt_managed_forget_recent(managed);
    managed->opened = 0;
    managed->callers = 0;
    managed->asks = 0;
    managed->n_drained = 0;
    managed->asked_at = 0;
    managed->taken_at = 0;
    managed->answered_at = 0;
    managed->unchanged_at = 0;
    managed->failure_final = 0;
    managed->expired = 0;
    managed->pending_at = 0;
    srt_error_clear(&managed->failure);
}

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

        fork_reset_secret(managed);
        if (!srt_managed_is_closed(managed))
            continue;
        srt_list_remove(&managed->link); /* the parent was about to give it back */
        srt_managed_free(managed);
    }
}

static void fork_leave_threads(struct secretrt_client *client)
{
    srt_engine_mute(client->engine);
    srt_loop_abandon(client->loop);
    srt_engine_free(client->engine);
    client->engine = NULL;
    client->loop = NULL;
    if (client->dispatcher != NULL)
        srt_worker_abandon(client->dispatcher);
    if (client->verifier != NULL)
        srt_worker_abandon(client->verifier);
    client->dispatcher = client->verifier = NULL;
    client->dispatching = 0;
    client->running = client->verifying = NULL;
    client->close_in_callback = 0;
    client->unreturned = 0;
    client->callers = 0;
    client->asked = 0;
    srt_cond_init(&client->changed);
}

static int fork_begin_afresh(struct secretrt_client *client, struct secretrt_error *err)
{
    int rc;

    fork_leave_threads(client);
    fork_reset_secrets(client);
    srt_fd_close(&client->event_fd);
    client->event_fd = srt_fd_event();
    rc = srt_pump_afresh(client->pump) == 0 ? 0 : srt_nomem(err);
    if (rc == 0 && client->event_fd < 0)
        rc = srt_fail(err, SECRETRT_ERR_UNAVAILABLE,
                      "no descriptor for events is to be had");
    if (rc == 0)
        rc = srt_client_start(client, err);
    if (rc == 0 && client->state == SRT_CLIENT_CLOSING)
        client->state = SRT_CLIENT_CLOSED; /* the parent's shutdown is the parent's */
    if (rc == 0 && client->state != SRT_CLIENT_OPEN)
        srt_fd_signal(client->event_fd);
    return rc;
}

int srt_client_ready(struct secretrt_client *client, struct secretrt_error *err)
{
    int rc = 0;

    if (__atomic_load_n(&client->stamp, __ATOMIC_ACQUIRE) == srt_fork_stamp())
        return 0;
    srt_lock_take(&client->lock);
    if (client->abandoned)
        rc = srt_fail(err, SECRETRT_ERR_CLOSED, "the client is closed");
    else if (!fork_is_ours(client))
        rc = fork_begin_afresh(client, err);
    if (rc == 0)
        __atomic_store_n(&client->stamp, srt_fork_stamp(), __ATOMIC_RELEASE);
    srt_lock_give(&client->lock);
    return rc;
}
