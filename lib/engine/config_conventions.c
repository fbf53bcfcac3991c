#include "base/alloc.h"
#include "engine/config_build.h"
#include <stdio.h>
#include <string.h>

#define CONFIG_CONVENTIONS_NAME_MAX 96

/* The next text of the list, trimmed; NULL at its end. Cuts the list up. */
static char *config_conventions_piece(char **rest, const char *stop)
{
    char *piece = *rest;
    size_t len;

    if (piece == NULL)
        return NULL;
    len = strcspn(piece, stop);
    *rest = piece[len] != '\0' ? piece + len + 1 : NULL;
    piece[len] = '\0';
    if (stop[0] == '\0')
        return piece;
    piece += strspn(piece, " ");
    for (len = strlen(piece); len > 0 && piece[len - 1] == ' '; len--)
        piece[len - 1] = '\0';
    return piece;
}

/* One text, or addresses between commas. */
static int config_conventions_add(struct srt_config_build *build,
                                  struct srt_store_config *store,
                                  const struct srt_setting *setting, const char *text,
                                  const char *origin)
{
    const char *stop = setting->type == SRT_SETTING_URL ? "," : "";
    struct srt_store_value *value = NULL;
    int status = srt_config_value(&value, build, store, setting, origin);
    char *copy = status == 0 ? srt_strdup(text) : NULL;
    char *rest = copy;
    char *piece;

    if (status == 0 && copy == NULL)
        status = srt_nomem(build->err);
    while (status == 0 && (piece = config_conventions_piece(&rest, stop)) != NULL)
        status = srt_config_value_add(build, value, piece, strlen(piece));
    srt_free(copy);
    return status;
}

/* The first variable of the convention that is not empty. */
static int config_conventions_env(struct srt_config_build *build,
                                  struct srt_store_config *store,
                                  const struct srt_setting *setting)
{
    char name[CONFIG_CONVENTIONS_NAME_MAX];
    const char *word = setting->env != NULL ? setting->env : "";
    const char *text;
    size_t len;

    for (; build->lookup != NULL && *word != '\0'; word += len) {
        word += strspn(word, " ");
        len = strcspn(word, " ");
        if (len == 0 || len >= sizeof(name))
            continue;
        memcpy(name, word, len);
        name[len] = '\0';
        text = build->lookup->get(name, build->lookup->data);
        if (text == NULL || text[0] == '\0')
            continue;
        srt_text_copy(build->place, sizeof(build->place), name);
        return config_conventions_add(build, store, setting, text, name);
    }
    return 0;
}

static int config_conventions_default(struct srt_config_build *build,
                                      struct srt_store_config *store,
                                      const struct srt_setting *setting)
{
    const char *text = setting->fallback;
    int homeless = text != NULL && setting->type == SRT_SETTING_FILE &&
                   strncmp(text, "~/", 2) == 0 && srt_config_home(build) == NULL;

    if (text == NULL || homeless)
        return 0;
    (void)snprintf(build->place, sizeof(build->place),
                   "the default of \"%s\" in \"%s\"", setting->name,
                   store->provider->scheme);
    return config_conventions_add(build, store, setting, text, "default");
}

static int config_conventions_has(const struct srt_store_config *store,
                                  const struct srt_setting *setting)
{
    for (size_t i = 0; i < store->values; i++) {
        if (store->value[i].setting == setting)
            return 1;
    }
    return 0;
}

int srt_config_complete(struct srt_config_build *build)
{
    int status = 0;

    for (size_t i = 0; status == 0 && i < build->config->stores; i++) {
        struct srt_store_config *store = &build->config->store[i];
        const struct srt_setting *setting = store->provider->settings;
        /* The environment speaks of one store, not of those the text names. */
        int own = strcmp(store->name, store->provider->scheme) == 0;

        for (; status == 0 && setting->name != NULL; setting++) {
            if (!config_conventions_has(store, setting) && own)
                status = config_conventions_env(build, store, setting);
            if (status == 0 && !config_conventions_has(store, setting))
                status = config_conventions_default(build, store, setting);
        }
    }
    return status;
}
