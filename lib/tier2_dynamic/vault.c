/* Secrets of Vault and OpenBao: read a path; renew, look up and revoke its lease.
 * Source: /api-docs/secret, /api-docs/system/leases of both. */
#include "tier2_dynamic/vault.h"
#include "base/status.h"
#include "codec/text.h"
#include <string.h>

static const struct srt_setting vault_settings[] = {
    {"address", SRT_SETTING_URL, "BAO_ADDR VAULT_ADDR", NULL, NULL},
    {"namespace", SRT_SETTING_TEXT, "BAO_NAMESPACE VAULT_NAMESPACE", NULL, NULL},
    {"ca_file", SRT_SETTING_FILE, "BAO_CACERT VAULT_CACERT", NULL, NULL},
    {"client_cert_file", SRT_SETTING_FILE, "BAO_CLIENT_CERT VAULT_CLIENT_CERT", NULL,
     NULL},
    {"client_key_file", SRT_SETTING_FILE, "BAO_CLIENT_KEY VAULT_CLIENT_KEY", NULL,
     NULL},
    {"in_flight", SRT_SETTING_NUMBER, NULL, NULL, "4"},
    {"verify_interval", SRT_SETTING_DURATION, NULL, NULL, NULL},
    {"auth.method", SRT_SETTING_CHOICE, NULL, "token kubernetes jwt approle", "token"},
    {"auth.mount", SRT_SETTING_TEXT, NULL, NULL, NULL},
    {"auth.role", SRT_SETTING_TEXT, NULL, NULL, NULL},
    {"auth.role_id", SRT_SETTING_TEXT, NULL, NULL, NULL},
    {"auth.token_file", SRT_SETTING_FILE, NULL, NULL, NULL},
    {"auth.home_token_file", SRT_SETTING_FILE, NULL, NULL, "~/.vault-token"},
    {"auth.secret_id_file", SRT_SETTING_FILE, NULL, NULL, NULL},
    {"auth.secret_id_wrapped", SRT_SETTING_FLAG, NULL, NULL, NULL},
    {NULL, SRT_SETTING_TEXT, NULL, NULL, NULL},
};

static int vault_is_parameter(const struct srt_option *option)
{
    return option->name[0] != '_' && strcmp(option->name, "version") != 0;
}

static size_t vault_parameters(const struct srt_ref *ref)
{
    size_t n = 0;

    for (size_t i = 0; i < ref->options; i++)
        n += vault_is_parameter(&ref->option[i]) ? 1U : 0U;
    return n;
}

/* NULL, or what is wrong with the option. */
static const char *vault_bad_option(const struct srt_ref *ref,
                                    const struct srt_option *option)
{
    int64_t number = 0;

    if (strcmp(option->name, "version") == 0)
        return srt_decimal_parse(&number, option->value, strlen(option->value), 1,
                                 INT64_MAX) != 0
                   ? "must be a number from 1"
                   : NULL;
    if (strcmp(option->name, "wrapped") == 0)
        return "is not supported";
    if (option->name[0] != '_' || strcmp(option->name, "_unique") == 0)
        return NULL;
    if (strcmp(option->name, "_refresh") == 0 || strcmp(option->name, "_overlap") == 0)
        return srt_duration_parse(&number, option->value) != 0 || number <= 0
                   ? "must be a duration, such as 30s or 5m"
                   : NULL;
    if (strcmp(option->name, "_method") != 0)
        return "is no option of the library (known: _method, _refresh, _overlap, "
               "_unique)";
    if (strcmp(option->value, "post") == 0)
        return NULL;
    if (strcmp(option->value, "get") != 0)
        return "must be get or post";
    return vault_parameters(ref) > 0 ? "can't be get with parameters" : NULL;
}

static int vault_plan(struct srt_plan *out, const struct srt_ref *ref,
                      const struct srt_store_config *store, struct secretrt_error *err)
{
    const char *method = srt_store_text(store, "auth.method");
    char scheme[32] = "vault-login-";
    char name[SRT_FOREIGN_MAX];

    if (ref->path[strspn(ref->path, "/")] == '\0')
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "%s:// needs a path, such as vault://database/creds/app",
                        ref->scheme);
    for (size_t i = 0; i < ref->options; i++) {
        const char *bad = vault_bad_option(ref, &ref->option[i]);

        srt_text_clean(name, sizeof(name), ref->option[i].name,
                       strlen(ref->option[i].name));
        if (bad != NULL)
            return srt_fail(err, SECRETRT_ERR_INVALID, "vault: option \"%s\" %s", name,
                            bad);
    }
    if (method == NULL)
        method = "token";
    srt_text_copy(scheme + strlen(scheme), sizeof(scheme) - strlen(scheme), method);
    out->mints = 1;
    out->keyed_by_store = 1;
    return srt_vault_need_store(out, scheme, store->name, err);
}

int srt_vault_posts(const struct srt_ref *ref)
{
    const char *method = srt_ref_option(ref, "_method");

    return vault_parameters(ref) > 0 || (method != NULL && strcmp(method, "post") == 0);
}

static enum srt_step vault_ask(struct srt_exchange *x)
{
    const char *version = srt_ref_option(x->ref, "version");
    int posts = srt_vault_posts(x->ref);
    enum srt_step step = srt_vault_begin(x, posts ? "POST" : "GET",
                                         x->ref->path + strspn(x->ref->path, "/"));

    if (step == SRT_SEND)
        step = srt_vault_auth_login(x, x->credential[0]);
    if (step != SRT_SEND)
        return step;
    if (version != NULL)
        srt_buf_format(&x->request.target, "?version=%s", version);
    for (size_t i = 0; i < x->ref->options; i++) {
        const struct srt_option *option = &x->ref->option[i];

        if (vault_is_parameter(option))
            srt_vault_body_text(x, option->name, option->value, strlen(option->value));
    }
    if (posts && x->request.body.len == 0)
        srt_secbuf_char(&x->request.body, '{');
    return srt_vault_send(x);
}

static enum srt_step vault_fetch(struct srt_exchange *x)
{
    struct srt_json *doc = NULL;
    enum srt_step step;

    if (x->step == 0)
        return vault_ask(x);
    step = srt_vault_answer(&doc, x, SRT_VAULT_READ);
    if (step == SRT_DONE)
        step = srt_vault_grant(x, doc);
    srt_json_free(doc);
    return step;
}

static int vault_has_lease(const struct srt_exchange *x)
{
    return x->lease_id != NULL && x->lease_id[0] != '\0';
}

/* PUT sys/leases/… with the lease's ID; the body's object stays open. */
static enum srt_step vault_lease_begin(struct srt_exchange *x, const char *path)
{
    enum srt_step step = srt_vault_begin(x, "PUT", path);

    if (step == SRT_SEND)
        step = srt_vault_auth_login(x, x->credential[0]);
    if (step == SRT_SEND)
        srt_vault_body_text(x, "lease_id", x->lease_id, strlen(x->lease_id));
    return step;
}

static enum srt_step vault_renew(struct srt_exchange *x)
{
    struct srt_json *doc = NULL;
    enum srt_step step;

    if (!vault_has_lease(x))
        return vault_fetch(x);
    if (x->step == 0) {
        step = vault_lease_begin(x, "sys/leases/renew");
        if (step != SRT_SEND)
            return step;
        srt_vault_body_increment(x);
        return srt_vault_send(x);
    }
    step = srt_vault_answer(&doc, x, SRT_VAULT_RENEW);
    if (step == SRT_DONE &&
        (srt_vault_seconds(&x->grant.ttl_ms, doc,
                           srt_json_get(doc, SRT_JSON_ROOT, "lease_duration")) != 0 ||
         srt_vault_flag(&x->grant.renewable, doc,
                        srt_json_get(doc, SRT_JSON_ROOT, "renewable")) != 0))
        step = srt_vault_senseless(x, SRT_VAULT_RENEW,
                                   "the answer does not say how long it lives");
    srt_json_free(doc);
    return step;
}

static enum srt_step vault_check(struct srt_exchange *x)
{
    struct srt_json *doc = NULL;
    enum srt_step step;

    if (!vault_has_lease(x))
        return vault_fetch(x);
    if (x->step == 0) {
        step = vault_lease_begin(x, "sys/leases/lookup");
        x->request.idempotent = 1;
        return step == SRT_SEND ? srt_vault_send(x) : step;
    }
    step = srt_vault_answer(&doc, x, SRT_VAULT_LOOKUP);
    if (step == SRT_DONE)
        step = srt_vault_seconds(&x->grant.ttl_ms, doc,
                                 srt_json_path(doc, SRT_JSON_ROOT, "data.ttl")) == 0
                   ? SRT_UNCHANGED
                   : srt_vault_senseless(x, SRT_VAULT_LOOKUP,
                                         "the answer does not say how long it lives");
    srt_json_free(doc);
    return step;
}

static enum srt_step vault_revoke(struct srt_exchange *x)
{
    enum srt_step step;

    if (!vault_has_lease(x))
        return SRT_DONE;
    if (x->step > 0)
        return srt_vault_accepted(x, SRT_VAULT_REVOKE);
    step = vault_lease_begin(x, "sys/leases/revoke");
    return step == SRT_SEND ? srt_vault_send(x) : step;
}

const struct srt_provider srt_provider_vault = {
    .scheme = "vault",
    .settings = vault_settings,
    .plan = vault_plan,
    .fetch = vault_fetch,
    .renew = vault_renew,
    .check = vault_check,
    .revoke = vault_revoke,
};
