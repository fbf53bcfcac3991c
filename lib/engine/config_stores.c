#include "base/alloc.h"
#include "engine/config_build.h"
#include <stdio.h>
#include <string.h>

#define CONFIG_STORES_NAME_MAX 63

static int config_stores_new(struct srt_store_config **out,
                             struct srt_config_build *build, const char *name,
                             const struct srt_provider *provider)
{
    struct srt_store_config *store = &build->config->store[build->config->stores];
    size_t n = 0;

    while (provider->settings[n].name != NULL)
        n++;
    build->config->stores++;
    store->provider = provider;
    store->name = srt_strdup(name);
    store->value = srt_alloc_array(n, sizeof(store->value[0]));
    *out = store;
    if (store->name == NULL || store->value == NULL)
        return srt_nomem(build->err);
    return 0;
}

/* What follows "group." in a setting's name, or the name without a dot where group is
 * NULL; NULL: it is not of the group. */
static const char *config_stores_member(const struct srt_setting *setting,
                                        const char *group)
{
    const char *dot = strchr(setting->name, '.');
    size_t len = group != NULL ? strlen(group) : 0;

    if (group == NULL)
        return dot == NULL ? setting->name : NULL;
    if (dot == NULL || (size_t)(dot - setting->name) != len ||
        memcmp(setting->name, group, len) != 0)
        return NULL;
    return dot + 1;
}

static const struct srt_setting *config_stores_find(const struct srt_setting *settings,
                                                    const char *group, const char *key)
{
    for (; settings->name != NULL; settings++) {
        const char *member = config_stores_member(settings, group);

        if (member != NULL && strcmp(member, key) == 0)
            return settings;
    }
    return NULL;
}

static int config_stores_is_group(const struct srt_setting *settings, const char *key)
{
    for (; settings->name != NULL; settings++) {
        if (config_stores_member(settings, key) != NULL)
            return 1;
    }
    return 0;
}

/* The group of a dotted name, once. */
static void config_stores_group_word(struct srt_config_words *words, const char *name)
{
    size_t len = strcspn(name, ".");
    char *group;

    if (words->groups == SRT_CONFIG_GROUPS_MAX || len >= SRT_CONFIG_GROUP_LEN)
        return;
    group = words->group[words->groups];
    memcpy(group, name, len);
    group[len] = '\0';
    for (size_t i = 0; i < words->groups; i++) {
        if (strcmp(words->group[i], group) == 0)
            return;
    }
    words->groups++;
    srt_config_word(words, group);
}

static int config_stores_unknown(struct srt_config_build *build,
                                 const struct srt_store_config *store,
                                 const char *group, srt_json_ref node)
{
    const struct srt_setting *setting = store->provider->settings;
    struct srt_config_words words = {.n = 0};

    for (; setting->name != NULL; setting++) {
        const char *member = config_stores_member(setting, group);

        if (member != NULL)
            srt_config_word(&words, member);
        else if (group == NULL)
            config_stores_group_word(&words, setting->name);
    }
    return srt_config_unknown_key(build, node, &words);
}

static int config_stores_add(struct srt_config_build *build, const char *text,
                             size_t len, void *out)
{
    return srt_config_value_add(build, out, text, len);
}

static int config_stores_value(struct srt_config_build *build,
                               struct srt_store_config *store,
                               const struct srt_setting *setting, srt_json_ref node)
{
    static const struct {
        enum srt_json_type type; /* SRT_JSON_ARRAY: one text, or an array */
        const char *what;
    } wants[] = {
        [SRT_SETTING_TEXT] = {SRT_JSON_STRING, "a text"},
        [SRT_SETTING_LIST] = {SRT_JSON_ARRAY, NULL},
        [SRT_SETTING_FILE] = {SRT_JSON_STRING, "the path of a file"},
        [SRT_SETTING_FLAG] = {SRT_JSON_BOOL, "true or false"},
        [SRT_SETTING_NUMBER] = {SRT_JSON_NUMBER, "an integer"},
        [SRT_SETTING_DURATION] = {SRT_JSON_STRING, "a duration, such as \"30s\""},
        [SRT_SETTING_URL] = {SRT_JSON_ARRAY, NULL},
        [SRT_SETTING_CHOICE] = {SRT_JSON_STRING, "a text"},
    };
    enum srt_json_type type = wants[setting->type].type;
    struct srt_store_value *value = NULL;
    char origin[32];
    unsigned line = 0;
    unsigned column = 0;
    size_t len = 0;
    const char *text = srt_json_text(build->doc, node, &len);
    int status;

    srt_json_where(build->doc, node, &line, &column);
    (void)snprintf(origin, sizeof(origin), "line %u", line);
    srt_config_place(build, node, node);
    status = srt_config_value(&value, build, store, setting, origin);
    if (status == 0 && type == SRT_JSON_ARRAY)
        return srt_config_each(build, node, config_stores_add, value);
    if (status == 0)
        status = srt_config_want(build, node, type, wants[setting->type].what);
    return status == 0 ? srt_config_value_add(build, value, text, len) : status;
}

/* The members of the object "auth" of a store. */
static int config_stores_group(struct srt_config_build *build,
                               struct srt_store_config *store, srt_json_ref object)
{
    const char *group = srt_config_key(build, object);
    const char *outer = build->owner;
    char owner[SRT_CONFIG_OWNER_MAX];
    int status;

    srt_config_place(build, object, object);
    status = srt_config_want(build, object, SRT_JSON_OBJECT, "an object");
    (void)snprintf(owner, sizeof(owner), "%s.%s", outer, group);
    build->owner = owner;
    for (srt_json_ref node = srt_json_first(build->doc, object);
         status == 0 && node != 0; node = srt_json_next(build->doc, node)) {
        const struct srt_setting *setting = config_stores_find(
            store->provider->settings, group, srt_config_key(build, node));

        status = setting != NULL ? config_stores_value(build, store, setting, node)
                                 : config_stores_unknown(build, store, group, node);
    }
    build->owner = outer;
    return status;
}

/* A store's object. kind: the node of "kind", which is no setting; 0: none. */
static int config_stores_object(struct srt_config_build *build,
                                struct srt_store_config *store, srt_json_ref object,
                                srt_json_ref kind)
{
    const struct srt_setting *settings = store->provider->settings;
    int status = 0;

    for (srt_json_ref node = srt_json_first(build->doc, object);
         status == 0 && node != 0; node = srt_json_next(build->doc, node)) {
        const char *key = srt_config_key(build, node);
        const struct srt_setting *setting = config_stores_find(settings, NULL, key);

        if (node == kind)
            continue;
        if (setting != NULL)
            status = config_stores_value(build, store, setting, node);
        else if (config_stores_is_group(settings, key))
            status = config_stores_group(build, store, node);
        else
            status = config_stores_unknown(build, store, NULL, node);
    }
    return status;
}

/* The store of the provider's own name: there, even if the text says nothing of it. */
static int config_stores_own(struct srt_config_build *build,
                             const struct srt_provider *provider)
{
    srt_json_ref object = srt_json_get(build->doc, SRT_JSON_ROOT, provider->scheme);
    struct srt_store_config *store = NULL;
    int status = config_stores_new(&store, build, provider->scheme, provider);

    if (status != 0 || object == 0)
        return status;
    build->owner = "";
    srt_config_place(build, object, object);
    status = srt_config_want(build, object, SRT_JSON_OBJECT, "an object");
    build->owner = provider->scheme;
    return status == 0 ? config_stores_object(build, store, object, 0) : status;
}

static int config_stores_name_ok(struct srt_config_build *build, const char *name)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyz0123456789+.-";
    size_t len = strlen(name);

    if (len == 0 || len > CONFIG_STORES_NAME_MAX || strspn(name, chars) != len ||
        name[0] < 'a' || name[0] > 'z')
        return srt_config_bad(build,
                              "a store's name is a letter, then letters, digits, "
                              "\"+\", \".\", \"-\", in lower case; at most %d",
                              CONFIG_STORES_NAME_MAX);
    for (size_t i = 0; build->config->provider[i] != NULL; i++) {
        if (strcmp(build->config->provider[i]->scheme, name) == 0)
            return srt_config_bad(build, "is the name of a provider");
    }
    if (srt_config_store(build->config, name) != NULL)
        return srt_config_bad(build, "is there twice");
    return 0;
}

static int config_stores_kind(const struct srt_provider **out,
                              struct srt_config_build *build, srt_json_ref node)
{
    struct srt_config_words words = {.n = 0};
    const char *kind = srt_json_text(build->doc, node, NULL);
    char begin[SRT_CONFIG_PLACE_MAX + 16];
    int status;

    srt_config_place(build, node, node);
    status = srt_config_want(build, node, SRT_JSON_STRING, "the scheme of a provider");
    for (size_t i = 0; status == 0 && build->config->provider[i] != NULL; i++) {
        const struct srt_provider *provider = build->config->provider[i];

        if (provider->settings == NULL || provider->internal)
            continue;
        if (srt_json_equals(build->doc, node, provider->scheme)) {
            *out = provider;
            return 0;
        }
        srt_config_word(&words, provider->scheme);
    }
    if (status != 0)
        return status;
    (void)snprintf(begin, sizeof(begin), "%s: unknown", build->place);
    return srt_config_unknown(build->err, begin, kind, "", &words);
}

static int config_stores_named(struct srt_config_build *build, srt_json_ref object)
{
    const char *name = srt_config_key(build, object);
    srt_json_ref kind = srt_json_get(build->doc, object, "kind");
    const struct srt_provider *provider = NULL;
    struct srt_store_config *store = NULL;
    char owner[SRT_CONFIG_OWNER_MAX];
    int status;

    build->owner = "stores";
    srt_config_place(build, object, object);
    status = config_stores_name_ok(build, name);
    if (status == 0)
        status = srt_config_want(build, object, SRT_JSON_OBJECT, "an object");
    if (status == 0 && kind == 0)
        status = srt_config_bad(build, "needs \"kind\", the scheme of a provider");
    if (status != 0)
        return status;
    (void)snprintf(owner, sizeof(owner), "stores.%s", name);
    build->owner = owner;
    status = config_stores_kind(&provider, build, kind);
    if (status == 0 && provider != NULL)
        status = config_stores_new(&store, build, name, provider);
    if (status == 0 && store != NULL)
        status = config_stores_object(build, store, object, kind);
    build->owner = "stores";
    return status;
}

int srt_config_read_stores(struct srt_config_build *build)
{
    struct srt_config *config = build->config;
    srt_json_ref object = srt_json_get(build->doc, SRT_JSON_ROOT, "stores");
    size_t n = srt_json_count(build->doc, object);
    int status = 0;

    for (size_t i = 0; config->provider[i] != NULL; i++)
        n += config->provider[i]->settings != NULL;
    config->store = srt_alloc_array(n, sizeof(config->store[0]));
    if (config->store == NULL)
        return srt_nomem(build->err);
    for (size_t i = 0; status == 0 && config->provider[i] != NULL; i++) {
        if (config->provider[i]->settings != NULL)
            status = config_stores_own(build, config->provider[i]);
    }
    if (status != 0 || object == 0)
        return status;
    build->owner = "";
    srt_config_place(build, object, object);
    status = srt_config_want(build, object, SRT_JSON_OBJECT, "an object");
    for (srt_json_ref node = srt_json_first(build->doc, object);
         status == 0 && node != 0; node = srt_json_next(build->doc, node))
        status = config_stores_named(build, node);
    return status;
}
