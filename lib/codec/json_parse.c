#include "base/alloc.h"
#include "base/status.h"
#include "codec/json.h"
#include "codec/json_doc.h"
#include "codec/json_pool.h"
#include "codec/json_scan.h"
#include "mem/arena.h"
#include "mem/wipe.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#define JSON_PARSE_NODES_FIRST 64
#define JSON_PARSE_NAMES_FIRST 16
#define JSON_PARSE_TEXT(x) JSON_PARSE_TEXT_(x)
#define JSON_PARSE_TEXT_(x) #x

/* An open container. */
struct json_parse_level {
    srt_json_ref node;
    srt_json_ref last; /* its newest child */
};

struct json_parse_name {
    const char *data;
    size_t len;
    srt_json_ref node;
};

struct json_parse {
    struct srt_json *doc;
    struct srt_json_scan scan;
    yajl_handle yajl;
    int finishing;    /* a number at the very end is reported after the text */
    size_t token_end; /* where the newest token that was reported ends */
    size_t text_used; /* of doc->text */
    unsigned depth;
    struct json_parse_level level[SRT_JSON_DEPTH_MAX];
    struct srt_json_node key; /* text, length and place of the newest key */
    struct json_parse_name *name;
    size_t name_cap;
};

/* For a callback: 0 stops the parser. */
static int json_parse_stop(struct json_parse *p, int status, const char *problem)
{
    p->scan.status = status;
    p->scan.problem = problem;
    return 0;
}

/* Every token but ',' and ':' is reported, so the newest one begins after the one
 * before it and what may stand between. */
static void json_parse_token(struct json_parse *p)
{
    srt_json_scan_to(&p->scan, srt_json_scan_gap(&p->scan, p->token_end));
    p->token_end = p->finishing ? p->scan.len : yajl_get_bytes_consumed(p->yajl);
}

/* The text block has a byte for each byte of the input and one more: quotes, and the
 * separator after a number, make room for the NULs. */
static uint32_t json_parse_store(struct json_parse *p, const void *data, size_t len)
{
    size_t at = p->text_used;

    assert(len <= p->scan.len && at <= p->scan.len - len);
    if (len > 0)
        memcpy(p->doc->text + at, data, len);
    p->doc->text[at + len] = '\0';
    p->text_used += len + 1;
    return (uint32_t)at;
}

static int json_parse_room(struct json_parse *p)
{
    struct srt_json *doc = p->doc;
    size_t cap = doc->cap != 0 ? doc->cap * 2 : JSON_PARSE_NODES_FIRST;
    struct srt_json_node *node;

    if (doc->n > SRT_JSON_NODES_MAX)
        return json_parse_stop(
            p, SECRETRT_ERR_PROTOCOL,
            "JSON holds more than " JSON_PARSE_TEXT(SRT_JSON_NODES_MAX) " values");
    if (doc->n < doc->cap)
        return 1;
    node = srt_grow_array(doc->node, doc->n, cap, sizeof(*node));
    if (node == NULL)
        return json_parse_stop(p, SECRETRT_ERR_NOMEM, NULL);
    doc->node = node;
    doc->cap = cap;
    return 1;
}

/* 0: stop, and scan.status says why. */
static srt_json_ref json_parse_add(struct json_parse *p, enum srt_json_type type)
{
    struct srt_json *doc = p->doc;
    struct json_parse_level *level = p->depth > 0 ? &p->level[p->depth - 1] : NULL;
    srt_json_ref ref = (srt_json_ref)doc->n;
    struct srt_json_node *node;

    json_parse_token(p);
    if (!json_parse_room(p))
        return 0;
    node = &doc->node[ref];
    doc->n++;
    if (level != NULL && doc->node[level->node].type == SRT_JSON_OBJECT) {
        *node = p->key;
    } else {
        node->line = p->scan.line;
        node->column = p->scan.column;
    }
    node->type = (uint8_t)type;
    if (level == NULL)
        return ref;
    if (level->last != 0)
        doc->node[level->last].next = ref;
    else
        doc->node[level->node].first = ref;
    doc->node[level->node].len++;
    level->last = ref;
    return ref;
}

static int json_parse_null(void *ctx)
{
    return json_parse_add(ctx, SRT_JSON_NULL) != 0;
}

static int json_parse_boolean(void *ctx, int value)
{
    struct json_parse *p = ctx;
    srt_json_ref ref = json_parse_add(p, SRT_JSON_BOOL);

    if (ref != 0)
        p->doc->node[ref].len = value != 0;
    return ref != 0;
}

static int json_parse_scalar(struct json_parse *p, enum srt_json_type type,
                             const void *data, size_t len)
{
    srt_json_ref ref = json_parse_add(p, type);

    if (ref == 0)
        return 0;
    p->doc->node[ref].text = json_parse_store(p, data, len);
    p->doc->node[ref].len = (uint32_t)len;
    return 1;
}

static int json_parse_number(void *ctx, const char *data, size_t len)
{
    return json_parse_scalar(ctx, SRT_JSON_NUMBER, data, len);
}

static int json_parse_string(void *ctx, const unsigned char *data, size_t len)
{
    return json_parse_scalar(ctx, SRT_JSON_STRING, data, len);
}

static int json_parse_key(void *ctx, const unsigned char *data, size_t len)
{
    struct json_parse *p = ctx;

    json_parse_token(p);
    memset(&p->key, 0, sizeof(p->key));
    p->key.key = json_parse_store(p, data, len);
    p->key.key_len = (uint32_t)len;
    p->key.keyed = 1;
    p->key.line = p->scan.line;
    p->key.column = p->scan.column;
    return 1;
}

static int json_parse_open(struct json_parse *p, enum srt_json_type type)
{
    srt_json_ref ref = json_parse_add(p, type);

    if (ref == 0)
        return 0;
    if (p->depth == SRT_JSON_DEPTH_MAX)
        return json_parse_stop(p, SECRETRT_ERR_PROTOCOL,
                               "JSON is nested deeper than " JSON_PARSE_TEXT(
                                   SRT_JSON_DEPTH_MAX) " levels");
    p->level[p->depth].node = ref;
    p->level[p->depth].last = 0;
    p->depth++;
    return 1;
}

static int json_parse_open_object(void *ctx)
{
    return json_parse_open(ctx, SRT_JSON_OBJECT);
}

static int json_parse_open_array(void *ctx)
{
    return json_parse_open(ctx, SRT_JSON_ARRAY);
}

static int json_parse_close(void *ctx)
{
    struct json_parse *p = ctx;

    json_parse_token(p);
    p->depth--;
    return 1;
}

static int json_parse_compare(const void *a, const void *b)
{
    const struct json_parse_name *left = a;
    const struct json_parse_name *right = b;

    if (left->len != right->len)
        return left->len < right->len ? -1 : 1;
    return left->len > 0 ? memcmp(left->data, right->data, left->len) : 0;
}

static int json_parse_names(struct json_parse *p, size_t n)
{
    size_t cap = p->name_cap != 0 ? p->name_cap : JSON_PARSE_NAMES_FIRST;
    struct json_parse_name *name;

    if (n <= p->name_cap)
        return 1;
    while (cap < n)
        cap *= 2;
    name = srt_grow_array(p->name, 0, cap, sizeof(*name));
    if (name == NULL)
        return json_parse_stop(p, SECRETRT_ERR_NOMEM, NULL);
    p->name = name;
    p->name_cap = cap;
    return 1;
}

/* Sorted, not pairwise: an object of ten thousand keys costs no seconds. */
static int json_parse_close_object(void *ctx)
{
    struct json_parse *p = ctx;
    const struct srt_json_node *node = p->doc->node;
    srt_json_ref ref = node[p->level[p->depth - 1].node].first;
    srt_json_ref twin;
    size_t n = 0;

    if (!json_parse_names(p, node[p->level[p->depth - 1].node].len))
        return 0;
    for (; ref != 0; ref = node[ref].next, n++) {
        p->name[n].data = p->doc->text + node[ref].key;
        p->name[n].len = node[ref].key_len;
        p->name[n].node = ref;
    }
    if (n > 1)
        qsort(p->name, n, sizeof(*p->name), json_parse_compare);
    for (size_t i = 1; i < n; i++) {
        if (json_parse_compare(&p->name[i - 1], &p->name[i]) != 0)
            continue;
        twin = p->name[p->name[i].node > p->name[i - 1].node ? i : i - 1].node;
        p->scan.line = node[twin].line;
        p->scan.column = node[twin].column;
        return json_parse_stop(p, SECRETRT_ERR_PROTOCOL,
                               "JSON object holds the same key twice");
    }
    return json_parse_close(ctx);
}

static const yajl_callbacks json_parse_callbacks = {
    .yajl_null = json_parse_null,
    .yajl_boolean = json_parse_boolean,
    .yajl_number = json_parse_number,
    .yajl_string = json_parse_string,
    .yajl_start_map = json_parse_open_object,
    .yajl_map_key = json_parse_key,
    .yajl_end_map = json_parse_close_object,
    .yajl_start_array = json_parse_open_array,
    .yajl_end_array = json_parse_close,
};

/* yajl takes an unfinished token after the end for the end, so we look ourselves. */
static void json_parse_judge(struct json_parse *p, yajl_status status)
{
    size_t at = srt_json_scan_gap(&p->scan, p->token_end);
    size_t seen = p->finishing ? p->scan.len : yajl_get_bytes_consumed(p->yajl);
    int complete = p->doc->n > SRT_JSON_ROOT && p->depth == 0;

    if (p->scan.status != 0)
        return;
    if (complete && (status != yajl_status_ok || at < p->scan.len)) {
        srt_json_scan_to(&p->scan, at);
        json_parse_stop(p, SECRETRT_ERR_PROTOCOL, "JSON goes on after its end");
    } else if (!complete && p->finishing) {
        srt_json_scan_to(&p->scan, p->scan.len);
        json_parse_stop(p, SECRETRT_ERR_PROTOCOL, "JSON ends too early");
    } else if (status != yajl_status_ok) {
        srt_json_scan_to(&p->scan, at < seen ? at : seen);
        json_parse_stop(p, SECRETRT_ERR_PROTOCOL, "JSON is malformed");
    }
}

static void json_parse_run(struct json_parse *p, struct srt_json_pool *pool,
                           unsigned flags)
{
    yajl_alloc_funcs funcs = srt_json_pool_funcs(pool);
    yajl_status status;

    p->yajl = yajl_alloc(&json_parse_callbacks, &funcs, p);
    if (p->yajl == NULL) {
        json_parse_stop(p, SECRETRT_ERR_NOMEM, NULL);
        return;
    }
    if (flags & SRT_JSON_COMMENTS)
        yajl_config(p->yajl, yajl_allow_comments, 1);
    status = yajl_parse(p->yajl, (const unsigned char *)p->scan.text, p->scan.len);
    if (status == yajl_status_ok) {
        p->finishing = 1;
        status = yajl_complete_parse(p->yajl);
    }
    json_parse_judge(p, status);
    yajl_free(p->yajl);
}

static struct srt_json *json_parse_doc(size_t len)
{
    struct srt_json *doc = srt_alloc(sizeof(*doc));

    if (doc == NULL)
        return NULL;
    doc->n = SRT_JSON_ROOT;
    doc->text = srt_arena_alloc(len + 1);
    if (doc->text == NULL) {
        srt_free(doc);
        return NULL;
    }
    return doc;
}

int srt_json_parse(struct srt_json **out, const char *text, size_t len, unsigned flags,
                   struct secretrt_error *err)
{
    struct json_parse p = {0};
    struct srt_json_pool pool = {0};
    size_t longest = 0;

    *out = NULL;
    srt_json_scan_init(&p.scan, text, len, flags & SRT_JSON_COMMENTS);
    if (len > SRT_JSON_BYTES_MAX) {
        json_parse_stop(&p, SECRETRT_ERR_PROTOCOL, "JSON is longer than 4 MiB");
        goto done;
    }
    if (!srt_json_scan_check(&p.scan, &longest))
        goto done;
    p.doc = json_parse_doc(len);
    if (p.doc == NULL || srt_json_pool_init(&pool, longest) != 0) {
        json_parse_stop(&p, SECRETRT_ERR_NOMEM, NULL);
        goto done;
    }
    json_parse_run(&p, &pool, flags);
    if (p.scan.status != 0)
        goto done;
    *out = p.doc;
    p.doc = NULL;

done:
    srt_json_free(p.doc);
    srt_json_pool_wipe(&pool);
    srt_free(p.name);
    srt_scrub();
    if (p.scan.status == SECRETRT_ERR_NOMEM)
        return srt_nomem(err);
    if (p.scan.status != 0)
        return srt_fail(err, p.scan.status, "%s at line %u, column %u", p.scan.problem,
                        p.scan.line, p.scan.column);
    return 0;
}
