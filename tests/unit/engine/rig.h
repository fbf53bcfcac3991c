/* What the engine's tests share: one Vault, one login, the paths. */
#ifndef TESTS_ENGINE_RIG_H
#define TESTS_ENGINE_RIG_H

#include "base/heap.h"
#include "support/world.h"
#include <stdio.h>
#include <string.h>

#define LOGIN_PATH "POST /v1/auth/approle/login"
#define CREDS "GET /v1/database/creds/app"
#define CREDS_B "GET /v1/database/creds/bpp"
#define KV "GET /v1/kv/data/one"
#define RENEW "PUT /v1/sys/leases/renew"
#define REVOKE "PUT /v1/sys/leases/revoke"
#define LOOKUP "PUT /v1/sys/leases/lookup"
#define LOOKUP_SELF "GET /v1/auth/token/lookup-self"
#define RENEW_SELF "PUT /v1/auth/token/renew-self"
#define REVOKE_SELF "POST /v1/auth/token/revoke-self"
#define APP "vault://database/creds/app"
#define BPP "vault://database/creds/bpp"

#define FOUND(seconds)                                                                 \
    "{\"data\":{\"id\":\"x\",\"renewable\":true,\"ttl\":" #seconds                     \
    ",\"expire_time\":\"2026-01-01T00:00:00Z\"}}"
#define KEPT(value)                                                                    \
    "{\"request_id\":\"k\",\"lease_id\":\"\",\"renewable\":false,"                     \
    "\"lease_duration\":0,\"data\":{\"data\":{\"key\":\"CANARY-" value                 \
    "\"},\"metadata\":{\"version\":1}},\"auth\":null}"
#define ROTATED(value, seconds)                                                        \
    "{\"request_id\":\"r\",\"lease_id\":\"\",\"renewable\":false,"                     \
    "\"lease_duration\":0,\"data\":{\"username\":\"u\",\"password\":\"CANARY-" value   \
    "\",\"rotation_period\":3600,\"ttl\":" #seconds "},\"auth\":null}"
#define FIXED_LEASE(id, seconds, user)                                                 \
    "{\"request_id\":\"q2\",\"lease_id\":\"database/creds/app/" id                     \
    "\",\"renewable\":false,\"lease_duration\":" #seconds                              \
    ",\"data\":{\"username\":\"" user "\",\"password\":\"CANARY-" user                 \
    "\"},\"auth\":null}"
#define BATCH_LOGIN(token, seconds)                                                    \
    "{\"auth\":{\"client_token\":\"" token                                             \
    "\",\"accessor\":\"\",\"policies\":[],\"lease_duration\":" #seconds                \
    ",\"renewable\":false,\"token_type\":\"batch\",\"mfa_requirement\":null}}"

#define VAULT_AND_ENV                                                                  \
    "{\"vault\":{\"address\":\"https://vault:8200\",\"auth\":{\"method\":\"approle\"," \
    "\"role_id\":\"r\"}},\"secrets\":{\"db\":{\"sources\":[\"" APP                     \
    "\",\"env://?username=DB_USER&password=DB_PASSWORD\"]%s}}%s}"

/* world_new with the two places of a configuration filled in. */
static inline struct world *world_with(const char *format, const char *first,
                                       const char *second)
{
    char config[2048];
    const char *cut = strstr(format, "%s");
    const char *rest = cut + 2;
    const char *last = strstr(rest, "%s");

    assert_true(strlen(format) + strlen(first) + strlen(second) < sizeof(config));
    snprintf(config, sizeof(config), "%.*s%s%.*s%s%s", (int)(cut - format), format,
             first, (int)(last - rest), rest, second, last + 2);
    return world_new(config);
}

static inline int begin(void **state)
{
    struct world *w = world_new(NULL);

    net_reply(w, LOGIN_PATH, 200, LOGIN("CANARY-token", 864000));
    *state = w;
    return 0;
}

static inline int end(void **state)
{
    world_free(*state);
    return 0;
}

#define LIVES(test) cmocka_unit_test_setup_teardown(test, begin, end)
/* For a test that makes its own world. */
#define OWNS(test) cmocka_unit_test(test)

#endif
