/* The parser's work memory: one arena block, taken before the parser starts, because
 * yajl 2.1 does not look at what its allocator answers. */
#ifndef SRT_CODEC_JSON_POOL_H
#define SRT_CODEC_JSON_POOL_H

#include <stddef.h>
#include <yajl/yajl_common.h>

struct srt_json_pool {
    char *data;
    size_t len;
    size_t used;
    char *last; /* the newest block: it can grow where it is */
};

/* Enough for a text whose tokens are at most longest bytes: 0 or ERR_NOMEM. */
int srt_json_pool_init(struct srt_json_pool *pool, size_t longest);
void srt_json_pool_wipe(struct srt_json_pool *pool);
yajl_alloc_funcs srt_json_pool_funcs(struct srt_json_pool *pool);

#endif
