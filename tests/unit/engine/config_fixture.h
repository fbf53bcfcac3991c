/* Four small providers, an environment, and ways to read a configuration with them.
 * Each test file of the configuration includes it once, after CMocka's needs. */
#ifndef TESTS_UNIT_ENGINE_CONFIG_FIXTURE_H
#define TESTS_UNIT_ENGINE_CONFIG_FIXTURE_H

#include "base/status.h"
#include "engine/config.h"
#include "engine/provider.h"
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct srt_setting vault_settings[] = {
    {"address", SRT_SETTING_URL, "BAO_ADDR VAULT_ADDR", NULL, NULL},
    {"namespace", SRT_SETTING_TEXT, "VAULT_NAMESPACE", NULL, NULL},
    {"ca_file", SRT_SETTING_FILE, "VAULT_CACERT", NULL, NULL},
    {"in_flight", SRT_SETTING_NUMBER, "VAULT_IN_FLIGHT", NULL, "4"},
    {"audiences", SRT_SETTING_LIST, "VAULT_AUDIENCES", NULL, NULL},
    {"verify_interval", SRT_SETTING_DURATION, "VAULT_VERIFY", NULL, NULL},
    {"unwrap", SRT_SETTING_FLAG, "VAULT_UNWRAP", NULL, NULL},
    {"auth.method", SRT_SETTING_CHOICE, "VAULT_AUTH", "token kubernetes jwt", NULL},
    {"auth.role", SRT_SETTING_TEXT, NULL, NULL, NULL},
    {"auth.token_file", SRT_SETTING_FILE, NULL, NULL, "~/.vault-token"},
    {NULL, SRT_SETTING_TEXT, NULL, NULL, NULL},
};

static const struct srt_setting aws_settings[] = {
    {"region", SRT_SETTING_TEXT, "AWS_REGION AWS_DEFAULT_REGION", NULL, NULL},
    {NULL, SRT_SETTING_TEXT, NULL, NULL, NULL},
};

static const struct srt_provider vault = {.scheme = "vault",
                                          .settings = vault_settings};
static const struct srt_provider aws = {.scheme = "aws", .settings = aws_settings};
static const struct srt_provider env = {.scheme = "env"};
static const struct srt_provider login = {.scheme = "vault-login", .internal = 1};
static const struct srt_provider *const registry[] = {&vault, &aws, &env, &login, NULL};

/* An environment: name, value, name, value, NULL. */
static const char *getenv_fake(const char *name, void *data)
{
    const char *const *pair = data;

    for (; pair != NULL && pair[0] != NULL; pair += 2) {
        if (strcmp(pair[0], name) == 0)
            return pair[1];
    }
    return NULL;
}

static int read_with(struct srt_config **out, const char *text, const char **pairs,
                     struct secretrt_error *err)
{
    const struct srt_lookup lookup = {getenv_fake, (void *)pairs};

    srt_error_clear(err);
    return srt_config_read(out, text, text != NULL ? strlen(text) : 0, registry,
                           &lookup, err);
}

static struct srt_config *must_read(const char *text, const char **pairs)
{
    struct secretrt_error err;
    struct srt_config *config = NULL;

    if (read_with(&config, text, pairs, &err) != 0)
        fail_msg("%s", err.message);
    return config;
}

static const char *origin(const struct srt_store_config *store, const char *setting)
{
    for (size_t i = 0; i < store->values; i++) {
        if (strcmp(store->value[i].setting->name, setting) == 0)
            return store->value[i].origin;
    }
    return "";
}

#endif
