#include "base/alloc.h"
#include "codec/text.h"
#include "engine/config_build.h"
#include <stdio.h>
#include <string.h>

#define CONFIG_READ_NAME_MAX 128

/* One key of a fixed object: how its value is read, and to where. */
struct config_read_key {
    const char *name;
    int (*read)(struct srt_config_build *build, srt_json_ref node, void *out);
    size_t at;
};

static int config_read_flag(struct srt_config_build *build, srt_json_ref node,
                            void *out)
{
    int32_t *flag = out;
    int status = srt_config_want(build, node, SRT_JSON_BOOL, "true or false");

    if (status == 0)
        *flag = srt_json_bool(build->doc, node, 0);
    return status;
}

static int config_read_tier(struct srt_config_build *build, srt_json_ref node,
                            void *out)
{
    int32_t *tier = out;
    int64_t number = 0;

    if (srt_json_int(&number, build->doc, node, 1, 4) != 0)
        return srt_config_bad(build, "must be a tier, from 1 to 4");
    *tier = (int32_t)number;
    return 0;
}

static int config_read_duration(struct srt_config_build *build, srt_json_ref node,
                                void *out)
{
    const char *text = srt_json_text(build->doc, node, NULL);
    int status = srt_config_want(build, node, SRT_JSON_STRING,
                                 "a duration, such as \"30s\" or \"5m\"");

    return status == 0 ? srt_config_duration(build, out, text) : status;
}

static int config_read_date(struct srt_config_build *build, srt_json_ref node,
                            void *out)
{
    int64_t ms = 0;

    if (srt_json_type(build->doc, node) != SRT_JSON_STRING ||
        srt_date_parse(&ms, srt_json_text(build->doc, node, NULL)) != 0 || ms <= 0)
        return srt_config_bad(build, "must be a date, such as \"2027-03-31\"");
    *(int64_t *)out = ms;
    return 0;
}

static int config_read_file(struct srt_config_build *build, srt_json_ref node,
                            void *out)
{
    char **path = out;
    size_t len = 0;
    const char *text = srt_json_text(build->doc, node, &len);
    int status = srt_config_want(build, node, SRT_JSON_STRING, "the path of a file");
    struct srt_buf buf;

    srt_buf_init(&buf, 0);
    if (status == 0)
        status = srt_config_plain(build, text, len);
    if (status == 0)
        status = srt_config_path(build, &buf, text);
    if (status == 0) {
        srt_free(*path);
        *path = srt_buf_take(&buf);
        if (*path == NULL)
            status = srt_nomem(build->err);
    }
    srt_buf_wipe(&buf);
    return status;
}

static int config_read_memory(struct srt_config_build *build, srt_json_ref node,
                              void *out)
{
    int32_t *strict = out;

    *strict = srt_json_equals(build->doc, node, "strict");
    if (!*strict && !srt_json_equals(build->doc, node, "normal"))
        return srt_config_bad(build, "must be \"strict\" or \"normal\"");
    return 0;
}

static const struct config_read_key *
config_read_find(const struct config_read_key *keys, const char *name)
{
    for (; keys->name != NULL; keys++) {
        if (strcmp(keys->name, name) == 0)
            return keys;
    }
    return NULL;
}

/* An object with fixed keys, into the struct at base. */
static int config_read_fixed(struct srt_config_build *build, srt_json_ref object,
                             const char *owner, const struct config_read_key *keys,
                             void *base)
{
    struct srt_config_words words = {.n = 0};
    srt_json_ref node;
    int status = srt_config_want(build, object, SRT_JSON_OBJECT, "an object");

    build->owner = owner;
    for (size_t i = 0; keys[i].name != NULL; i++)
        srt_config_word(&words, keys[i].name);
    for (node = srt_json_first(build->doc, object); status == 0 && node != 0;
         node = srt_json_next(build->doc, node)) {
        const struct config_read_key *key =
            config_read_find(keys, srt_config_key(build, node));

        if (key == NULL)
            return srt_config_unknown_key(build, node, &words);
        srt_config_place(build, node, node);
        status = key->read(build, node, (char *)base + key->at);
    }
    return status;
}

static int config_read_policy(struct srt_config_build *build, srt_json_ref node,
                              void *out)
{
    static const struct config_read_key keys[] = {
        {"weakest_tier", config_read_tier, offsetof(struct srt_policy, weakest_tier)},
        {"weakest_credential_tier", config_read_tier,
         offsetof(struct srt_policy, weakest_credential_tier)},
        {"tier4_until", config_read_date, offsetof(struct srt_policy, tier4_until_ms)},
        {NULL, NULL, 0},
    };

    return config_read_fixed(build, node, "policy", keys, out);
}

static int config_read_audit(struct srt_config_build *build, srt_json_ref node,
                             void *out)
{
    static const struct config_read_key keys[] = {
        {"file", config_read_file, offsetof(struct srt_audit_config, file)},
        {"required", config_read_flag, offsetof(struct srt_audit_config, required)},
        {NULL, NULL, 0},
    };
    struct srt_audit_config *audit = out;
    srt_json_ref required = srt_json_get(build->doc, node, "required");
    int status = config_read_fixed(build, node, "audit", keys, audit);

    if (status != 0 || !audit->required || audit->file != NULL)
        return status;
    srt_config_place(build, required, required);
    return srt_config_bad(build, "needs a \"file\" to record to");
}

static int config_read_add_source(struct srt_config_build *build, const char *text,
                                  size_t len, void *out)
{
    struct srt_secret_config *secret = out;
    const struct srt_provider *provider = NULL;
    const struct srt_store_config *store = NULL;
    struct srt_ref ref = {.text = NULL};
    struct secretrt_error local;
    int status = srt_config_plain(build, text, len);

    srt_error_clear(&local);
    if (status != 0)
        return status;
    status = srt_ref_parse(&ref, text, &local);
    if (status == 0)
        status =
            srt_config_scheme(build->config, ref.scheme, &provider, &store, &local);
    if (status == SECRETRT_ERR_NOMEM)
        status = srt_nomem(build->err);
    else if (status != 0)
        status = srt_config_bad(build, "%s", local.message);
    else if (provider->internal)
        status = srt_config_bad(build, "\"%s\" is not for references of its own",
                                provider->scheme);
    else
        status =
            srt_config_push(build, &secret->source, &secret->sources, srt_strdup(text));
    srt_ref_wipe(&ref);
    return status;
}

static int config_read_sources(struct srt_config_build *build, srt_json_ref node,
                               void *out)
{
    return srt_config_each(build, node, config_read_add_source, out);
}

static int config_read_add_field(struct srt_config_build *build, const char *text,
                                 size_t len, void *out)
{
    struct srt_secret_config *secret = out;
    int status = srt_config_plain(build, text, len);

    if (status != 0)
        return status;
    return srt_config_push(build, &secret->field, &secret->fields, srt_strdup(text));
}

static int config_read_fields(struct srt_config_build *build, srt_json_ref node,
                              void *out)
{
    return srt_config_each(build, node, config_read_add_field, out);
}

/* What one secret says for itself may not be looser than the policy. */
static int config_read_stricter(struct srt_config_build *build, srt_json_ref node,
                                const struct srt_secret_config *secret)
{
    const struct srt_policy *policy = &build->config->policy;
    srt_json_ref tier = srt_json_get(build->doc, node, "weakest_tier");
    srt_json_ref until = srt_json_get(build->doc, node, "tier4_until");

    if (secret->weakest_tier > policy->weakest_tier) {
        srt_config_place(build, tier, tier);
        return srt_config_bad(build, "%d is looser than %d, which \"policy\" says",
                              (int)secret->weakest_tier, (int)policy->weakest_tier);
    }
    if (policy->tier4_until_ms != 0 &&
        secret->tier4_until_ms > policy->tier4_until_ms) {
        srt_config_place(build, until, until);
        return srt_config_bad(build, "is later than \"policy\" allows");
    }
    return 0;
}

static int config_read_secret(struct srt_config_build *build, srt_json_ref node,
                              struct srt_secret_config *secret)
{
#define CONFIG_READ_AT(member) offsetof(struct srt_secret_config, member)
    static const struct config_read_key keys[] = {
        {"sources", config_read_sources, 0},
        {"fields", config_read_fields, 0},
        {"refresh", config_read_duration, CONFIG_READ_AT(refresh_ms)},
        {"overlap", config_read_duration, CONFIG_READ_AT(overlap_ms)},
        {"verify", config_read_flag, CONFIG_READ_AT(verify)},
        {"lazy", config_read_flag, CONFIG_READ_AT(lazy)},
        {"fallback_on_not_found", config_read_flag,
         CONFIG_READ_AT(fallback_on_not_found)},
        {"leave_lease", config_read_flag, CONFIG_READ_AT(leave_lease)},
        {"weakest_tier", config_read_tier, CONFIG_READ_AT(weakest_tier)},
        {"tier4_until", config_read_date, CONFIG_READ_AT(tier4_until_ms)},
        {NULL, NULL, 0},
    };
#undef CONFIG_READ_AT
    char owner[SRT_CONFIG_OWNER_MAX];
    char clean[SRT_FOREIGN_MAX];
    int status;

    srt_text_clean(clean, sizeof(clean), secret->name, strlen(secret->name));
    (void)snprintf(owner, sizeof(owner), "secrets.%s", clean);
    status = config_read_fixed(build, node, owner, keys, secret);
    if (status == 0)
        status = config_read_stricter(build, node, secret);
    build->owner = "secrets";
    if (status != 0 || secret->sources > 0)
        return status;
    srt_config_place(build, node, node);
    return srt_config_bad(build, "needs \"sources\"");
}

static int config_read_name_ok(const char *name)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789._/-";
    size_t len = strlen(name);

    return len > 0 && len <= CONFIG_READ_NAME_MAX && strspn(name, chars) == len;
}

static int config_read_secrets(struct srt_config_build *build, srt_json_ref object,
                               void *out)
{
    struct srt_config *config = out;
    int status = srt_config_want(build, object, SRT_JSON_OBJECT, "an object");
    srt_json_ref node;

    if (status != 0)
        return status;
    config->secret =
        srt_alloc_array(srt_json_count(build->doc, object), sizeof(*config->secret));
    if (config->secret == NULL)
        return srt_nomem(build->err);
    for (node = srt_json_first(build->doc, object); status == 0 && node != 0;
         node = srt_json_next(build->doc, node)) {
        struct srt_secret_config *secret = &config->secret[config->secrets];
        const char *name = srt_config_key(build, node);

        build->owner = "secrets";
        srt_config_place(build, node, node);
        if (!config_read_name_ok(name))
            return srt_config_bad(build,
                                  "a name is of letters, digits, \".\", \"_\", "
                                  "\"/\", \"-\"; at most %d",
                                  CONFIG_READ_NAME_MAX);
        secret->name = srt_strdup(name);
        if (secret->name == NULL)
            return srt_nomem(build->err);
        config->secrets++;
        status = config_read_secret(build, node, secret);
    }
    return status;
}

static const struct config_read_key config_read_root[] = {
    {"policy", config_read_policy, offsetof(struct srt_config, policy)},
    {"secrets", config_read_secrets, 0},
    {"audit", config_read_audit, offsetof(struct srt_config, audit)},
    {"memory", config_read_memory, offsetof(struct srt_config, memory_strict)},
    {"strict_files", config_read_flag, offsetof(struct srt_config, strict_files)},
    {NULL, NULL, 0},
};

/* Each key of the root is a fixed one, or that of a provider with settings. */
static int config_read_known(struct srt_config_build *build)
{
    struct srt_config_words words = {.n = 0};
    srt_json_ref node;

    for (size_t i = 0; config_read_root[i].name != NULL; i++)
        srt_config_word(&words, config_read_root[i].name);
    srt_config_word(&words, "stores");
    for (size_t i = 0; build->config->provider[i] != NULL; i++) {
        if (build->config->provider[i]->settings != NULL)
            srt_config_word(&words, build->config->provider[i]->scheme);
    }
    for (node = srt_json_first(build->doc, SRT_JSON_ROOT); node != 0;
         node = srt_json_next(build->doc, node)) {
        const char *key = srt_config_key(build, node);
        size_t i = 0;

        while (i < words.n && strcmp(words.word[i], key) != 0)
            i++;
        if (i == words.n)
            return srt_config_unknown_key(build, node, &words);
    }
    return 0;
}

int srt_config_read_root(struct srt_config_build *build)
{
    unsigned line = 0;
    unsigned column = 0;
    int status;

    if (build->doc == NULL)
        return srt_config_read_stores(build);
    srt_json_where(build->doc, SRT_JSON_ROOT, &line, &column);
    (void)snprintf(build->place, sizeof(build->place),
                   "line %u, column %u: the configuration", line, column);
    status = srt_config_want(build, SRT_JSON_ROOT, SRT_JSON_OBJECT, "an object");
    if (status == 0)
        status = config_read_known(build);
    if (status == 0)
        status = srt_config_read_stores(build);
    for (size_t i = 0; status == 0 && config_read_root[i].name != NULL; i++) {
        const struct config_read_key *key = &config_read_root[i];
        srt_json_ref node = srt_json_get(build->doc, SRT_JSON_ROOT, key->name);

        build->owner = "";
        if (node == 0)
            continue;
        srt_config_place(build, node, node);
        status = key->read(build, node, (char *)build->config + key->at);
    }
    return status;
}
