#include "engine/config_build.h"
#include <stdio.h>
#include <string.h>

const char *srt_config_key(const struct srt_config_build *build, srt_json_ref node)
{
    size_t len = 0;
    const char *key = srt_json_key(build->doc, node, &len);

    return key != NULL && strlen(key) == len ? key : "";
}

void srt_config_place(struct srt_config_build *build, srt_json_ref keyed,
                      srt_json_ref node)
{
    const char *key = srt_config_key(build, keyed);
    char clean[SRT_FOREIGN_MAX];
    unsigned line = 0;
    unsigned column = 0;

    srt_text_clean(clean, sizeof(clean), key, strlen(key));
    srt_json_where(build->doc, node, &line, &column);
    if (build->owner[0] != '\0')
        (void)snprintf(build->place, sizeof(build->place),
                       "line %u, column %u: \"%s\" in \"%s\"", line, column, clean,
                       build->owner);
    else
        (void)snprintf(build->place, sizeof(build->place), "line %u, column %u: \"%s\"",
                       line, column, clean);
}

int srt_config_unknown_key(struct srt_config_build *build, srt_json_ref node,
                           const struct srt_config_words *words)
{
    char begin[64];
    char end[SRT_CONFIG_OWNER_MAX + 8] = "";
    unsigned line = 0;
    unsigned column = 0;

    srt_json_where(build->doc, node, &line, &column);
    (void)snprintf(begin, sizeof(begin), "line %u, column %u: unknown key", line,
                   column);
    if (build->owner[0] != '\0')
        (void)snprintf(end, sizeof(end), " in \"%s\"", build->owner);
    return srt_config_unknown(build->err, begin, srt_config_key(build, node), end,
                              words);
}

int srt_config_want(struct srt_config_build *build, srt_json_ref node,
                    enum srt_json_type type, const char *what)
{
    if (srt_json_type(build->doc, node) == type)
        return 0;
    return srt_config_bad(build, "must be %s", what);
}

int srt_config_each(struct srt_config_build *build, srt_json_ref node,
                    srt_config_add_fn *add, void *out)
{
    int list = srt_json_type(build->doc, node) == SRT_JSON_ARRAY;
    srt_json_ref at = list ? srt_json_first(build->doc, node) : node;
    int status = 0;

    if (at == 0)
        return srt_config_bad(build, "must not be empty");
    while (status == 0 && at != 0) {
        size_t len = 0;
        const char *text = srt_json_text(build->doc, at, &len);

        srt_config_place(build, node, at);
        status =
            srt_config_want(build, at, SRT_JSON_STRING,
                            list ? "an array of texts" : "a text or an array of texts");
        if (status == 0)
            status = add(build, text, len, out);
        at = list ? srt_json_next(build->doc, at) : 0;
    }
    return status;
}
