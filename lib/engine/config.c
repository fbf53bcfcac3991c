#include "engine/config.h"
#include "base/alloc.h"
#include "codec/text.h"
#include "engine/config_build.h"
#include <string.h>

#define CONFIG_TIER_DEFAULT 4

static const struct srt_store_value *config_value(const struct srt_store_config *store,
                                                  const char *setting)
{
    if (store == NULL)
        return NULL;
    for (size_t i = 0; i < store->values; i++) {
        const struct srt_store_value *value = &store->value[i];

        if (value->n > 0 && strcmp(value->setting->name, setting) == 0)
            return value;
    }
    return NULL;
}

const char *srt_store_text(const struct srt_store_config *store, const char *setting)
{
    const struct srt_store_value *value = config_value(store, setting);

    return value != NULL ? value->text[0] : NULL;
}

const char *const *srt_store_list(const struct srt_store_config *store,
                                  const char *setting, size_t *n)
{
    const struct srt_store_value *value = config_value(store, setting);

    *n = value != NULL ? value->n : 0;
    return value != NULL ? (const char *const *)value->text : NULL;
}

int srt_store_flag(const struct srt_store_config *store, const char *setting)
{
    const char *text = srt_store_text(store, setting);

    return text != NULL && strcmp(text, "true") == 0;
}

int64_t srt_store_number(const struct srt_store_config *store, const char *setting)
{
    const char *text = srt_store_text(store, setting);
    int64_t number = 0;

    if (text == NULL ||
        srt_decimal_parse(&number, text, strlen(text), 0, INT64_MAX) != 0)
        return 0;
    return number;
}

const struct srt_secret_config *srt_config_secret(const struct srt_config *config,
                                                  const char *name)
{
    for (size_t i = 0; i < config->secrets; i++) {
        if (strcmp(config->secret[i].name, name) == 0)
            return &config->secret[i];
    }
    return NULL;
}

const struct srt_store_config *srt_config_store(const struct srt_config *config,
                                                const char *name)
{
    for (size_t i = 0; i < config->stores; i++) {
        if (strcmp(config->store[i].name, name) == 0)
            return &config->store[i];
    }
    return NULL;
}

static int config_unknown_scheme(const struct srt_config *config, const char *scheme,
                                 struct secretrt_error *err)
{
    struct srt_config_words words = {.n = 0};

    for (size_t i = 0; config->provider[i] != NULL; i++) {
        if (!config->provider[i]->internal)
            srt_config_word(&words, config->provider[i]->scheme);
    }
    for (size_t i = 0; i < config->stores; i++) {
        const struct srt_store_config *store = &config->store[i];

        if (strcmp(store->name, store->provider->scheme) != 0)
            srt_config_word(&words, store->name);
    }
    return srt_config_unknown(err, "unknown scheme", scheme, "", &words);
}

int srt_config_scheme(const struct srt_config *config, const char *scheme,
                      const struct srt_provider **provider,
                      const struct srt_store_config **store, struct secretrt_error *err)
{
    *provider = NULL;
    *store = srt_config_store(config, scheme);
    if (*store != NULL) {
        *provider = (*store)->provider;
        return 0;
    }
    for (size_t i = 0; *provider == NULL && config->provider[i] != NULL; i++) {
        if (strcmp(config->provider[i]->scheme, scheme) == 0)
            *provider = config->provider[i];
    }
    return *provider != NULL ? 0 : config_unknown_scheme(config, scheme, err);
}

/* The text as a document. Its faults are the configuration's, whatever the codec calls
 * them. */
static int config_parse(struct srt_json **doc, const char *text, size_t len,
                        struct secretrt_error *err)
{
    struct secretrt_error local;
    int status;

    srt_error_clear(&local);
    status = srt_json_parse(doc, text, len, SRT_JSON_COMMENTS, &local);
    if (status == SECRETRT_ERR_NOMEM)
        return srt_nomem(err);
    return status != 0 ? srt_fail(err, SECRETRT_ERR_CONFIG, "%s", local.message) : 0;
}

int srt_config_read(struct srt_config **out, const char *text, size_t len,
                    const struct srt_provider *const *providers,
                    const struct srt_lookup *lookup, struct secretrt_error *err)
{
    struct srt_config_build build = {.lookup = lookup, .err = err, .owner = ""};
    struct srt_config *config = srt_alloc(sizeof(*config));
    struct srt_json *doc = NULL;
    int status = 0;

    *out = NULL;
    if (config == NULL)
        return srt_nomem(err);
    config->provider = providers;
    config->policy.weakest_tier = CONFIG_TIER_DEFAULT;
    config->policy.weakest_credential_tier = CONFIG_TIER_DEFAULT;
    build.config = config;
    if (text != NULL && len > 0)
        status = config_parse(&doc, text, len, err);
    build.doc = doc;
    if (status == 0)
        status = srt_config_read_root(&build);
    if (status == 0)
        status = srt_config_complete(&build);
    srt_json_free(doc);
    if (status != 0)
        srt_config_free(config);
    else
        *out = config;
    return status;
}

static void config_free_texts(char **text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        srt_free(text[i]);
    srt_free(text);
}

static void config_free_store(struct srt_store_config *store)
{
    for (size_t i = 0; i < store->values; i++) {
        config_free_texts(store->value[i].text, store->value[i].n);
        srt_free(store->value[i].origin);
    }
    srt_free(store->value);
    srt_free(store->name);
}

void srt_config_free(struct srt_config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->stores; i++)
        config_free_store(&config->store[i]);
    for (size_t i = 0; i < config->secrets; i++) {
        config_free_texts(config->secret[i].source, config->secret[i].sources);
        config_free_texts(config->secret[i].field, config->secret[i].fields);
        srt_free(config->secret[i].name);
    }
    srt_free(config->store);
    srt_free(config->secret);
    srt_free(config->audit.file);
    srt_free(config);
}
