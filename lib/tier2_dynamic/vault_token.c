/* What all logins to Vault and OpenBao share: the grant, and the life of its token. */
#include "base/status.h"
#include "codec/text.h"
#include "tier2_dynamic/vault.h"
#include <stdio.h>
#include <string.h>

#define VAULT_TOKEN_PATH_LEN 160
#define VAULT_TOKEN_TTL_MAX_MS (10LL * 366 * 24 * 3600 * 1000)
#define VAULT_TOKEN_OWN "auth/token/"

int srt_vault_seconds(int64_t *out_ms, const struct srt_json *doc, srt_json_ref node)
{
    int64_t seconds = 0;
    int status = srt_json_int(&seconds, doc, node, 0, INT64_MAX);

    if (status != 0)
        return status;
    *out_ms = seconds > VAULT_TOKEN_TTL_MAX_MS / 1000 ? VAULT_TOKEN_TTL_MAX_MS
                                                      : seconds * 1000;
    return 0;
}

int srt_vault_flag(int32_t *out, const struct srt_json *doc, srt_json_ref node)
{
    enum srt_json_type type = srt_json_type(doc, node);

    *out = srt_json_bool(doc, node, 0);
    return type == SRT_JSON_BOOL || type == SRT_JSON_NULL ? 0 : SECRETRT_ERR_PROTOCOL;
}

void srt_vault_text(char *out, size_t cap, const struct srt_json *doc,
                    srt_json_ref node)
{
    size_t len = 0;
    const char *text = NULL;

    if (srt_json_type(doc, node) == SRT_JSON_STRING)
        text = srt_json_text(doc, node, &len);
    srt_text_clean(out, cap, text != NULL ? text : "", len);
}

enum srt_step srt_vault_field(struct srt_exchange *x, const char *name,
                              const char *value, size_t len)
{
    struct srt_bundle *bundle = NULL;
    int status = srt_bundle_new(&bundle);

    if (status == 0)
        status = srt_bundle_add(bundle, name, strlen(name), value, len);
    if (status == 0)
        status = srt_bundle_seal(bundle);
    if (status != 0) {
        srt_bundle_unref(bundle);
        return srt_vault_nomem(x);
    }
    x->grant.bundle = bundle;
    return SRT_DONE;
}

void srt_vault_mount(char *out, size_t cap, const struct srt_store_config *store,
                     const char *method)
{
    const char *mount = srt_store_text(store, "auth.mount");
    size_t len;

    if (mount == NULL)
        mount = method != NULL ? method : "token";
    mount += strspn(mount, "/");
    for (len = strlen(mount); len > 0 && mount[len - 1] == '/'; len--)
        ;
    srt_text_clean(out, cap, mount, len);
}

static int vault_token_need(struct srt_plan *out, const char *scheme, const char *rest,
                            struct secretrt_error *err)
{
    struct srt_buf *ref = &out->need[out->needs].ref;

    srt_buf_format(ref, "%s://", scheme);
    srt_percent_encode(ref, rest, strlen(rest), "/:@+=");
    out->needs++;
    return ref->status != 0 ? srt_nomem(err) : 0;
}

int srt_vault_need_file(struct srt_plan *out, const char *scheme, const char *path,
                        struct secretrt_error *err)
{
    char clean[SRT_FOREIGN_MAX];

    srt_text_clean(clean, sizeof(clean), path, strlen(path));
    if (path[0] != '/')
        return srt_fail(err, SECRETRT_ERR_CONFIG,
                        "vault: the file \"%s\" in \"auth\" must be an absolute path",
                        clean);
    return vault_token_need(out, scheme, path, err);
}

int srt_vault_need_store(struct srt_plan *out, const char *scheme, const char *name,
                         struct secretrt_error *err)
{
    return vault_token_need(out, scheme, name, err);
}

int srt_vault_plan_jwt(struct srt_plan *out, const struct srt_store_config *store,
                       const char *fallback_file, struct secretrt_error *err)
{
    const char *file = srt_store_text(store, "auth.token_file");

    if (file == NULL)
        file = fallback_file;
    if (file == NULL)
        return srt_fail(err, SECRETRT_ERR_CONFIG,
                        "vault: \"auth\" with method jwt needs \"token_file\"");
    out->login = 1;
    out->tier = 1;
    out->keyed_by_store = 1;
    out->need[0].reread = 1; /* it is projected anew under the same name */
    return srt_vault_need_file(out, "identity", file, err);
}

static enum srt_step vault_token_login(struct srt_exchange *x, const char *method)
{
    const char *role = srt_store_text(x->store, "auth.role");
    char mount[VAULT_TOKEN_PATH_LEN - 16];
    char path[VAULT_TOKEN_PATH_LEN];
    const char *jwt = NULL;
    size_t len = 0;
    enum srt_step step;

    srt_vault_mount(mount, sizeof(mount), x->store, method);
    (void)snprintf(path, sizeof(path), "auth/%s/login", mount);
    step = srt_vault_begin(x, "POST", path);
    if (step != SRT_SEND)
        return step;
    if (x->credential[0] != NULL)
        jwt = srt_bundle_field(x->credential[0], "token", &len);
    if (jwt == NULL)
        return srt_vault_senseless(x, SRT_VAULT_LOGIN,
                                   "there is no token to log in with");
    if (role != NULL)
        srt_vault_body_text(x, "role", role, strlen(role));
    srt_vault_body_text(x, "jwt", jwt, len);
    return srt_vault_send(x);
}

enum srt_step srt_vault_login_jwt(struct srt_exchange *x, const char *method)
{
    if (x->step == 0)
        return vault_token_login(x, method);
    return srt_vault_login_grant(x, 1);
}

/* Who the store says we are, as the method tells it. */
static void vault_token_principal(struct srt_grant *grant, const struct srt_json *doc,
                                  srt_json_ref auth)
{
    srt_json_ref facts = srt_json_get(doc, auth, "metadata");
    char name[SRT_FOREIGN_MAX];
    char space[SRT_FOREIGN_MAX];

    srt_vault_text(name, sizeof(name), doc,
                   srt_json_get(doc, facts, "service_account_name"));
    srt_vault_text(space, sizeof(space), doc,
                   srt_json_get(doc, facts, "service_account_namespace"));
    if (name[0] != '\0') {
        (void)snprintf(grant->principal, sizeof(grant->principal), "ns/%.60s:sa/%.60s",
                       space, name);
        return;
    }
    srt_vault_text(name, sizeof(name), doc, srt_json_get(doc, facts, "role_name"));
    if (name[0] == '\0')
        srt_vault_text(name, sizeof(name), doc, srt_json_get(doc, facts, "role"));
    if (name[0] != '\0') {
        (void)snprintf(grant->principal, sizeof(grant->principal), "role/%s", name);
        return;
    }
    srt_vault_text(name, sizeof(name), doc, srt_json_get(doc, auth, "entity_id"));
    if (name[0] != '\0')
        (void)snprintf(grant->principal, sizeof(grant->principal), "entity/%s", name);
}

/* Lifetime and flags of "auth": 0, or ERR_PROTOCOL. A life of 0 has no end. */
static int vault_token_terms(struct srt_grant *grant, const struct srt_json *doc,
                             srt_json_ref auth)
{
    int status = srt_vault_seconds(&grant->ttl_ms, doc,
                                   srt_json_get(doc, auth, "lease_duration"));

    if (status == 0)
        status = srt_vault_flag(&grant->renewable, doc,
                                srt_json_get(doc, auth, "renewable"));
    if (status == 0 && grant->ttl_ms == 0)
        grant->ttl_ms = -1;
    return status;
}

static enum srt_step vault_token_granted(struct srt_exchange *x,
                                         const struct srt_json *doc)
{
    srt_json_ref auth = srt_json_get(doc, SRT_JSON_ROOT, "auth");
    srt_json_ref token = srt_json_get(doc, auth, "client_token");
    int batch = srt_json_equals(doc, srt_json_get(doc, auth, "token_type"), "batch");
    struct srt_grant *grant = &x->grant;
    char accessor[SRT_FOREIGN_MAX];
    size_t len = 0;
    const char *text;

    if (srt_json_type(doc, auth) != SRT_JSON_OBJECT)
        return srt_vault_senseless(x, SRT_VAULT_LOGIN, "the answer holds no login");
    if (srt_json_type(doc, srt_json_get(doc, auth, "mfa_requirement")) !=
        SRT_JSON_NULL) {
        (void)srt_step_fail(x, SRT_CLASS_LOGIN,
                            "vault asks for a second factor, which a program has not: "
                            "exempt this role from MFA");
        return srt_vault_failed(x);
    }
    text = srt_json_type(doc, token) == SRT_JSON_STRING
               ? srt_json_text(doc, token, &len)
               : NULL;
    if (text == NULL || len == 0)
        return srt_vault_senseless(x, SRT_VAULT_LOGIN, "the login holds no token");
    if (vault_token_terms(grant, doc, auth) != 0)
        return srt_vault_senseless(x, SRT_VAULT_LOGIN,
                                   "lease_duration or renewable of the login is not "
                                   "what it must be");
    grant->revocable = !batch;
    grant->sweeps = !batch;
    grant->renewable = batch ? 0 : grant->renewable;
    srt_vault_text(accessor, sizeof(accessor), doc,
                   srt_json_get(doc, auth, "accessor"));
    srt_buf_text_add(&grant->lease_id, accessor);
    if (grant->lease_id.status != 0)
        return srt_vault_nomem(x);
    vault_token_principal(grant, doc, auth);
    return srt_vault_field(x, "token", text, len);
}

enum srt_step srt_vault_login_grant(struct srt_exchange *x, int32_t tier)
{
    struct srt_json *doc = NULL;
    enum srt_step step = srt_vault_answer(&doc, x, SRT_VAULT_LOGIN);

    x->grant.tier = tier;
    if (step == SRT_DONE)
        step = vault_token_granted(x, doc);
    srt_json_free(doc);
    return step;
}

static enum srt_step vault_token_begin(struct srt_exchange *x, const char *method,
                                       const char *path)
{
    enum srt_step step = srt_vault_begin(x, method, path);

    return step == SRT_SEND ? srt_vault_auth_login(x, x->current) : step;
}

enum srt_step srt_vault_token_renew(struct srt_exchange *x)
{
    struct srt_json *doc = NULL;
    enum srt_step step;

    if (x->step == 0) {
        step = vault_token_begin(x, "PUT", VAULT_TOKEN_OWN "renew-self");
        if (step != SRT_SEND)
            return step;
        srt_vault_body_increment(x);
        return srt_vault_send(x);
    }
    step = srt_vault_answer(&doc, x, SRT_VAULT_TOKEN_RENEW);
    if (step == SRT_DONE &&
        vault_token_terms(&x->grant, doc, srt_json_get(doc, SRT_JSON_ROOT, "auth")) !=
            0)
        step = srt_vault_senseless(x, SRT_VAULT_TOKEN_RENEW,
                                   "the answer does not say how long it lives");
    srt_json_free(doc);
    return step;
}

enum srt_step srt_vault_token_life(struct srt_exchange *x, enum srt_vault_op op,
                                   const struct srt_json *doc)
{
    srt_json_ref data = srt_json_get(doc, SRT_JSON_ROOT, "data");
    srt_json_ref end = srt_json_get(doc, data, "expire_time");
    struct srt_grant *grant = &x->grant;
    int status = srt_vault_seconds(&grant->ttl_ms, doc, srt_json_get(doc, data, "ttl"));

    if (status == 0)
        status = srt_vault_flag(&grant->renewable, doc,
                                srt_json_get(doc, data, "renewable"));
    if (status != 0)
        return srt_vault_senseless(x, op, "the answer does not say how long it lives");
    if (grant->ttl_ms == 0 && srt_json_type(doc, end) == SRT_JSON_NULL)
        grant->ttl_ms = -1; /* 0 with an end is the last second of a life */
    return SRT_DONE;
}

enum srt_step srt_vault_token_check(struct srt_exchange *x)
{
    struct srt_json *doc = NULL;
    enum srt_step step;

    if (x->step == 0) {
        step = vault_token_begin(x, "GET", VAULT_TOKEN_OWN "lookup-self");
        x->request.idempotent = 1;
        return step == SRT_SEND ? srt_vault_send(x) : step;
    }
    step = srt_vault_answer(&doc, x, SRT_VAULT_TOKEN_LOOKUP);
    if (step == SRT_DONE)
        step = srt_vault_token_life(x, SRT_VAULT_TOKEN_LOOKUP, doc) == SRT_DONE
                   ? SRT_UNCHANGED
                   : SRT_FAIL;
    srt_json_free(doc);
    return step;
}

enum srt_step srt_vault_token_revoke(struct srt_exchange *x)
{
    enum srt_step step;

    if (x->step > 0)
        return srt_vault_accepted(x, SRT_VAULT_TOKEN_REVOKE);
    step = vault_token_begin(x, "POST", VAULT_TOKEN_OWN "revoke-self");
    return step == SRT_SEND ? srt_vault_send(x) : step;
}
