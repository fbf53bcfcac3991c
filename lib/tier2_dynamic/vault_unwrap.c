/* A wrapped secret ID, unwrapped once: first a look at what it is and who made it, then
 * the unwrapping. Source: /api-docs/system/wrapping-lookup and wrapping-unwrap. */
#include "base/status.h"
#include "tier2_dynamic/vault.h"
#include <stdio.h>
#include <string.h>

#define VAULT_UNWRAP_MOUNT_LEN 128

static int vault_unwrap_plan(struct srt_plan *out, const struct srt_ref *ref,
                             const struct srt_store_config *store,
                             struct secretrt_error *err)
{
    const char *file = srt_store_text(store, "auth.secret_id_file");

    (void)ref;
    if (file == NULL)
        return srt_fail(err, SECRETRT_ERR_CONFIG,
                        "vault: \"auth\" with \"secret_id_wrapped\" needs "
                        "\"secret_id_file\"");
    out->mints = 1; /* it can be done once */
    out->tier = 3;
    out->keyed_by_store = 1;
    return srt_vault_need_file(out, "file", file, err);
}

static const char *vault_unwrap_token(const struct srt_exchange *x, size_t *len)
{
    *len = 0;
    return x->credential[0] != NULL ? srt_bundle_at(x->credential[0], 0, len) : NULL;
}

static enum srt_step vault_unwrap_look(struct srt_exchange *x)
{
    size_t len = 0;
    const char *token = vault_unwrap_token(x, &len);
    enum srt_step step = srt_vault_begin(x, "POST", "sys/wrapping/lookup");

    if (step != SRT_SEND)
        return step;
    if (token == NULL || len == 0)
        return srt_vault_senseless(x, SRT_VAULT_UNWRAP, "there is no wrapping token");
    srt_vault_body_text(x, "token", token, len);
    return srt_vault_send(x);
}

/* 1: auth/<mount>/role/<role>/secret-id, of our role where that is named. */
static int vault_unwrap_is_ours(const struct srt_exchange *x, const char *path)
{
    const char *role = srt_store_text(x->store, "auth.role");
    char mount[VAULT_UNWRAP_MOUNT_LEN];
    char begin[VAULT_UNWRAP_MOUNT_LEN + 16];
    size_t len;

    srt_vault_mount(mount, sizeof(mount), x->store, "approle");
    (void)snprintf(begin, sizeof(begin), "auth/%s/role/", mount);
    if (strncmp(path, begin, strlen(begin)) != 0)
        return 0;
    path += strlen(begin);
    len = strcspn(path, "/");
    if (len == 0 || strcmp(path + len, "/secret-id") != 0)
        return 0;
    return role == NULL || (strlen(role) == len && strncmp(role, path, len) == 0);
}

static enum srt_step vault_unwrap_open(struct srt_exchange *x)
{
    struct srt_json *doc = NULL;
    size_t len = 0;
    const char *token = vault_unwrap_token(x, &len);
    const char *path = NULL;
    char clean[SRT_FOREIGN_MAX];
    enum srt_step step = srt_vault_answer(&doc, x, SRT_VAULT_UNWRAP);
    srt_json_ref node =
        step == SRT_DONE ? srt_json_path(doc, SRT_JSON_ROOT, "data.creation_path") : 0;

    if (step != SRT_DONE)
        return step;
    if (srt_json_type(doc, node) == SRT_JSON_STRING)
        path = srt_json_text(doc, node, NULL);
    srt_vault_text(clean, sizeof(clean), doc, node);
    if (path == NULL) {
        step = srt_vault_senseless(x, SRT_VAULT_UNWRAP,
                                   "the answer does not say where it was wrapped");
    } else if (!vault_unwrap_is_ours(x, path)) {
        (void)srt_step_fail(x, SRT_CLASS_SECURITY,
                            "vault: the wrapping token was wrapped at %s: it is not a "
                            "secret ID of ours; find out who put it there",
                            clean);
        step = srt_vault_failed(x);
    } else {
        step = srt_vault_begin(x, "POST", "sys/wrapping/unwrap");
        if (step == SRT_SEND)
            step = srt_vault_auth(x, token, len);
        if (step == SRT_SEND)
            step = srt_vault_send(x);
    }
    srt_json_free(doc);
    return step;
}

static enum srt_step vault_unwrap_grant(struct srt_exchange *x)
{
    struct srt_json *doc = NULL;
    const char *text = NULL;
    size_t len = 0;
    enum srt_step step = srt_vault_answer(&doc, x, SRT_VAULT_UNWRAP);

    if (step == SRT_DONE) {
        srt_json_ref node = srt_json_path(doc, SRT_JSON_ROOT, "data.secret_id");

        if (srt_json_type(doc, node) == SRT_JSON_STRING)
            text = srt_json_text(doc, node, &len);
        x->grant.ttl_ms = -1;
        x->grant.tier = 3;
        step = text != NULL && len > 0
                   ? srt_vault_field(x, "secret_id", text, len)
                   : srt_vault_senseless(x, SRT_VAULT_UNWRAP, "it holds no secret ID");
    }
    srt_json_free(doc);
    return step;
}

static enum srt_step vault_unwrap_fetch(struct srt_exchange *x)
{
    if (x->step == 0)
        return vault_unwrap_look(x);
    return x->step == 1 ? vault_unwrap_open(x) : vault_unwrap_grant(x);
}

/* A second unwrapping would be an alarm: what we hold is as good as it was. */
static enum srt_step vault_unwrap_check(struct srt_exchange *x)
{
    x->grant.ttl_ms = -1;
    return SRT_UNCHANGED;
}

const struct srt_provider srt_provider_vault_unwrap = {
    .scheme = "vault-unwrap",
    .plan = vault_unwrap_plan,
    .fetch = vault_unwrap_fetch,
    .renew = vault_unwrap_check,
    .check = vault_unwrap_check,
    .internal = 1,
};
