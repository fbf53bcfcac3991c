#include "pool.h"

#include <stdio.h>
#include <string.h>

void pool_init(struct pool *pool, struct pool_where where)
{
    memset(pool, 0, sizeof(*pool));
    pool->where = where;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->idle, NULL);
}

static void pool_drop(struct pool_conn *c)
{
    PQfinish(c->pg);
    secretrt_value_unref(c->value);
    c->pg = NULL;
    c->value = NULL;
}

void pool_close(struct pool *pool)
{
    for (int i = 0; i < POOL_SIZE; i++)
        pool_drop(&pool->conn[i]);
    pthread_cond_destroy(&pool->idle);
    pthread_mutex_destroy(&pool->lock);
}

static int pool_connect(struct pool *pool, struct pool_conn *c)
{
    const char *names[] = {
        "host", "port", "dbname", "user", "password", "connect_timeout", NULL};
    const char *values[] = {pool->where.host,
                            pool->where.port,
                            pool->where.database,
                            secretrt_value_field(c->value, "username", NULL),
                            secretrt_value_field(c->value, "password", NULL),
                            "5",
                            NULL};

    c->pg = PQconnectdbParams(names, values, 0);
    return PQstatus(c->pg) == CONNECTION_OK;
}

/* The whole art: read, connect; if that is refused, say so, and try once with what
 * comes back. libpq does not tell why a login failed, so each failure is asked about:
 * the store answers "unchanged" at once if the credential is not the cause. */
static int pool_dial(struct pool *pool, struct pool_conn *c, char *why, size_t why_len)
{
    struct secretrt_value *newer = NULL;
    struct secretrt_error e;

    pool_drop(c);
    if (secretrt_secret_read(&c->value, pool->secret, &e) != 0) {
        snprintf(why, why_len, "%s", e.message);
        goto failed;
    }
    if (pool_connect(pool, c)) {
        atomic_fetch_add(&pool->logins, 1);
        return 0;
    }
    snprintf(why, why_len, "%s", PQerrorMessage(c->pg));
    if (secretrt_secret_reject(&newer, pool->secret, c->value, 401, &e) != 0)
        goto failed; /* ERR_UNCHANGED: the database's matter, `why` says it */
    pool_drop(c);
    c->value = newer;
    if (pool_connect(pool, c)) {
        atomic_fetch_add(&pool->logins, 1);
        atomic_fetch_add(&pool->logins_recovered, 1);
        return 0;
    }
    snprintf(why, why_len, "%s", PQerrorMessage(c->pg));
failed:
    atomic_fetch_add(&pool->logins_failed, 1);
    pool_drop(c);
    return -1;
}

static struct pool_conn *pool_take(struct pool *pool)
{
    struct pool_conn *c = NULL;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        for (int i = 0; i < POOL_SIZE && c == NULL; i++) {
            if (!pool->conn[i].busy)
                c = &pool->conn[i];
        }
        if (c != NULL)
            break;
        pthread_cond_wait(&pool->idle, &pool->lock);
    }
    c->busy = 1;
    pthread_mutex_unlock(&pool->lock);
    return c;
}

/* A connection of a replaced value is closed: its lease ends at drain_by. */
static void pool_give(struct pool *pool, struct pool_conn *c)
{
    if (c->value != NULL && !secretrt_value_is_current(c->value))
        pool_drop(c);
    pthread_mutex_lock(&pool->lock);
    c->busy = 0;
    pthread_cond_signal(&pool->idle);
    pthread_mutex_unlock(&pool->lock);
}

static int pool_run(struct pool_conn *c, const char *sql, char *why, size_t why_len)
{
    PGresult *result = PQexec(c->pg, sql);
    int rc = PQresultStatus(result) == PGRES_TUPLES_OK ? 0 : -1;

    if (rc != 0)
        snprintf(why, why_len, "%s", PQerrorMessage(c->pg));
    PQclear(result);
    return rc;
}

int pool_query(struct pool *pool, const char *sql, char *why, size_t why_len)
{
    struct pool_conn *c = pool_take(pool);
    int rc = 0, again = 0;

    why[0] = '\0';
    if (c->pg == NULL || !secretrt_value_is_current(c->value))
        rc = pool_dial(pool, c, why, why_len);
    if (rc == 0)
        rc = pool_run(c, sql, why, why_len);
    if (rc != 0 && c->pg != NULL) {
        /* The session may have been ended with its role: once more, on a new one. */
        again = 1;
        rc = pool_dial(pool, c, why, why_len);
        if (rc == 0)
            rc = pool_run(c, sql, why, why_len);
    }
    atomic_fetch_add(&pool->queries, 1);
    if (rc != 0)
        atomic_fetch_add(&pool->queries_failed, 1);
    else if (again)
        atomic_fetch_add(&pool->queries_recovered, 1);
    pool_give(pool, c);
    return rc;
}

int pool_login(struct pool *pool, const char *sql, char *why, size_t why_len)
{
    struct pool_conn c = {NULL, NULL, 1};
    int rc;

    why[0] = '\0';
    rc = pool_dial(pool, &c, why, why_len);
    if (rc == 0) {
        atomic_fetch_add(&pool->queries, 1);
        rc = pool_run(&c, sql, why, why_len);
        if (rc != 0) {
            /* Revoked between login and query: as in pool_query. */
            rc = pool_dial(pool, &c, why, why_len);
            if (rc == 0)
                rc = pool_run(&c, sql, why, why_len);
            atomic_fetch_add(rc == 0 ? &pool->queries_recovered : &pool->queries_failed,
                             1);
        }
    }
    pool_drop(&c);
    return rc;
}

int pool_drain(struct pool *pool)
{
    int closed = 0;

    pthread_mutex_lock(&pool->lock);
    for (int i = 0; i < POOL_SIZE; i++) {
        struct pool_conn *c = &pool->conn[i];

        if (!c->busy && c->pg != NULL && !secretrt_value_is_current(c->value)) {
            pool_drop(c);
            closed++;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return closed;
}
