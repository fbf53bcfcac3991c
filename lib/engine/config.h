/* The configuration: one JSON text, validated in one place against tables that the
 * providers declare, then completed from each store's conventions. Immutable once read.
 */
#ifndef SRT_ENGINE_CONFIG_H
#define SRT_ENGINE_CONFIG_H

#include <secretrt/error.h>
#include <stddef.h>
#include <stdint.h>

struct srt_provider;

/* One setting of a store, declared by its provider: "address", "auth.role". */
enum srt_setting_type {
    SRT_SETTING_TEXT = 1,
    SRT_SETTING_LIST,     /* a text, or an array of texts */
    SRT_SETTING_FILE,     /* a path; "~/" is the home directory */
    SRT_SETTING_FLAG,     /* true, false */
    SRT_SETTING_NUMBER,   /* an integer from 1 to 1 000 000 */
    SRT_SETTING_DURATION, /* "30s" */
    SRT_SETTING_URL,      /* LIST of https://…, http://… */
    SRT_SETTING_CHOICE    /* one of `choices` */
};

struct srt_setting {
    const char *name; /* "auth.method": object "auth", key "method" */
    enum srt_setting_type type;
    const char *env;      /* variables of the store's convention, best first: "BAO_ADDR
                             VAULT_ADDR"; NULL */
    const char *choices;  /* "token kubernetes jwt approle"; NULL */
    const char *fallback; /* used when nothing else says; NULL */
};

/* One store: a provider's settings under one name. */
struct srt_store_value {
    const struct srt_setting *setting;
    char **text; /* n texts; FLAG "true"/"false", NUMBER and DURATION digits (ms) */
    size_t n;
    char *origin; /* "line 3", "BAO_ADDR", "default"; owned by the store */
};

struct srt_store_config {
    char *name;                          /* "vault", "vault-dr" */
    const struct srt_provider *provider; /* by "kind" */
    struct srt_store_value *value;
    size_t values;
};

/* NULL and 0 where the setting is absent. */
const char *srt_store_text(const struct srt_store_config *store, const char *setting);
const char *const *srt_store_list(const struct srt_store_config *store,
                                  const char *setting, size_t *n);
int srt_store_flag(const struct srt_store_config *store, const char *setting);
int64_t srt_store_number(const struct srt_store_config *store, const char *setting);

struct srt_secret_config {
    char *name;
    char **source; /* references, best first */
    size_t sources;
    char **field; /* required fields */
    size_t fields;
    int64_t refresh_ms;     /* 0: the store's own */
    int64_t overlap_ms;     /* 0: 30 000 */
    int64_t tier4_until_ms; /* Unix; 0: none of its own */
    int32_t weakest_tier;   /* 0: none of its own */
    int32_t lazy;
    int32_t verify;
    int32_t fallback_on_not_found;
    int32_t leave_lease; /* an exec wrapper's: not given back at close */
};

struct srt_policy {
    int32_t weakest_tier;            /* 1..4 */
    int32_t weakest_credential_tier; /* 1..4 */
    int64_t tier4_until_ms;          /* Unix; 0: no date */
};

struct srt_audit_config {
    char *file; /* NULL: no file sink */
    int32_t required;
    int32_t reserved;
};

struct srt_config {
    struct srt_store_config *store;
    size_t stores;
    struct srt_secret_config *secret;
    size_t secrets;
    struct srt_policy policy;
    struct srt_audit_config audit;
    int32_t memory_strict;
    int32_t strict_files;
    const struct srt_provider *const *provider; /* NULL-terminated; the registry */
};

/* Where conventions look: the process's environment, or a test's. */
struct srt_lookup {
    const char *(*get)(const char *name, void *data);
    void *data;
};

/* text NULL or len 0: only conventions; lookup NULL: none. Each provider that has
 * settings gets a store of its own scheme's name even when the text says nothing about
 * it. 0; ERR_CONFIG with line, column and the nearest known key; ERR_NOMEM. */
int srt_config_read(struct srt_config **out, const char *text, size_t len,
                    const struct srt_provider *const *providers,
                    const struct srt_lookup *lookup, struct secretrt_error *err);
void srt_config_free(struct srt_config *config); /* NULL ok */

const struct srt_secret_config *srt_config_secret(const struct srt_config *config,
                                                  const char *name);
const struct srt_store_config *srt_config_store(const struct srt_config *config,
                                                const char *name);
/* The scheme of a reference: a provider, and its store if it has settings. 0, or
 * ERR_CONFIG naming the nearest known scheme. */
int srt_config_scheme(const struct srt_config *config, const char *scheme,
                      const struct srt_provider **provider,
                      const struct srt_store_config **store,
                      struct secretrt_error *err);

#endif
