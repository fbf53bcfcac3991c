/* Eight connections that survive rotation: each remembers the value it was made with.
 * No event is needed at checkout. Usage: 02_pool HOST DATABASE; the secret is "db". */
#include <secretrt/secretrt.h>

#include <libpq-fe.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define POOL_SIZE 8

struct conn {
    PGconn *pg;
    struct secretrt_value *value;
    int busy;
};

static struct conn pool[POOL_SIZE];
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct secretrt_secret *db;
static const char *db_host, *db_name;

static void conn_drop(struct conn *c)
{
    PQfinish(c->pg);
    secretrt_value_unref(c->value);
    c->pg = NULL;
    c->value = NULL;
}

static int conn_dial(struct conn *c)
{
    const char *names[] = {"host",     "dbname",          "user",
                           "password", "connect_timeout", NULL};
    const char *values[] = {db_host,
                            db_name,
                            secretrt_value_field(c->value, "username", NULL),
                            secretrt_value_field(c->value, "password", NULL),
                            "5",
                            NULL};

    c->pg = PQconnectdbParams(names, values, 0);
    return PQstatus(c->pg) == CONNECTION_OK;
}

static int conn_renew(struct conn *c, struct secretrt_error *e)
{
    struct secretrt_value *newer = NULL;

    conn_drop(c);
    if (secretrt_secret_read(&c->value, db, e) != 0)
        return -1;
    if (conn_dial(c))
        return 0;
    /* libpq can't say why a login failed: the store can. */
    if (secretrt_secret_reject(&newer, db, c->value, 401, e) == 0) {
        conn_drop(c);
        c->value = newer;
        if (conn_dial(c))
            return 0;
        snprintf(e->message, sizeof(e->message), "%.200s", PQerrorMessage(c->pg));
    }
    conn_drop(c);
    return -1;
}

static void conn_release(struct conn *c)
{
    pthread_mutex_lock(&pool_lock);
    c->busy = 0;
    pthread_mutex_unlock(&pool_lock);
}

static struct conn *pool_get(struct secretrt_error *e)
{
    struct conn *c = NULL;

    memset(e, 0, sizeof(*e));
    pthread_mutex_lock(&pool_lock);
    for (int i = 0; i < POOL_SIZE && c == NULL; i++) {
        if (!pool[i].busy)
            c = &pool[i];
    }
    if (c != NULL)
        c->busy = 1;
    pthread_mutex_unlock(&pool_lock);
    if (c == NULL) {
        snprintf(e->message, sizeof(e->message), "all connections are in use");
        return NULL;
    }
    if (c->value != NULL && secretrt_value_is_current(c->value))
        return c;
    if (conn_renew(c, e) == 0)
        return c;
    conn_release(c);
    return NULL;
}

/* A connection of a replaced value ends here: its lease ends at drain_by.
 * secretrt_secret_drained() would end it earlier. */
static void pool_put(struct conn *c)
{
    if (!secretrt_value_is_current(c->value))
        conn_drop(c);
    conn_release(c);
}

/* Idle connections of a replaced value: closed well before drain_by. */
static int pool_reap(const struct secretrt_event *event, void *data)
{
    (void)data;
    if (event->kind != SECRETRT_EVENT_RELOAD)
        return 0;
    pthread_mutex_lock(&pool_lock);
    for (int i = 0; i < POOL_SIZE; i++) {
        if (!pool[i].busy)
            conn_drop(&pool[i]);
    }
    pthread_mutex_unlock(&pool_lock);
    return 0;
}

int main(int argc, char **argv)
{
    struct secretrt_secret_options o = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_client *client = NULL;
    struct secretrt_error e;
    struct conn *c = NULL;

    db_host = argc > 1 ? argv[1] : "127.0.0.1";
    db_name = argc > 2 ? argv[2] : "app";
    o.fields = "username password"; /* so never NULL: libpq would take the OS user */
    o.on_event = pool_reap;
    if (secretrt_open(&client, NULL, &e) == 0 &&
        secretrt_secret_open_with(&db, client, "db", &o, &e) == 0)
        c = pool_get(&e);
    if (c != NULL) {
        printf("connected as %s\n", PQuser(c->pg));
        pool_put(c);
    } else {
        fprintf(stderr, "%s\n", e.message);
    }
    secretrt_secret_close(db);
    for (int i = 0; i < POOL_SIZE; i++)
        conn_drop(&pool[i]);
    secretrt_close(client);
    return c == NULL;
}
