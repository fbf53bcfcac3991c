/* What a secret is: a configured name or a reference, completed by options and checked
 * whole before anything is begun. */
#include "base/alloc.h"
#include "engine/graph.h"
#include <string.h>

#define SPEC_DEPTH_MAX 8 /* of credentials behind credentials: more is a cycle */
#define SPEC_NAME_MAX 1024

static char **spec_texts(char *const *from, size_t n)
{
    char **copy = srt_alloc_array(n > 0 ? n : 1, sizeof(*copy));

    for (size_t i = 0; copy != NULL && i < n; i++) {
        copy[i] = srt_strdup(from[i]);
        if (copy[i] == NULL) {
            for (size_t k = 0; k < i; k++)
                srt_free(copy[k]);
            srt_free(copy);
            return NULL;
        }
    }
    return copy;
}

static void spec_texts_free(char **texts, size_t n)
{
    for (size_t i = 0; texts != NULL && i < n; i++)
        srt_free(texts[i]);
    srt_free(texts);
}

/* Words separated by spaces replace a list. */
static int spec_words(char ***list, size_t *count, const char *words)
{
    size_t n = 0, k = 0;
    char **fresh;

    for (const char *p = words; *p != '\0';) {
        p += strspn(p, " ");
        n += *p != '\0';
        p += strcspn(p, " ");
    }
    fresh = srt_alloc_array(n > 0 ? n : 1, sizeof(*fresh));
    if (fresh == NULL)
        return SECRETRT_ERR_NOMEM;
    for (const char *p = words + strspn(words, " "); *p != '\0'; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");

        fresh[k] = srt_strndup(p, len);
        if (fresh[k++] == NULL) {
            spec_texts_free(fresh, n);
            return SECRETRT_ERR_NOMEM;
        }
        p += len;
    }
    spec_texts_free(*list, *count);
    *list = fresh;
    *count = n;
    return 0;
}

void srt_spec_free(struct srt_spec *spec)
{
    if (spec == NULL)
        return;
    spec_texts_free(spec->config.source, spec->config.sources);
    spec_texts_free(spec->config.field, spec->config.fields);
    srt_free(spec->config.name);
    srt_free(spec->field);
    srt_free(spec->name);
    srt_free(spec);
}

static int spec_copy(struct srt_spec *spec, const struct srt_secret_config *from)
{
    struct srt_secret_config *to = &spec->config;
    char *name = to->name;

    *to = *from;
    to->name = name;
    to->source = spec_texts(from->source, from->sources);
    to->field = spec_texts(from->field, from->fields);
    return to->source != NULL && to->field != NULL ? 0 : SECRETRT_ERR_NOMEM;
}

/* "db#password": the configured name and the field. */
static int spec_name(struct srt_spec *spec, const struct srt_config *config,
                     const char *name, int has_sources, struct secretrt_error *err)
{
    const char *hash = srt_ref_looks_like(name) ? NULL : strchr(name, '#');
    const struct srt_secret_config *found;

    spec->name = srt_strdup(name);
    spec->config.name =
        hash != NULL ? srt_strndup(name, (size_t)(hash - name)) : srt_strdup(name);
    if (hash != NULL)
        spec->field = srt_strdup(hash + 1);
    if (spec->name == NULL || spec->config.name == NULL ||
        (hash != NULL && spec->field == NULL))
        return srt_nomem(err);
    if (hash != NULL && spec->field[0] == '\0')
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "no field behind '#' in a secret's name");
    found = srt_config_secret(config, spec->config.name);
    if (found != NULL)
        return spec_copy(spec, found) == 0 ? 0 : srt_nomem(err);
    if (srt_ref_looks_like(name))
        return spec_words(&spec->config.source, &spec->config.sources, name) == 0
                   ? 0
                   : srt_nomem(err);
    if (!has_sources) {
        char clean[SRT_FOREIGN_MAX];

        return srt_fail(
            err, SECRETRT_ERR_NOT_FOUND,
            "no secret \"%s\" is configured: add it to \"secrets\", or open a "
            "reference such as vault://database/creds/app",
            srt_text_clean(clean, sizeof(clean), spec->config.name,
                           strlen(spec->config.name)));
    }
    return 0;
}

static int spec_options(struct srt_spec *spec,
                        const struct secretrt_secret_options *options,
                        struct secretrt_error *err)
{
    struct srt_secret_config *config = &spec->config;
    int rc = 0;

    if (options == NULL)
        return 0;
    if ((options->flags & ~(uint32_t)(SECRETRT_SECRET_LAZY | SECRETRT_SECRET_VERIFY)) !=
        0)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "unknown flags in the secret's options");
    if (options->sources != NULL)
        rc = spec_words(&config->source, &config->sources, options->sources);
    if (rc == 0 && options->fields != NULL)
        rc = spec_words(&config->field, &config->fields, options->fields);
    if (rc != 0)
        return srt_nomem(err);
    if (options->refresh_ms != 0)
        config->refresh_ms = options->refresh_ms;
    if (options->overlap_ms != 0)
        config->overlap_ms = options->overlap_ms;
    config->lazy = config->lazy || (options->flags & SECRETRT_SECRET_LAZY) != 0;
    config->verify = config->verify || (options->flags & SECRETRT_SECRET_VERIFY) != 0 ||
                     options->verify != NULL;
    return 0;
}

/* Follows the credentials: a chain that does not end is a cycle. */
static int spec_check_chain(const struct srt_config *config, const char *reference,
                            unsigned depth, struct secretrt_error *err)
{
    const struct srt_provider *provider = NULL;
    const struct srt_store_config *store = NULL;
    struct srt_plan plan;
    struct srt_ref ref;
    int rc = srt_ref_parse(&ref, reference, err);

    if (rc != 0)
        return rc;
    memset(&plan, 0, sizeof(plan));
    rc = srt_config_scheme(config, ref.scheme, &provider, &store, err);
    if (rc == 0 && provider->internal && depth == 0)
        rc = srt_fail(err, SECRETRT_ERR_INVALID, "%s:// is not a source of secrets",
                      ref.scheme);
    if (rc == 0 && provider->internal) {
        store = srt_config_store(config, ref.path);
        if (store == NULL)
            rc = srt_fail(err, SECRETRT_ERR_CONFIG, "%s names no store", ref.text);
    }
    if (rc == 0 && depth >= SPEC_DEPTH_MAX)
        rc = srt_fail(err, SECRETRT_ERR_CONFIG,
                      "the credentials behind %s lead in a circle", ref.text);
    if (rc == 0)
        rc = provider->plan(&plan, &ref, store, err);
    for (size_t i = 0; rc == 0 && i < plan.needs; i++)
        rc = spec_check_chain(config, srt_buf_text(&plan.need[i].ref), depth + 1, err);
    srt_plan_wipe(&plan);
    srt_ref_wipe(&ref);
    return rc;
}

int srt_spec_new(struct srt_spec **out, const struct srt_config *config,
                 const char *name, const struct secretrt_secret_options *options,
                 struct secretrt_error *err)
{
    struct srt_spec *spec = NULL;
    int rc;

    *out = NULL;
    if (name == NULL || name[0] == '\0' || strlen(name) > SPEC_NAME_MAX)
        return srt_fail(err, SECRETRT_ERR_INVALID, "a secret's name has 1 to %d bytes",
                        SPEC_NAME_MAX);
    spec = srt_alloc(sizeof(*spec));
    if (spec == NULL)
        return srt_nomem(err);
    rc =
        spec_name(spec, config, name, options != NULL && options->sources != NULL, err);
    if (rc == 0)
        rc = spec_options(spec, options, err);
    if (rc == 0 && spec->config.sources == 0)
        rc = srt_fail(err, SECRETRT_ERR_CONFIG, "no source is given");
    for (size_t i = 0; rc == 0 && i < spec->config.sources; i++)
        rc = spec_check_chain(config, spec->config.source[i], 0, err);
    if (rc != 0) {
        srt_error_prefix(err, "secret");
        srt_spec_free(spec);
        return rc;
    }
    *out = spec;
    return 0;
}
