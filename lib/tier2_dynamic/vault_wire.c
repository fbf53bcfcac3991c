/* Requests to Vault and OpenBao, and what their answers mean. */
#include "base/status.h"
#include "codec/text.h"
#include "tier2_dynamic/vault.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VAULT_WIRE_PLACE_LEN 128
#define VAULT_WIRE_JSON "application/json"

/* One row: the first that fits decides. A pattern is looked for in the raw body; no
 * other byte of it is ever used. */
struct vault_wire_rule {
    unsigned ops;        /* of enum srt_vault_op */
    int status;          /* 0: any */
    const char *pattern; /* NULL: any body */
    enum srt_class failure_class;
    const char *text; /* what it is and what to do */
};

#define VAULT_WIRE_ANY (~0U)
#define VAULT_WIRE_LEASE (SRT_VAULT_RENEW | SRT_VAULT_LOOKUP)
#define VAULT_WIRE_EXTEND (SRT_VAULT_RENEW | SRT_VAULT_TOKEN_RENEW)
#define VAULT_WIRE_TOKEN (SRT_VAULT_TOKEN_RENEW | SRT_VAULT_TOKEN_REVOKE)
#define VAULT_WIRE_ROLE "no such role: set auth.role to one that exists there"
#define VAULT_WIRE_LEASE_GONE "the lease is gone"
#define VAULT_WIRE_FIXED "it can't be renewed"
#define VAULT_WIRE_WRAP                                                                \
    "the wrapping token is not valid: somebody else may have unwrapped it, or it "     \
    "expired; find out, then make a new one"

static const struct vault_wire_rule vault_wire_rules[] = {
    /* a replica that is behind: any operation */
    {VAULT_WIRE_ANY, 400, "Waiting for the primary", SRT_CLASS_CONSISTENCY,
     "the standby is not ready yet"},
    /* 400 has two opposite meanings when a lease is renewed */
    {VAULT_WIRE_EXTEND, 400, "failed to renew entry", SRT_CLASS_BACKEND,
     "the engine behind it failed to renew it; the lease lives on"},
    {VAULT_WIRE_LEASE, 400, "lease not found", SRT_CLASS_GONE, VAULT_WIRE_LEASE_GONE},
    {VAULT_WIRE_LEASE, 400, "invalid lease", SRT_CLASS_GONE, VAULT_WIRE_LEASE_GONE},
    {VAULT_WIRE_LEASE, 400, "lease expired", SRT_CLASS_GONE, VAULT_WIRE_LEASE_GONE},
    {VAULT_WIRE_LEASE, 400, "lease is expired", SRT_CLASS_GONE, VAULT_WIRE_LEASE_GONE},
    {VAULT_WIRE_EXTEND, 400, "lease is not renewable", SRT_CLASS_NOT_RENEWABLE,
     VAULT_WIRE_FIXED},
    {VAULT_WIRE_EXTEND, 400, "batch tokens cannot be renewed", SRT_CLASS_NOT_RENEWABLE,
     VAULT_WIRE_FIXED},
    {VAULT_WIRE_EXTEND, 400, "cannot renew lease, no valid", SRT_CLASS_NOT_RENEWABLE,
     VAULT_WIRE_FIXED},
    {VAULT_WIRE_EXTEND, 400, NULL, SRT_CLASS_BACKEND, "it was not renewed"},
    {SRT_VAULT_REVOKE | SRT_VAULT_TOKEN_REVOKE, 400, NULL, SRT_CLASS_BACKEND,
     "it was not revoked"},
    /* logins */
    {SRT_VAULT_LOGIN, 400, "could not be found", SRT_CLASS_LOGIN, VAULT_WIRE_ROLE},
    {SRT_VAULT_LOGIN, 400, "invalid role name", SRT_CLASS_LOGIN, VAULT_WIRE_ROLE},
    {SRT_VAULT_LOGIN, 400, "token is expired", SRT_CLASS_LOGIN,
     "our identity token has expired: is its file renewed, is the clock right?"},
    {SRT_VAULT_LOGIN, 400, "invalid audience", SRT_CLASS_LOGIN,
     "our identity token is for another audience: it must be one of the role's "
     "bound audiences"},
    {SRT_VAULT_LOGIN, 400, "invalid issuer", SRT_CLASS_LOGIN,
     "our identity token has another issuer than the auth method expects"},
    {SRT_VAULT_LOGIN, 400, "token signature", SRT_CLASS_LOGIN,
     "the signature of our identity token is not trusted: check the auth method's "
     "keys"},
    {SRT_VAULT_LOGIN, 400, "bound claim", SRT_CLASS_LOGIN,
     "the role's bound claims do not match our identity token"},
    {SRT_VAULT_LOGIN, 400, "invalid role or secret ID", SRT_CLASS_LOGIN,
     "invalid role or secret ID: it is wrong, used up or expired; make a new secret "
     "ID"},
    {SRT_VAULT_LOGIN, 0, "service account name not authorized", SRT_CLASS_LOGIN,
     "the role is not bound to this service account: see its "
     "bound_service_account_names"},
    {SRT_VAULT_LOGIN, 0, "namespace not authorized", SRT_CLASS_LOGIN,
     "the role is not bound to this namespace: see its "
     "bound_service_account_namespaces"},
    {SRT_VAULT_LOGIN, 0, "service account unauthorized", SRT_CLASS_LOGIN,
     "the cluster does not know this service account's token any more"},
    {SRT_VAULT_LOGIN, 0, "CIDR restrictions", SRT_CLASS_LOGIN,
     "this address is not within the role's bound CIDRs"},
    {SRT_VAULT_LOGIN, 403, "permission denied", SRT_CLASS_LOGIN,
     "permission denied: is the auth method mounted there, and may this workload "
     "use the role?"},
    {SRT_VAULT_LOGIN, 400, NULL, SRT_CLASS_LOGIN, "the server refused it"},
    {SRT_VAULT_LOGIN, 401, NULL, SRT_CLASS_LOGIN, "the server refused it"},
    {SRT_VAULT_LOGIN, 403, NULL, SRT_CLASS_LOGIN, "the server refused it"},
    {SRT_VAULT_LOGIN, 404, NULL, SRT_CLASS_CONFIG,
     "no auth method is mounted there: check auth.mount and the namespace"},
    {SRT_VAULT_TOKEN_LOOKUP, 401, NULL, SRT_CLASS_GONE, "the token is dead"},
    {SRT_VAULT_TOKEN_LOOKUP, 403, NULL, SRT_CLASS_GONE, "the token is dead"},
    {VAULT_WIRE_TOKEN, 403, NULL, SRT_CLASS_AUTH,
     "the token is dead, or its policies lack the default one"},
    {SRT_VAULT_UNWRAP, 400, "wrapping token is not valid", SRT_CLASS_SECURITY,
     VAULT_WIRE_WRAP},
    {SRT_VAULT_UNWRAP, 400, NULL, SRT_CLASS_LOGIN, "the server refused it"},
    {SRT_VAULT_UNWRAP, 401, NULL, SRT_CLASS_LOGIN, "the server refused it"},
    {SRT_VAULT_UNWRAP, 403, NULL, SRT_CLASS_LOGIN, "the server refused it"},
    /* reads, and what is alike for all */
    {SRT_VAULT_READ, 400, "unknown role", SRT_CLASS_CONFIG,
     "no such role: check the last part of the path"},
    {SRT_VAULT_READ, 400, "not allowed by this role", SRT_CLASS_CONFIG,
     "the role does not allow what was asked for"},
    {VAULT_WIRE_ANY, 400, NULL, SRT_CLASS_CONFIG,
     "the server can't make sense of the request: check path and options"},
    {SRT_VAULT_READ, 401, NULL, SRT_CLASS_AUTH, "the token is dead"},
    {SRT_VAULT_READ, 403, NULL, SRT_CLASS_AUTH,
     "the policy lacks read, or the token is dead"},
    {VAULT_WIRE_ANY, 401, NULL, SRT_CLASS_AUTH, "the token is dead"},
    {VAULT_WIRE_ANY, 403, NULL, SRT_CLASS_AUTH,
     "the policy does not allow it, or the token is dead"},
    {SRT_VAULT_READ, 404, "\"deletion_time\"", SRT_CLASS_NOT_FOUND,
     "this version was deleted: undelete it, or write a new one"},
    {SRT_VAULT_READ, 404, "no handler for route", SRT_CLASS_NOT_FOUND,
     "nothing is mounted there: check the path and the namespace"},
    {VAULT_WIRE_ANY, 404, NULL, SRT_CLASS_NOT_FOUND,
     "nothing is there: check the path (KV v2 needs \"data/\" after the mount)"},
    {VAULT_WIRE_ANY, 405, NULL, SRT_CLASS_CONFIG,
     "the path does not take this method: see _method"},
    {VAULT_WIRE_ANY, 413, NULL, SRT_CLASS_CONFIG, "the request is too large for it"},
    {VAULT_WIRE_ANY, 415, NULL, SRT_CLASS_CONFIG, "the path does not take JSON"},
    {VAULT_WIRE_ANY, 412, NULL, SRT_CLASS_CONSISTENCY, "not replicated there yet"},
    {VAULT_WIRE_ANY, 429, NULL, SRT_CLASS_THROTTLE, "too many requests (a quota)"},
    {VAULT_WIRE_ANY, 472, NULL, SRT_CLASS_UNAVAILABLE,
     "this is a disaster recovery secondary"},
    {VAULT_WIRE_ANY, 473, NULL, SRT_CLASS_UNAVAILABLE, "this is a performance standby"},
    {VAULT_WIRE_ANY, 500, "missing role_id", SRT_CLASS_CONFIG, "set auth.role_id"},
    {VAULT_WIRE_ANY, 500, "failed to connect", SRT_CLASS_SERVER,
     "it can't reach what is behind it (a database?)"},
    {VAULT_WIRE_ANY, 500, NULL, SRT_CLASS_SERVER, "it failed inside: see its log"},
    {VAULT_WIRE_ANY, 501, NULL, SRT_CLASS_SERVER, "vault is not initialised"},
    {VAULT_WIRE_ANY, 502, NULL, SRT_CLASS_UNAVAILABLE,
     "what is behind it did not answer"},
    {VAULT_WIRE_ANY, 503, "sealed", SRT_CLASS_UNAVAILABLE, "vault is sealed"},
    {VAULT_WIRE_ANY, 503, NULL, SRT_CLASS_UNAVAILABLE, "it is not available"},
    {VAULT_WIRE_ANY, 504, NULL, SRT_CLASS_UNAVAILABLE, "a proxy had no answer in time"},
    {VAULT_WIRE_ANY, 301, NULL, SRT_CLASS_UNAVAILABLE, "it sends us elsewhere"},
    {VAULT_WIRE_ANY, 302, NULL, SRT_CLASS_UNAVAILABLE, "it sends us elsewhere"},
    {VAULT_WIRE_ANY, 307, NULL, SRT_CLASS_UNAVAILABLE, "it has no leader in reach"},
    {VAULT_WIRE_ANY, 308, NULL, SRT_CLASS_UNAVAILABLE, "it sends us elsewhere"},
    {VAULT_WIRE_ANY, 0, NULL, SRT_CLASS_PROTOCOL,
     "an unknown answer: is this really Vault?"},
};

static int vault_wire_holds(const struct srt_secbuf *body, const char *pattern)
{
    return body->len > 0 &&
           memmem(body->data, body->len, pattern, strlen(pattern)) != NULL;
}

/* The last row fits everything. */
static const struct vault_wire_rule *vault_wire_rule(const struct srt_reply *reply,
                                                     enum srt_vault_op op)
{
    const struct vault_wire_rule *rule = vault_wire_rules;
    const struct vault_wire_rule *last =
        &vault_wire_rules[sizeof(vault_wire_rules) / sizeof(vault_wire_rules[0]) - 1];

    for (; rule < last; rule++)
        if ((rule->ops & (unsigned)op) != 0 &&
            (rule->status == 0 || rule->status == reply->status) &&
            (rule->pattern == NULL || vault_wire_holds(&reply->body, rule->pattern)))
            break;
    return rule;
}

/* What was done where, without a lease ID. */
static void vault_wire_place(char *out, size_t cap, const struct srt_exchange *x,
                             enum srt_vault_op op)
{
    const char *what = "";
    const char *role =
        op == SRT_VAULT_LOGIN ? srt_store_text(x->store, "auth.role") : NULL;
    char path[VAULT_WIRE_PLACE_LEN];

    srt_text_clean(path, sizeof(path), x->ref->path, strlen(x->ref->path));
    switch (op) {
    case SRT_VAULT_READ:
        what = "at ";
        break;
    case SRT_VAULT_RENEW:
        what = "renewing ";
        break;
    case SRT_VAULT_LOOKUP:
        what = "looking up the lease of ";
        break;
    case SRT_VAULT_REVOKE:
        what = "revoking ";
        break;
    case SRT_VAULT_LOGIN:
        what = "logging in at auth/";
        srt_vault_mount(path, sizeof(path), x->store,
                        srt_store_text(x->store, "auth.method"));
        break;
    case SRT_VAULT_GIVEN:
    case SRT_VAULT_TOKEN_LOOKUP:
        what = "looking up the token of ";
        break;
    case SRT_VAULT_TOKEN_RENEW:
        what = "renewing the token of ";
        break;
    case SRT_VAULT_TOKEN_REVOKE:
        what = "revoking the token of ";
        break;
    case SRT_VAULT_UNWRAP:
        what = "unwrapping the secret ID of ";
        break;
    }
    (void)snprintf(out, cap, "%s%s%s%.40s", what, path, role != NULL ? " as " : "",
                   role != NULL ? role : "");
}

enum srt_step srt_vault_failed(struct srt_exchange *x)
{
    struct secretrt_error *err = &x->failure.error;

    srt_text_copy(err->provider, sizeof(err->provider), "vault");
    return SRT_FAIL;
}

static enum srt_step vault_wire_refused(struct srt_exchange *x, enum srt_vault_op op)
{
    const struct vault_wire_rule *rule = vault_wire_rule(x->reply, op);
    char place[2 * VAULT_WIRE_PLACE_LEN];

    vault_wire_place(place, sizeof(place), x, op);
    (void)srt_step_fail(x, rule->failure_class, "vault %d %s: %s", x->reply->status,
                        place, rule->text);
    return srt_vault_failed(x);
}

enum srt_step srt_vault_senseless(struct srt_exchange *x, enum srt_vault_op op,
                                  const char *text)
{
    char place[2 * VAULT_WIRE_PLACE_LEN];

    vault_wire_place(place, sizeof(place), x, op);
    (void)srt_step_fail(x, SRT_CLASS_PROTOCOL, "vault %s: %s", place, text);
    return srt_vault_failed(x);
}

enum srt_step srt_vault_nomem(struct srt_exchange *x)
{
    (void)srt_step_fail(x, SRT_CLASS_NOMEM, "vault: out of memory");
    return srt_vault_failed(x);
}

/* Header text from the configuration or the application: no line of its own. */
static void vault_wire_header(struct srt_exchange *x, const char *name,
                              const char *value)
{
    if (value == NULL || value[0] == '\0' || value[strcspn(value, "\r\n")] != '\0')
        return;
    srt_buf_format(&x->request.headers, "%s: %s\n", name, value);
}

enum srt_step srt_vault_begin(struct srt_exchange *x, const char *method,
                              const char *path)
{
    struct srt_request *request = &x->request;

    if (srt_store_text(x->store, "address") == NULL) {
        const char *name = x->store != NULL ? x->store->name : "vault";

        (void)srt_step_fail(x, SRT_CLASS_ABSENT,
                            "%s is not configured: set \"%s\": {\"address\": ...} or "
                            "BAO_ADDR",
                            name, name);
        return srt_vault_failed(x);
    }
    srt_request_wipe(request);
    request->kind = SRT_REQUEST_HTTP;
    request->method = method;
    srt_buf_text_add(&request->target, "/v1/");
    srt_percent_encode(&request->target, path, strlen(path), "/");
    vault_wire_header(x, "X-Vault-Request", "true");
    vault_wire_header(x, "X-Vault-Namespace", srt_store_text(x->store, "namespace"));
    vault_wire_header(x, "traceparent", x->traceparent);
    request->tls.ca_file = srt_store_text(x->store, "ca_file");
    request->tls.client_cert_file = srt_store_text(x->store, "client_cert_file");
    request->tls.client_key_file = srt_store_text(x->store, "client_key_file");
    return SRT_SEND;
}

enum srt_step srt_vault_auth(struct srt_exchange *x, const char *token, size_t len)
{
    int fits = token != NULL && len > 0;

    for (size_t i = 0; fits && i < len; i++)
        fits = token[i] > 0x20 && token[i] < 0x7F;
    if (!fits) {
        (void)srt_step_fail(
            x, SRT_CLASS_PROTOCOL,
            "vault: the token is empty or holds a byte that no token has");
        return srt_vault_failed(x);
    }
    srt_secbuf_text_add(&x->request.secret_header, "X-Vault-Token: ");
    srt_secbuf_add(&x->request.secret_header, token, len);
    return SRT_SEND;
}

enum srt_step srt_vault_auth_login(struct srt_exchange *x,
                                   const struct srt_bundle *login)
{
    size_t len = 0;
    const char *token = login != NULL ? srt_bundle_field(login, "token", &len) : NULL;

    return srt_vault_auth(x, token, len);
}

void srt_vault_body_text(struct srt_exchange *x, const char *name, const char *value,
                         size_t len)
{
    struct srt_secbuf *body = &x->request.body;

    srt_secbuf_char(body, body->len == 0 ? '{' : ',');
    srt_json_quote(body, name, strlen(name));
    srt_secbuf_char(body, ':');
    srt_json_quote(body, value, len);
}

void srt_vault_body_increment(struct srt_exchange *x)
{
    struct srt_secbuf *body = &x->request.body;
    int64_t ms = x->increment_ms > 0 ? x->increment_ms : 0; /* 0: the store's own */
    char text[48];

    (void)snprintf(text, sizeof(text), "%c\"increment\":%" PRId64,
                   body->len == 0 ? '{' : ',', ms / 1000 + (ms % 1000 != 0));
    srt_secbuf_text_add(body, text);
}

enum srt_step srt_vault_send(struct srt_exchange *x)
{
    struct srt_request *request = &x->request;

    if (request->body.len > 0)
        srt_secbuf_char(&request->body, '}');
    if (request->body.status != 0 && request->body.status != SECRETRT_ERR_NOMEM) {
        (void)srt_step_fail(x, SRT_CLASS_CONFIG,
                            "vault: a credential or an option is too long, or no text "
                            "(UTF-8)");
        return srt_vault_failed(x);
    }
    if (request->target.status != 0 || request->headers.status != 0 ||
        request->secret_header.status != 0 || request->body.status != 0)
        return srt_vault_nomem(x);
    return SRT_SEND;
}

enum srt_step srt_vault_answer(struct srt_json **out, struct srt_exchange *x,
                               enum srt_vault_op op)
{
    const struct srt_reply *reply = x->reply;
    struct secretrt_error err;
    int status;

    *out = NULL;
    if (reply->outcome != SRT_OUTCOME_ANSWERED) {
        (void)srt_step_unanswered(x, "vault");
        return srt_vault_failed(x);
    }
    if (reply->status != 200 && reply->status != 204)
        return vault_wire_refused(x, op);
    if (reply->status == 204 || strcmp(reply->content_type, VAULT_WIRE_JSON) != 0)
        return srt_vault_senseless(x, op,
                                   "the answer is not JSON: is this really Vault?");
    srt_error_clear(&err);
    status =
        srt_json_parse(out, srt_secbuf_text(&reply->body), reply->body.len, 0, &err);
    if (status == SECRETRT_ERR_NOMEM)
        return srt_vault_nomem(x);
    if (status != 0)
        return srt_vault_senseless(x, op, err.message);
    if (srt_json_type(*out, SRT_JSON_ROOT) != SRT_JSON_OBJECT) {
        srt_json_free(*out);
        *out = NULL;
        return srt_vault_senseless(x, op, "the answer is no JSON object");
    }
    srt_vault_text(x->grant.request_id, sizeof(x->grant.request_id), *out,
                   srt_json_get(*out, SRT_JSON_ROOT, "request_id"));
    return SRT_DONE;
}

enum srt_step srt_vault_accepted(struct srt_exchange *x, enum srt_vault_op op)
{
    if (x->reply->outcome != SRT_OUTCOME_ANSWERED) {
        (void)srt_step_unanswered(x, "vault");
        return srt_vault_failed(x);
    }
    if (x->reply->status != 200 && x->reply->status != 204)
        return vault_wire_refused(x, op);
    return SRT_DONE;
}
