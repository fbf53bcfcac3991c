/* The public reads: of a handle, of a name, of many at once. */
#include "api/client.h"
#include "base/status.h"
#include "mem/arena.h"
#include <secretrt/read.h>
#include <string.h>

/* ---- handles ---- */

static int read_handle(struct secretrt_secret *secret, const struct secretrt_call *call,
                       struct secretrt_error *err)
{
    int rc = srt_call_check(call, err);

    if (rc != 0)
        return rc;
    if (secret->managed->client == NULL)
        return srt_fail(err, SECRETRT_ERR_CLOSED, "the client is closed");
    return srt_client_ready(secret->managed->client, err);
}

int secretrt_secret_read_with(struct secretrt_value **out,
                              struct secretrt_secret *secret,
                              struct secretrt_call *call, struct secretrt_error *err)
{
    int rc;

    srt_error_clear(err);
    if (out == NULL || secret == NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "secretrt_secret_read: out or secret is NULL");
    *out = NULL;
    rc = read_handle(secret, call, err);
    return rc != 0 ? rc
                   : srt_wait_value(out, secret->managed, call,
                                    srt_call_deadline_ms(secret->managed->client, call),
                                    err);
}

int secretrt_secret_read(struct secretrt_value **out, struct secretrt_secret *secret,
                         struct secretrt_error *err)
{
    return secretrt_secret_read_with(out, secret, NULL, err);
}

int secretrt_secret_borrow(const struct secretrt_value **out,
                           struct secretrt_secret *secret, struct secretrt_error *err)
{
    struct secretrt_value *value = NULL;
    int rc;

    if (out == NULL || secret == NULL) {
        srt_error_clear(err);
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "secretrt_secret_borrow: out or secret is NULL");
    }
    *out = srt_cell_borrow(&secret->managed->cell, 1);
    if (*out != NULL) {
        if (err != NULL)
            srt_error_clear(err);
        return 0;
    }
    do { /* waits unpinned, then pins what is live; once more if it went in between */
        rc = secretrt_secret_read_with(&value, secret, NULL, err);
        if (rc == 0)
            *out = srt_cell_borrow_slow(&secret->managed->cell, value);
        srt_value_drop(value);
    } while (rc == 0 && *out == NULL);
    return rc;
}

void secretrt_value_return(const struct secretrt_value *borrowed)
{
    if (borrowed != NULL)
        srt_cell_return();
}

static int read_refused(struct secretrt_secret *secret,
                        const struct secretrt_value *refused,
                        struct secretrt_error *err)
{
    if (secret == NULL || refused == NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "secretrt_secret_reject: secret or refused is NULL");
    if (refused->stamp != srt_fork_stamp())
        return srt_fail(err, SECRETRT_ERR_FORKED,
                        "the value belongs to the parent process: read again");
    if (strcmp(refused->info.name, secret->managed->spec->name) != 0)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "the refused value is of another secret");
    return 0;
}

int secretrt_secret_reject_with(struct secretrt_value **out,
                                struct secretrt_secret *secret,
                                const struct secretrt_value *refused, int http_status,
                                struct secretrt_call *call, struct secretrt_error *err)
{
    int rc;

    srt_error_clear(err);
    if (out != NULL)
        *out = NULL;
    rc = read_refused(secret, refused, err);
    if (rc == 0)
        rc = read_handle(secret, call, err);
    if (rc != 0)
        return rc;
    secret->managed->reject_status = http_status;
    return srt_wait_reject(out, secret->managed, refused->info.generation, call, err);
}

int secretrt_secret_reject(struct secretrt_value **out, struct secretrt_secret *secret,
                           const struct secretrt_value *refused, int http_status,
                           struct secretrt_error *err)
{
    return secretrt_secret_reject_with(out, secret, refused, http_status, NULL, err);
}

int secretrt_secret_drained(struct secretrt_secret *secret, uint64_t generation)
{
    struct srt_managed *managed;
    struct secretrt_client *client;

    if (secret == NULL || generation == 0)
        return SECRETRT_ERR_INVALID;
    managed = secret->managed;
    client = managed->client;
    if (client == NULL)
        return SECRETRT_ERR_CLOSED;
    if (srt_client_ready(client, NULL) != 0)
        return SECRETRT_ERR_NOMEM;
    srt_lock_take(&client->lock);
    if (managed->n_drained < SRT_DRAINED_MAX)
        managed->drained[managed->n_drained++] = generation;
    srt_client_ask(client, managed, SRT_ASK_DRAINED);
    srt_lock_give(&client->lock);
    return 0;
}

const uint64_t *secretrt_secret_generation(const struct secretrt_secret *secret)
{
    /* the interface promises a plain word: C++ and cgo know no _Atomic */
    return secret != NULL
               ? (const uint64_t *)(uintptr_t)&secret->managed->cell.generation
               : NULL;
}

void secretrt_secret_count(struct secretrt_secret *secret, uint64_t generation,
                           uint64_t reads)
{
    struct srt_reader *reader = srt_reader_self();

    if (secret == NULL || reader == NULL)
        return;
    srt_reader_pin(reader);
    (void)srt_reader_count(reader, secret->managed->cell.slot,
                           (unsigned)(generation & 1), reads);
    srt_reader_unpin(reader);
}

/* ---- names ---- */

static int read_named(struct srt_managed **out, struct secretrt_client *client,
                      const char *name, struct secretrt_error *err)
{
    int rc;

    srt_lock_take(&client->lock);
    rc = srt_managed_get(out, client, name, NULL, err);
    if (rc == 0)
        (*out)->by_name = 1;
    srt_lock_give(&client->lock);
    return rc;
}

int secretrt_read(struct secretrt_value **out, struct secretrt_client *client,
                  const char *name, struct secretrt_error *err)
{
    struct srt_managed *managed = NULL;
    int rc;

    srt_error_clear(err);
    if (out == NULL || client == NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "secretrt_read: out or client is NULL");
    *out = NULL;
    rc = srt_client_ready(client, err);
    if (rc == 0)
        rc = read_named(&managed, client, name, err);
    return rc != 0 ? rc
                   : srt_wait_value(out, managed, NULL,
                                    srt_call_deadline_ms(client, NULL), err);
}

static int read_many_check(struct secretrt_item *items, size_t n,
                           struct secretrt_client *client, struct secretrt_call *call,
                           struct secretrt_error *err)
{
    int rc;

    if (client == NULL || (items == NULL && n > 0))
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "secretrt_read_many: items or client is NULL");
    for (size_t i = 0; i < n; i++) {
        items[i].value = NULL;
        items[i].status = 0;
    }
    rc = srt_call_check(call, err);
    return rc != 0 ? rc : srt_client_ready(client, err);
}

/* All are asked for first; then each is waited for, within one deadline. */
int secretrt_read_many(struct secretrt_item *items, size_t n,
                       struct secretrt_client *client, struct secretrt_call *call,
                       struct secretrt_error *err)
{
    struct secretrt_error each;
    struct srt_managed *managed = NULL;
    int64_t until_ms;
    int first = 0;
    int rc;

    srt_error_clear(err);
    rc = read_many_check(items, n, client, call, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (read_named(&managed, client, items[i].name, NULL) == 0) {
            srt_lock_take(&client->lock);
            srt_client_ask(client, managed, SRT_ASK_WANT);
            srt_lock_give(&client->lock);
        }
    until_ms = srt_call_deadline_ms(client, call);
    for (size_t i = 0; i < n; i++) {
        srt_error_clear(&each);
        rc = read_named(&managed, client, items[i].name, &each);
        if (rc == 0)
            rc = srt_wait_value(&items[i].value, managed, call, until_ms, &each);
        items[i].status = rc;
        if (rc != 0 && first == 0) {
            first = rc;
            if (err != NULL)
                *err = each;
        }
    }
    return first;
}

static void read_refresh_all(struct secretrt_client *client)
{
    struct srt_list *it, *tmp;

    SRT_LIST_EACH(it, tmp, &client->managed)
    srt_client_ask(client, SRT_CONTAINER(it, struct srt_managed, link),
                   SRT_ASK_REFRESH);
}

int secretrt_refresh(struct secretrt_client *client, const char *name,
                     struct secretrt_error *err)
{
    struct srt_managed *managed = NULL;
    int rc;

    srt_error_clear(err);
    if (client == NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID, "secretrt_refresh: client is NULL");
    rc = srt_client_ready(client, err);
    if (rc != 0)
        return rc;
    srt_lock_take(&client->lock);
    if (client->state != SRT_CLIENT_OPEN)
        rc = srt_fail(err, SECRETRT_ERR_CLOSED, "the client is closed");
    else if (name == NULL)
        read_refresh_all(client);
    else if ((rc = srt_managed_get(&managed, client, name, NULL, err)) == 0)
        srt_client_ask(client, managed, SRT_ASK_REFRESH);
    srt_lock_give(&client->lock);
    return rc;
}
