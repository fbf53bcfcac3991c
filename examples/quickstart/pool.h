/* A small pool of PostgreSQL connections whose credential changes under it. */
#ifndef QUICKSTART_POOL_H
#define QUICKSTART_POOL_H

#include <secretrt/secretrt.h>

#include <libpq-fe.h>

#include <pthread.h>
#include <stdatomic.h>

#define POOL_SIZE 4

struct pool_conn {
    PGconn *pg;
    struct secretrt_value *value; /* what it was made with */
    int busy;
};

struct pool_where {
    const char *host;
    const char *port;
    const char *database;
};

struct pool {
    struct pool_where where;
    struct secretrt_secret *secret;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    struct pool_conn conn[POOL_SIZE];
    /* What happened. Recovered: refused because the role was gone, reported by
     * secretrt_secret_reject, and then well. */
    atomic_uint_fast64_t queries, queries_recovered, queries_failed;
    atomic_uint_fast64_t logins, logins_recovered, logins_failed;
};

/* Set pool->secret before the first query. */
void pool_init(struct pool *pool, struct pool_where where);
void pool_close(struct pool *pool); /* no query may run */

/* Runs a query that may be repeated (a SELECT). 0, or -1 with one line in why. */
int pool_query(struct pool *pool, const char *sql, char *why, size_t why_len);
/* One fresh login, one query, and out again. */
int pool_login(struct pool *pool, const char *sql, char *why, size_t why_len);
/* After a replacement: closes idle connections of replaced values, and answers how
 * many. Busy ones are closed when they come back. */
int pool_drain(struct pool *pool);

#endif
