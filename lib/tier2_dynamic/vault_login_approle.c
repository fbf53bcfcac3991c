/* Login with AppRole: a role ID and, unless the role asks for none, a secret ID from a
 * file, as it is or wrapped. Source: /api-docs/auth/approle. */
#include "base/status.h"
#include "tier2_dynamic/vault.h"
#include <stdio.h>
#include <string.h>

#define VAULT_LOGIN_APPROLE_MOUNT_LEN 128

static int vault_login_approle_plan(struct srt_plan *out, const struct srt_ref *ref,
                                    const struct srt_store_config *store,
                                    struct secretrt_error *err)
{
    const char *file = srt_store_text(store, "auth.secret_id_file");

    (void)ref;
    if (srt_store_text(store, "auth.role_id") == NULL)
        return srt_fail(err, SECRETRT_ERR_CONFIG,
                        "vault: \"auth\" with method approle needs \"role_id\"");
    out->login = 1;
    out->tier = 3;
    out->keyed_by_store = 1;
    if (srt_store_flag(store, "auth.secret_id_wrapped"))
        return srt_vault_need_store(out, "vault-unwrap", store->name, err);
    if (file == NULL)
        return 0;
    out->need[0].reread = 1;
    return srt_vault_need_file(out, "file", file, err);
}

/* A file has one field under its own name; an unwrapped one is "secret_id". */
static enum srt_step vault_login_approle_ask(struct srt_exchange *x)
{
    const char *role_id = srt_store_text(x->store, "auth.role_id");
    const struct srt_bundle *credential = x->credential[0];
    char mount[VAULT_LOGIN_APPROLE_MOUNT_LEN];
    char path[VAULT_LOGIN_APPROLE_MOUNT_LEN + 16];
    const char *secret_id = NULL;
    size_t len = 0;
    enum srt_step step;

    srt_vault_mount(mount, sizeof(mount), x->store, "approle");
    (void)snprintf(path, sizeof(path), "auth/%s/login", mount);
    step = srt_vault_begin(x, "POST", path);
    if (step != SRT_SEND)
        return step;
    if (role_id == NULL)
        return srt_vault_senseless(x, SRT_VAULT_LOGIN, "there is no role ID");
    srt_vault_body_text(x, "role_id", role_id, strlen(role_id));
    if (credential != NULL) {
        secret_id = srt_bundle_at(credential, 0, &len);
        if (secret_id == NULL)
            return srt_vault_senseless(x, SRT_VAULT_LOGIN, "there is no secret ID");
        srt_vault_body_text(x, "secret_id", secret_id, len);
    }
    return srt_vault_send(x);
}

static enum srt_step vault_login_approle_fetch(struct srt_exchange *x)
{
    if (x->step == 0)
        return vault_login_approle_ask(x);
    return srt_vault_login_grant(x, 3);
}

const struct srt_provider srt_provider_vault_login_approle = {
    .scheme = "vault-login-approle",
    .plan = vault_login_approle_plan,
    .fetch = vault_login_approle_fetch,
    .renew = srt_vault_token_renew,
    .check = srt_vault_token_check,
    .revoke = srt_vault_token_revoke,
    .internal = 1,
};
