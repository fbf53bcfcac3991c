/* The inside of a JSON document, shared by json*.c only. */
#ifndef SRT_CODEC_JSON_DOC_H
#define SRT_CODEC_JSON_DOC_H

#include "codec/json.h"

struct srt_json_node {
    uint32_t text; /* a string's or number's offset in the document's text */
    uint32_t len;  /* of the text; children of a container; 0 or 1 for a bool */
    uint32_t key;  /* offset, when keyed */
    uint32_t key_len;
    uint32_t next;  /* srt_json_ref */
    uint32_t first; /* srt_json_ref */
    uint32_t line;
    uint32_t column;
    uint8_t type;  /* enum srt_json_type */
    uint8_t keyed; /* an object's child */
};

struct srt_json {
    char *text; /* in the arena: decoded keys, strings and numbers, each with a NUL */
    struct srt_json_node *node; /* [1, n); on the heap, holds no byte of a value */
    size_t n;
    size_t cap;
};

/* NULL when absent. */
const struct srt_json_node *srt_json_at(const struct srt_json *doc, srt_json_ref ref);

#endif
