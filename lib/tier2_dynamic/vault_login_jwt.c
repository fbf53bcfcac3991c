/* Login with a JWT from a file: a projected token, a CI job's identity, a JWT-SVID.
 * Source: /api-docs/auth/jwt. */
#include "tier2_dynamic/vault.h"

static int vault_login_jwt_plan(struct srt_plan *out, const struct srt_ref *ref,
                                const struct srt_store_config *store,
                                struct secretrt_error *err)
{
    (void)ref;
    return srt_vault_plan_jwt(out, store, NULL, err);
}

static enum srt_step vault_login_jwt_fetch(struct srt_exchange *x)
{
    return srt_vault_login_jwt(x, "jwt");
}

const struct srt_provider srt_provider_vault_login_jwt = {
    .scheme = "vault-login-jwt",
    .plan = vault_login_jwt_plan,
    .fetch = vault_login_jwt_fetch,
    .renew = srt_vault_token_renew,
    .check = srt_vault_token_check,
    .revoke = srt_vault_token_revoke,
    .internal = 1,
};
