#include "support/vault.h"
#include "support/server.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#define VAULT_PATIENCE_S 20

static void vault_note(struct vault *v, const char *key)
{
    size_t i = 0;

    while (i + 1 < VAULT_PATHS && v->path[i].count > 0 &&
           strcmp(v->path[i].key, key) != 0)
        i++;
    (void)snprintf(v->path[i].key, sizeof(v->path[i].key), "%s", key);
    v->path[i].count++;
    pthread_cond_broadcast(&v->cond);
}

static void vault_send(int fd, int status, const char *body)
{
    char head[160];

    (void)snprintf(head, sizeof(head),
                   "HTTP/1.1 %d Status\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n",
                   status, strlen(body));
    server_text(fd, head);
    server_text(fd, body);
}

static void vault_read(struct vault *v, int fd)
{
    char body[640];
    unsigned n;
    int status;
    int ttl_s;

    pthread_mutex_lock(&v->lock);
    while (v->holds && !v->server->stopping)
        pthread_cond_wait(&v->cond, &v->lock);
    n = ++v->leases;
    status = v->status;
    ttl_s = v->ttl_s;
    pthread_mutex_unlock(&v->lock);
    (void)snprintf(body, sizeof(body),
                   "{\"request_id\":\"q%u\",\"lease_id\":\"database/creds/app/l%u\","
                   "\"renewable\":true,\"lease_duration\":%d,\"data\":{\"username\":"
                   "\"user-%u\",\"password\":\"CANARY-%u\"},\"wrap_info\":null,"
                   "\"warnings\":null,\"auth\":null}",
                   n, n, ttl_s, n, n);
    vault_send(fd, status, status == 200 ? body : "{\"errors\":[\"scripted\"]}");
}

static void vault_login(int fd)
{
    vault_send(fd, 200,
               "{\"request_id\":\"q\",\"lease_id\":\"\",\"renewable\":false,"
               "\"lease_duration\":0,\"data\":null,\"auth\":{\"client_token\":"
               "\"CANARY-t\",\"accessor\":\"a\",\"policies\":[\"default\"],"
               "\"metadata\":{\"role_name\":\"r\"},\"lease_duration\":3600,"
               "\"renewable\":true,\"token_type\":\"service\",\"orphan\":true,"
               "\"mfa_requirement\":null,\"num_uses\":0}}");
}

static void vault_renew(struct vault *v, const struct server_request *request, int fd)
{
    const char *id = strstr(request->body, "database/creds/app/l");
    char body[256];
    int granted_s;

    pthread_mutex_lock(&v->lock);
    granted_s = v->renews_s;
    pthread_mutex_unlock(&v->lock);
    if (granted_s == 0 || id == NULL) {
        vault_send(fd, 400, "{\"errors\":[\"lease is not renewable\"]}");
        return;
    }
    (void)snprintf(body, sizeof(body),
                   "{\"request_id\":\"q\",\"lease_id\":\"%.*s\",\"renewable\":true,"
                   "\"lease_duration\":%d,\"data\":null,\"auth\":null}",
                   (int)strcspn(id, "\""), id, granted_s);
    vault_send(fd, 200, body);
}

static int vault_handle(struct server *server, struct server_request *request, int fd)
{
    struct vault *v = server->data;
    char method[8] = "";
    char path[80] = "";
    char key[96];

    if (sscanf(request->head, "%7s %79s", method, path) != 2)
        return 0;
    (void)snprintf(key, sizeof(key), "%s %s", method, path);
    if (strstr(path, VAULT_REVOKE_SELF) != NULL)
        (void)snprintf(key, sizeof(key), "%s", VAULT_REVOKE_SELF);
    pthread_mutex_lock(&v->lock);
    vault_note(v, key);
    pthread_mutex_unlock(&v->lock);
    if (strcmp(key, VAULT_LOGIN) == 0)
        vault_login(fd);
    else if (strcmp(key, VAULT_READ) == 0)
        vault_read(v, fd);
    else if (strcmp(key, VAULT_RENEW) == 0)
        vault_renew(v, request, fd);
    else if (strcmp(path, "/v1/sys/leases/lookup") == 0)
        vault_send(fd, 200, "{\"data\":{\"id\":\"x\",\"ttl\":600,\"renewable\":true}}");
    else if (strstr(path, "revoke") != NULL)
        server_text(fd, "HTTP/1.1 204 No Content\r\n\r\n");
    else
        vault_send(fd, 404, "{\"errors\":[]}");
    return 1;
}

struct vault *vault_new(int ttl_s)
{
    struct vault *v = calloc(1, sizeof(*v));

    assert_non_null(v);
    assert_int_equal(pthread_mutex_init(&v->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&v->cond, NULL), 0);
    v->ttl_s = ttl_s;
    v->renews_s = ttl_s;
    v->status = 200;
    v->server = server_new(vault_handle, v);
    (void)snprintf(v->config, sizeof(v->config),
                   "{\"vault\": {\"address\": \"http://127.0.0.1:%d\", \"auth\": "
                   "{\"method\": \"approle\", \"role_id\": \"r\"}}, \"secrets\": "
                   "{\"db\": {\"sources\": [\"vault://database/creds/app\"]}}}",
                   v->server->port);
    return v;
}

void vault_free(struct vault *v)
{
    vault_release(v);
    server_free(v->server);
    pthread_cond_destroy(&v->cond);
    pthread_mutex_destroy(&v->lock);
    free(v);
}

void vault_answer(struct vault *v, int status)
{
    pthread_mutex_lock(&v->lock);
    v->status = status;
    pthread_mutex_unlock(&v->lock);
}

void vault_hold(struct vault *v)
{
    pthread_mutex_lock(&v->lock);
    v->holds = 1;
    pthread_mutex_unlock(&v->lock);
}

void vault_release(struct vault *v)
{
    pthread_mutex_lock(&v->lock);
    v->holds = 0;
    pthread_cond_broadcast(&v->cond);
    pthread_mutex_unlock(&v->lock);
}

static unsigned vault_count_nolock(const struct vault *v, const char *key)
{
    for (size_t i = 0; i < VAULT_PATHS; i++)
        if (strcmp(v->path[i].key, key) == 0)
            return v->path[i].count;
    return 0;
}

unsigned vault_count(struct vault *v, const char *key)
{
    unsigned count;

    pthread_mutex_lock(&v->lock);
    count = vault_count_nolock(v, key);
    pthread_mutex_unlock(&v->lock);
    return count;
}

void vault_await(struct vault *v, const char *key, unsigned count)
{
    struct timespec until;
    int late = 0;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += VAULT_PATIENCE_S;
    pthread_mutex_lock(&v->lock);
    while (!late && vault_count_nolock(v, key) < count)
        late = pthread_cond_timedwait(&v->cond, &v->lock, &until) == ETIMEDOUT;
    pthread_mutex_unlock(&v->lock);
    assert_false(late);
}
