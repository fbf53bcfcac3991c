/* A scripted Vault on a loopback port: AppRole login, leases that it numbers, renewal,
 * look-up, revocation. It counts what it is asked. For tests of the whole library. */
#ifndef TESTS_SUPPORT_VAULT_H
#define TESTS_SUPPORT_VAULT_H

#include <pthread.h>
#include <stdint.h>

#define VAULT_PATHS 64

struct vault {
    struct server *server;
    char config[512]; /* JSON: the store, and "db" on database/creds/app */
    pthread_mutex_t lock;
    pthread_cond_t cond;
    /* the script, changed under the lock or before the first request */
    int ttl_s;    /* of a lease */
    int status;   /* of a read of credentials; 200 */
    int holds;    /* 1: a read of credentials is answered after vault_release */
    int renews_s; /* what a renewal grants; 0: it is refused as not renewable */
    /* what was asked */
    unsigned leases;
    struct {
        char key[96]; /* "GET /v1/database/creds/app" */
        unsigned count;
    } path[VAULT_PATHS];
};

struct vault *vault_new(int ttl_s);
void vault_free(struct vault *v);
void vault_answer(struct vault *v, int status); /* to reads, from now on */
void vault_hold(struct vault *v);
void vault_release(struct vault *v);
unsigned vault_count(struct vault *v, const char *key);
/* Waits until it was asked so often. Ends the test after 20 s. */
void vault_await(struct vault *v, const char *key, unsigned count);

#define VAULT_READ "GET /v1/database/creds/app"
#define VAULT_LOGIN "POST /v1/auth/approle/login"
#define VAULT_RENEW "PUT /v1/sys/leases/renew"
#define VAULT_REVOKE "PUT /v1/sys/leases/revoke"
#define VAULT_REVOKE_SELF "auth/token/revoke-self" /* with either method */

#endif
