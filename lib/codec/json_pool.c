#include "codec/json_pool.h"
#include "mem/arena.h"
#include <assert.h>
#include <secretrt/error.h>
#include <string.h>

/* yajl 2.x asks for: its handle, lexer and two buffer heads (under 400 bytes in all), a
 * state stack that starts at 128 bytes and would grow at depth 128, which our own limit
 * on depth forbids, and two buffers: decoded strings with escapes, and a token that the
 * text's end cut. Each buffer starts at JSON_POOL_BUFFER and doubles until it holds
 * more than its token. A buffer grows in place, since it is the newest block then. */
#define JSON_POOL_FIXED 1024
#define JSON_POOL_BUFFER 2048
#define JSON_POOL_HEAD 16 /* before each block: its length; keeps blocks aligned */

int srt_json_pool_init(struct srt_json_pool *pool, size_t longest)
{
    size_t buffer = JSON_POOL_BUFFER;

    memset(pool, 0, sizeof(*pool));
    while (buffer <= longest + 2)
        buffer *= 2;
    pool->len = JSON_POOL_FIXED + 2 * (buffer + JSON_POOL_HEAD);
    pool->data = srt_arena_alloc(pool->len);
    return pool->data != NULL ? 0 : SECRETRT_ERR_NOMEM;
}

void srt_json_pool_wipe(struct srt_json_pool *pool)
{
    srt_arena_free(pool->data);
    memset(pool, 0, sizeof(*pool));
}

static size_t json_pool_round(size_t len)
{
    return (len + JSON_POOL_HEAD - 1) / JSON_POOL_HEAD * JSON_POOL_HEAD;
}

static void *json_pool_alloc(void *ctx, size_t len)
{
    struct srt_json_pool *pool = ctx;
    char *block;

    assert(len <= pool->len &&
           json_pool_round(len) + JSON_POOL_HEAD <= pool->len - pool->used);
    if (len > pool->len ||
        json_pool_round(len) + JSON_POOL_HEAD > pool->len - pool->used)
        return NULL;
    block = pool->data + pool->used + JSON_POOL_HEAD;
    memcpy(block - JSON_POOL_HEAD, &len, sizeof(len));
    pool->used += JSON_POOL_HEAD + json_pool_round(len);
    pool->last = block;
    return block;
}

static void *json_pool_realloc(void *ctx, void *ptr, size_t len)
{
    struct srt_json_pool *pool = ctx;
    size_t old = 0;
    void *block;

    if (ptr != NULL)
        memcpy(&old, (char *)ptr - JSON_POOL_HEAD, sizeof(old));
    if (ptr != NULL && ptr == pool->last)
        pool->used = (size_t)(pool->last - pool->data) - JSON_POOL_HEAD;
    block = json_pool_alloc(ctx, len);
    if (block != NULL && block != ptr && old > 0)
        memcpy(block, ptr, old < len ? old : len);
    return block;
}

/* Nothing: the block is wiped as a whole. */
static void json_pool_free(void *ctx, void *ptr)
{
    (void)ctx;
    (void)ptr;
}

yajl_alloc_funcs srt_json_pool_funcs(struct srt_json_pool *pool)
{
    yajl_alloc_funcs funcs = {json_pool_alloc, json_pool_realloc, json_pool_free, pool};

    return funcs;
}
