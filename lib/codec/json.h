/* JSON over yajl's stream interface: a document whose bytes are in the arena, with a
 * flat index of nodes. Depth, size and duplicate keys are bounded. Source: RFC 8259. */
#ifndef SRT_CODEC_JSON_H
#define SRT_CODEC_JSON_H

#include "mem/secbuf.h"
#include <secretrt/error.h>
#include <stddef.h>
#include <stdint.h>

#define SRT_JSON_DEPTH_MAX 32
#define SRT_JSON_NODES_MAX 65536
#define SRT_JSON_BYTES_MAX (4UL * 1024 * 1024)

enum srt_json_type {
    SRT_JSON_NULL = 1,
    SRT_JSON_BOOL,
    SRT_JSON_NUMBER,
    SRT_JSON_STRING,
    SRT_JSON_ARRAY,
    SRT_JSON_OBJECT
};

struct srt_json;               /* the document */
typedef uint32_t srt_json_ref; /* a node; 0: absent; 1: the root */
#define SRT_JSON_ROOT 1U

enum srt_json_flags {
    SRT_JSON_COMMENTS = 1 /* configuration: C and C++ comments allowed */
};

/* 0; ERR_NOMEM; ERR_PROTOCOL: malformed, too deep, too large, a duplicate key, trailing
 * bytes, invalid UTF-8, half a surrogate pair; one line in err with "line L, column C",
 * never a byte of it. The work areas of the parser are in the arena; the stack is
 * scrubbed. */
int srt_json_parse(struct srt_json **out, const char *text, size_t len, unsigned flags,
                   struct secretrt_error *err);
void srt_json_free(struct srt_json *doc); /* wipes; NULL ok */

/* Absent: SRT_JSON_NULL. */
enum srt_json_type srt_json_type(const struct srt_json *doc, srt_json_ref node);
/* 0: absent, or not an object. */
srt_json_ref srt_json_get(const struct srt_json *doc, srt_json_ref object,
                          const char *key);
/* A path of keys: "data.metadata.version" (keys without dots). */
srt_json_ref srt_json_path(const struct srt_json *doc, srt_json_ref object,
                           const char *path);
/* First child and next sibling, in the order of the text; 0: none. */
srt_json_ref srt_json_first(const struct srt_json *doc, srt_json_ref container);
srt_json_ref srt_json_next(const struct srt_json *doc, srt_json_ref node);
size_t srt_json_count(const struct srt_json *doc, srt_json_ref container);
/* Of an object's child, NUL-terminated; NULL for others. len NULL ok. */
const char *srt_json_key(const struct srt_json *doc, srt_json_ref node, size_t *len);
/* A string's decoded bytes, a number's or bool's text as sent; NUL after the end (it
 * may hold NULs). NULL for other types. len NULL ok. */
const char *srt_json_text(const struct srt_json *doc, srt_json_ref node, size_t *len);
/* An integer in [min, max]: 0, or ERR_PROTOCOL (absent, another type, fraction or
 * exponent, range); *out is then left alone. */
int srt_json_int(int64_t *out, const struct srt_json *doc, srt_json_ref node,
                 int64_t min, int64_t max);
int srt_json_bool(const struct srt_json *doc, srt_json_ref node, int fallback);
/* 1: a string equal to text. */
int srt_json_equals(const struct srt_json *doc, srt_json_ref node, const char *text);
/* 1-based place of the node (of its key, for an object's child), for messages. Columns
 * count characters. 0 for an absent node. */
void srt_json_where(const struct srt_json *doc, srt_json_ref node, unsigned *line,
                    unsigned *column);

/* Writes a node back as JSON text; absent: null. */
void srt_json_write(struct srt_secbuf *out, const struct srt_json *doc,
                    srt_json_ref node);
/* Writes "text" quoted and escaped. Text that is not UTF-8 has no JSON form: the status
 * of out becomes ERR_INVALID and nothing is written. */
void srt_json_quote(struct srt_secbuf *out, const char *text, size_t len);
/* For text that is no secret: each byte that is not UTF-8 becomes U+FFFD. */
struct srt_buf;
void srt_json_quote_plain(struct srt_buf *out, const char *text, size_t len);

#endif
