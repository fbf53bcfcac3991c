#include "codec/text.h"
#include "mem/wipe.h"
#include <secretrt/error.h>
#include <string.h>

static int percent_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '.' || c == '_' || c == '~';
}

static void percent_escape(char out[3], char c)
{
    static const char hex[] = "0123456789ABCDEF";

    out[0] = '%';
    out[1] = hex[(unsigned char)c >> 4];
    out[2] = hex[(unsigned char)c & 15];
}

void srt_percent_encode(struct srt_buf *out, const char *text, size_t len,
                        const char *keep)
{
    char escape[3];

    for (size_t i = 0; i < len; i++) {
        if (percent_unreserved(text[i]) ||
            (keep != NULL && text[i] != '\0' && strchr(keep, text[i]) != NULL)) {
            srt_buf_char(out, text[i]);
            continue;
        }
        percent_escape(escape, text[i]);
        srt_buf_add(out, escape, sizeof(escape));
    }
}

void srt_percent_encode_secret(struct srt_secbuf *out, const char *text, size_t len)
{
    char escape[3];

    for (size_t i = 0; i < len; i++) {
        if (percent_unreserved(text[i])) {
            srt_secbuf_char(out, text[i]);
            continue;
        }
        percent_escape(escape, text[i]);
        srt_secbuf_add(out, escape, sizeof(escape));
    }
    srt_wipe(escape, sizeof(escape));
}

int srt_percent_decode(struct srt_buf *out, const char *text, size_t len)
{
    size_t before = out->len;
    int high;
    int low;
    char c;

    for (size_t i = 0; i < len; i++) {
        c = text[i];
        if (c == '%') {
            high = len - i > 2 ? srt_hex_digit(text[i + 1]) : -1;
            low = len - i > 2 ? srt_hex_digit(text[i + 2]) : -1;
            c = (char)(high < 0 || low < 0 ? 0 : high * 16 + low);
            i += 2;
        }
        if (c == '\0') {
            srt_buf_truncate(out, before);
            return SECRETRT_ERR_INVALID;
        }
        srt_buf_char(out, c);
    }
    return out->status;
}
