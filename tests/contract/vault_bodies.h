/* What the tests of Vault logins share. Bodies are recorded from a server; only the
 * secrets are replaced. */
#ifndef TESTS_CONTRACT_VAULT_BODIES_H
#define TESTS_CONTRACT_VAULT_BODIES_H

#include "contract/contract.h"
#include "tier2_dynamic/vault.h"
#include <stdio.h>

#define K CONTRACT_CANARY
#define HEAD(id)                                                                       \
    "{\"request_id\":\"" id "\",\"lease_id\":\"\",\"renewable\":false,"                \
    "\"lease_duration\":0,"
#define NO_AUTH ",\"wrap_info\":null,\"warnings\":null,\"auth\":null}\n"
#define LOOKUP                                                                         \
    HEAD("4473204f-6fa6-064c-13b3-ba21044cf741")                                       \
    "\"data\":{\"accessor\":\"Iwfy2fLUIwsTmrmZjOMCWxI8\",\"creation_time\":"           \
    "1795500598,"                                                                      \
    "\"creation_ttl\":3600,\"display_name\":\"token-x\",\"entity_id\":\"\","           \
    "\"expire_time\":\"2026-11-24T07:09:58.719189778Z\",\"explicit_max_ttl\":0,"       \
    "\"id\":\"s." K "\",\"issue_time\":\"2026-11-24T06:09:58.719194435Z\","            \
    "\"meta\":null,\"num_uses\":0,\"orphan\":false,\"path\":\"auth/token/create\","    \
    "\"policies\":[\"default\"],\"renewable\":true,\"ttl\":3599,"                      \
    "\"type\":\"service\"}" NO_AUTH

#define ADDRESS "{\"vault\":{\"address\":\"https://vault:8200\""
#define CONFIG ADDRESS "}}"
#define WITH(auth) ADDRESS ",\"auth\":{" auth "}}}"
#define CONFIG_WRAPPED                                                                 \
    WITH("\"method\":\"approle\",\"role_id\":\"r-1\",\"role\":\"app\","                \
         "\"secret_id_file\":\"/run/id\",\"secret_id_wrapped\":true")

/* The last reply replaced by an error with this text. */
static inline enum srt_class refused(const struct contract *c, int status,
                                     const char *text)
{
    char body[512];

    (void)snprintf(body, sizeof(body), "{\"errors\":[\"%s\"]}", text);
    return contract_spoiled(c, (struct contract_reply){status, .body = body});
}

#endif
