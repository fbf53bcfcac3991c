/* Login with a Kubernetes service account's projected token.
 * Source: /api-docs/auth/kubernetes. */
#include "base/status.h"
#include "tier2_dynamic/vault.h"

#define VAULT_LOGIN_KUBERNETES_FILE                                                    \
    "/var/run/secrets/kubernetes.io/serviceaccount/token"

static int vault_login_kubernetes_plan(struct srt_plan *out, const struct srt_ref *ref,
                                       const struct srt_store_config *store,
                                       struct secretrt_error *err)
{
    (void)ref;
    if (srt_store_text(store, "auth.role") == NULL)
        return srt_fail(err, SECRETRT_ERR_CONFIG,
                        "vault: \"auth\" with method kubernetes needs \"role\"");
    return srt_vault_plan_jwt(out, store, VAULT_LOGIN_KUBERNETES_FILE, err);
}

static enum srt_step vault_login_kubernetes_fetch(struct srt_exchange *x)
{
    return srt_vault_login_jwt(x, "kubernetes");
}

const struct srt_provider srt_provider_vault_login_kubernetes = {
    .scheme = "vault-login-kubernetes",
    .plan = vault_login_kubernetes_plan,
    .fetch = vault_login_kubernetes_fetch,
    .renew = srt_vault_token_renew,
    .check = srt_vault_token_check,
    .revoke = srt_vault_token_revoke,
    .internal = 1,
};
