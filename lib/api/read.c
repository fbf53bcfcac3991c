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
    struct srt_wait wait = {.call = call};
    int rc;

    srt_error_clear(err);
    if (out != NULL)
        *out = NULL;
    if (out == NULL || secret == NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "secretrt_secret_read: out or secret is NULL");
    rc = read_handle(secret, call, err);
    if (rc != 0)
        return rc;
    wait.until_ms = srt_call_deadline_ms(secret->managed->client, call);
    return srt_wait_value(out, secret->managed, &wait, err);
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

    if (out != NULL)
        *out = NULL;
    if (out == NULL || secret == NULL) {
        srt_error_clear(err);
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "secretrt_secret_borrow: out or secret is NULL");
    }
    *out = srt_cell_borrow(&secret->managed->cell, 1);
    if (*out != NULL) {
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
    return srt_wait_reject(out, secret->managed, refused, http_status, call, err);
}

int secretrt_secret_reject(struct secretrt_value **out, struct secretrt_secret *secret,
                           const struct secretrt_value *refused, int http_status,
                           struct secretrt_error *err)
{
    return secretrt_secret_reject_with(out, secret, refused, http_status, NULL, err);
}

/* 1: it is news. The engine remembers as many replaced ones as there is room for. */
static int read_drained(struct srt_managed *managed, uint64_t generation)
{
    for (unsigned i = 0; i < managed->n_drained; i++)
        if (managed->drained[i] == generation)
            return 0;
    if (managed->n_drained == SRT_DRAINED_MAX)
        return 0;
    managed->drained[managed->n_drained++] = generation;
    return 1;
}

int secretrt_secret_drained(struct secretrt_secret *secret, uint64_t generation)
{
    struct srt_managed *managed;
    struct secretrt_client *client;
    int rc;

    if (secret == NULL || generation == 0)
        return SECRETRT_ERR_INVALID;
    managed = secret->managed;
    client = managed->client;
    if (client == NULL)
        return SECRETRT_ERR_CLOSED;
    rc = srt_client_ready(client, NULL);
    if (rc != 0)
        return rc;
    srt_lock_take(&client->lock);
    if (client->state != SRT_CLIENT_OPEN)
        rc = SECRETRT_ERR_CLOSED;
    else if (read_drained(managed, generation))
        srt_client_ask(client, managed, SRT_ASK_DRAINED);
    srt_lock_give(&client->lock);
    return rc;
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
    struct srt_wait wait = {.call = NULL};
    int rc;

    srt_error_clear(err);
    if (out != NULL)
        *out = NULL;
    if (out == NULL || client == NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "secretrt_read: out or client is NULL");
    rc = srt_client_ready(client, err);
    if (rc == 0)
        rc = read_named(&managed, client, name, err);
    if (rc != 0)
        return rc;
    wait.until_ms = srt_call_deadline_ms(client, NULL);
    return srt_wait_value(out, managed, &wait, err);
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
    if (rc == 0)
        rc = srt_client_ready(client, err);
    for (size_t i = 0; i < n; i++)
        items[i].status = rc;
    return rc;
}

static void read_many_ask(const struct secretrt_item *items, size_t n,
                          struct secretrt_client *client, struct srt_wait *wait)
{
    struct srt_managed *managed = NULL;
    uint64_t asked;

    srt_lock_take(&client->lock);
    for (size_t i = 0; i < n; i++) {
        if (srt_managed_get(&managed, client, items[i].name, NULL, NULL) != 0)
            continue;
        managed->by_name = 1;
        asked = srt_client_ask(client, managed, srt_call_ask(wait->call));
        if (wait->asked == 0)
            wait->asked = asked; /* the others' are higher */
    }
    srt_lock_give(&client->lock);
}

/* All are asked for first; then each is waited for, within one deadline. */
int secretrt_read_many(struct secretrt_item *items, size_t n,
                       struct secretrt_client *client, struct secretrt_call *call,
                       struct secretrt_error *err)
{
    struct srt_wait wait = {.call = call};
    struct secretrt_error each;
    struct srt_managed *managed = NULL;
    int first = 0;
    int rc;

    srt_error_clear(err);
    rc = read_many_check(items, n, client, call, err);
    if (rc != 0)
        return rc;
    read_many_ask(items, n, client, &wait);
    wait.until_ms = srt_call_deadline_ms(client, call);
    for (size_t i = 0; i < n; i++) {
        srt_error_clear(&each);
        rc = read_named(&managed, client, items[i].name, &each);
        if (rc == 0)
            rc = srt_wait_value(&items[i].value, managed, &wait, &each);
        items[i].status = rc;
        if (rc != 0 && first == 0) {
            first = rc;
            if (err != NULL)
                *err = each;
        }
    }
    return first;
}

/* Those of that name, or all; in a forked child only what it has asked for itself. */
static int read_refresh(struct secretrt_client *client, const char *name,
                        struct secretrt_error *err)
{
    struct srt_list *it, *tmp;
    char clean[SRT_FOREIGN_MAX];
    int found = name == NULL;

    SRT_LIST_EACH(it, tmp, &client->managed)
    {
        struct srt_managed *managed = SRT_CONTAINER(it, struct srt_managed, link);

        if (!managed->opened || (managed->asks & SRT_ASK_CLOSE) ||
            (name != NULL && strcmp(managed->spec->name, name) != 0))
            continue;
        srt_client_ask(client, managed, SRT_ASK_REFRESH);
        found = 1;
    }
    if (found)
        return 0;
    return srt_fail(err, SECRETRT_ERR_NOT_FOUND,
                    "\"%s\" is not managed: nobody has read or opened it",
                    srt_text_clean(clean, sizeof(clean), name, strlen(name)));
}

int secretrt_refresh(struct secretrt_client *client, const char *name,
                     struct secretrt_error *err)
{
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
    else
        rc = read_refresh(client, name, err);
    srt_lock_give(&client->lock);
    return rc;
}
