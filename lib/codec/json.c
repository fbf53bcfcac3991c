#include "codec/json.h"
#include "base/alloc.h"
#include "codec/json_doc.h"
#include "codec/text.h"
#include "mem/arena.h"
#include <string.h>

void srt_json_free(struct srt_json *doc)
{
    if (doc == NULL)
        return;
    srt_arena_free(doc->text);
    srt_free(doc->node);
    srt_free(doc);
}

const struct srt_json_node *srt_json_at(const struct srt_json *doc, srt_json_ref ref)
{
    return doc != NULL && ref > 0 && ref < doc->n ? &doc->node[ref] : NULL;
}

enum srt_json_type srt_json_type(const struct srt_json *doc, srt_json_ref node)
{
    const struct srt_json_node *at = srt_json_at(doc, node);

    return at != NULL ? (enum srt_json_type)at->type : SRT_JSON_NULL;
}

static srt_json_ref json_get(const struct srt_json *doc, srt_json_ref object,
                             const char *key, size_t len)
{
    const struct srt_json_node *at;

    if (srt_json_type(doc, object) != SRT_JSON_OBJECT)
        return 0;
    for (srt_json_ref ref = doc->node[object].first; ref != 0; ref = at->next) {
        at = &doc->node[ref];
        if (at->key_len == len && memcmp(doc->text + at->key, key, len) == 0)
            return ref;
    }
    return 0;
}

srt_json_ref srt_json_get(const struct srt_json *doc, srt_json_ref object,
                          const char *key)
{
    return json_get(doc, object, key, strlen(key));
}

srt_json_ref srt_json_path(const struct srt_json *doc, srt_json_ref object,
                           const char *path)
{
    size_t len;

    for (;;) {
        len = strcspn(path, ".");
        object = json_get(doc, object, path, len);
        if (object == 0 || path[len] == '\0')
            return object;
        path += len + 1;
    }
}

srt_json_ref srt_json_first(const struct srt_json *doc, srt_json_ref container)
{
    const struct srt_json_node *at = srt_json_at(doc, container);

    return at != NULL ? at->first : 0;
}

srt_json_ref srt_json_next(const struct srt_json *doc, srt_json_ref node)
{
    const struct srt_json_node *at = srt_json_at(doc, node);

    return at != NULL ? at->next : 0;
}

size_t srt_json_count(const struct srt_json *doc, srt_json_ref container)
{
    const struct srt_json_node *at = srt_json_at(doc, container);

    if (at == NULL || (at->type != SRT_JSON_ARRAY && at->type != SRT_JSON_OBJECT))
        return 0;
    return at->len;
}

const char *srt_json_key(const struct srt_json *doc, srt_json_ref node, size_t *len)
{
    const struct srt_json_node *at = srt_json_at(doc, node);
    int keyed = at != NULL && at->keyed;

    if (len != NULL)
        *len = keyed ? at->key_len : 0;
    return keyed ? doc->text + at->key : NULL;
}

const char *srt_json_text(const struct srt_json *doc, srt_json_ref node, size_t *len)
{
    const struct srt_json_node *at = srt_json_at(doc, node);
    const char *text = NULL;
    size_t n = 0;

    switch (srt_json_type(doc, node)) {
    case SRT_JSON_BOOL:
        text = at->len != 0 ? "true" : "false";
        n = strlen(text);
        break;
    case SRT_JSON_NUMBER:
    case SRT_JSON_STRING:
        text = doc->text + at->text;
        n = at->len;
        break;
    case SRT_JSON_NULL:
    case SRT_JSON_ARRAY:
    case SRT_JSON_OBJECT:
        break;
    }
    if (len != NULL)
        *len = n;
    return text;
}

int srt_json_int(int64_t *out, const struct srt_json *doc, srt_json_ref node,
                 int64_t min, int64_t max)
{
    const struct srt_json_node *at = srt_json_at(doc, node);

    if (at == NULL || at->type != SRT_JSON_NUMBER ||
        srt_decimal_parse(out, doc->text + at->text, at->len, min, max) != 0)
        return SECRETRT_ERR_PROTOCOL;
    return 0;
}

int srt_json_bool(const struct srt_json *doc, srt_json_ref node, int fallback)
{
    const struct srt_json_node *at = srt_json_at(doc, node);

    return at != NULL && at->type == SRT_JSON_BOOL ? (int)at->len : fallback;
}

int srt_json_equals(const struct srt_json *doc, srt_json_ref node, const char *text)
{
    const struct srt_json_node *at = srt_json_at(doc, node);

    return at != NULL && at->type == SRT_JSON_STRING && at->len == strlen(text) &&
           memcmp(doc->text + at->text, text, at->len) == 0;
}

void srt_json_where(const struct srt_json *doc, srt_json_ref node, unsigned *line,
                    unsigned *column)
{
    const struct srt_json_node *at = srt_json_at(doc, node);

    *line = at != NULL ? at->line : 0;
    *column = at != NULL ? at->column : 0;
}
