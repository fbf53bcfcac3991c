#include "base/buf.h"
#include "codec/json.h"
#include "codec/json_doc.h"
#include "codec/utf8.h"
#include "mem/wipe.h"
#include <string.h>

#define JSON_WRITE_ESCAPE 6 /* "\\u001f", the longest */

/* The escape of c in out, its length; 0: c stands for itself. */
static size_t json_write_escape(char out[JSON_WRITE_ESCAPE], char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";
    const char *known = c != '\0' ? strchr(from, c) : NULL;
    unsigned char byte = (unsigned char)c;

    if (known == NULL && byte >= 0x20)
        return 0;
    out[0] = '\\';
    if (known != NULL) {
        out[1] = to[known - from];
        return 2;
    }
    out[1] = 'u';
    out[2] = '0';
    out[3] = '0';
    out[4] = hex[byte >> 4];
    out[5] = hex[byte & 15];
    return 6;
}

void srt_json_quote(struct srt_secbuf *out, const char *text, size_t len)
{
    char escape[JSON_WRITE_ESCAPE];
    size_t done = 0;
    size_t n;

    if (!srt_utf8_valid(text, len)) {
        if (out->status == 0)
            out->status = SECRETRT_ERR_INVALID;
        return;
    }
    srt_secbuf_char(out, '"');
    for (size_t i = 0; i < len; i++) {
        n = json_write_escape(escape, text[i]);
        if (n == 0)
            continue;
        srt_secbuf_add(out, text + done, i - done);
        srt_secbuf_add(out, escape, n);
        done = i + 1;
    }
    if (done < len)
        srt_secbuf_add(out, text + done, len - done);
    srt_secbuf_char(out, '"');
    srt_wipe(escape, sizeof(escape));
}

void srt_json_quote_plain(struct srt_buf *out, const char *text, size_t len)
{
    char escape[JSON_WRITE_ESCAPE];
    size_t escaped;
    size_t at = 0;
    size_t n;

    srt_buf_char(out, '"');
    while (at < len) {
        n = srt_utf8_len(text + at, len - at);
        if (n == 0) {
            srt_buf_text_add(out, "\xEF\xBF\xBD");
            at++;
            continue;
        }
        escaped = n == 1 ? json_write_escape(escape, text[at]) : 0;
        if (escaped != 0)
            srt_buf_add(out, escape, escaped);
        else
            srt_buf_add(out, text + at, n);
        at += n;
    }
    srt_buf_char(out, '"');
}

/* Recursion is bounded by SRT_JSON_DEPTH_MAX. */
static void json_write_children(struct srt_secbuf *out, const struct srt_json *doc,
                                srt_json_ref ref)
{
    const struct srt_json_node *at;

    for (; ref != 0; ref = at->next) {
        at = &doc->node[ref];
        if (at->keyed) {
            srt_json_quote(out, doc->text + at->key, at->key_len);
            srt_secbuf_char(out, ':');
        }
        srt_json_write(out, doc, ref);
        if (at->next != 0)
            srt_secbuf_char(out, ',');
    }
}

void srt_json_write(struct srt_secbuf *out, const struct srt_json *doc,
                    srt_json_ref node)
{
    const struct srt_json_node *at = srt_json_at(doc, node);

    switch (srt_json_type(doc, node)) {
    case SRT_JSON_NULL:
        srt_secbuf_text_add(out, "null");
        break;
    case SRT_JSON_BOOL:
        srt_secbuf_text_add(out, at->len != 0 ? "true" : "false");
        break;
    case SRT_JSON_NUMBER:
        srt_secbuf_add(out, doc->text + at->text, at->len);
        break;
    case SRT_JSON_STRING:
        srt_json_quote(out, doc->text + at->text, at->len);
        break;
    case SRT_JSON_ARRAY:
        srt_secbuf_char(out, '[');
        json_write_children(out, doc, at->first);
        srt_secbuf_char(out, ']');
        break;
    case SRT_JSON_OBJECT:
        srt_secbuf_char(out, '{');
        json_write_children(out, doc, at->first);
        srt_secbuf_char(out, '}');
        break;
    }
}
