#include "observe/redact.h"
#include "codec/json.h"
#include "codec/text.h"
#include <string.h>

#define REDACT_MARK "***"

/* In place: the mark is never longer than what it replaces. */
static size_t redact_all(char *text, size_t len, const char *needle, size_t needle_len)
{
    const size_t mark = sizeof(REDACT_MARK) - 1;
    char *from = text, *hit;

    if (needle_len < SRT_REDACT_LEAST)
        return len;
    while ((hit = memmem(from, len - (size_t)(from - text), needle, needle_len)) !=
           NULL) {
        size_t tail = len - (size_t)(hit - text) - needle_len;

        memcpy(hit, REDACT_MARK, mark);
        memmove(hit + mark, hit + needle_len, tail);
        len -= needle_len - mark;
        from = hit + mark;
    }
    return len;
}

static void redact_json(struct srt_secbuf *out, const char *data, size_t len)
{
    srt_json_quote(out, data, len);
}

static void redact_base64(struct srt_secbuf *out, const char *data, size_t len)
{
    srt_base64_encode(out, data, len);
}

/* The encoded form without what frames it: quotes, padding. */
static size_t redact_encoded(char *text, size_t len, const char *data, size_t data_len,
                             void (*encode)(struct srt_secbuf *, const char *, size_t))
{
    struct srt_secbuf form;
    const char *needle;
    size_t n;

    srt_secbuf_init(&form, 0);
    encode(&form, data, data_len);
    needle = srt_secbuf_text(&form);
    n = form.len;
    if (n > 1 && needle[0] == '"') {
        needle++;
        n -= 2;
    }
    while (n > 0 && needle[n - 1] == '=')
        n--;
    if (form.status == 0)
        len = redact_all(text, len, needle, n);
    srt_secbuf_wipe(&form);
    return len;
}

size_t srt_redact(char *text, size_t len, const struct srt_bundle *bundle)
{
    for (size_t i = 0; i < srt_bundle_count(bundle); i++) {
        size_t data_len = 0;
        const char *data = srt_bundle_at(bundle, i, &data_len);

        if (data == NULL || data_len < SRT_REDACT_LEAST)
            continue;
        len = redact_all(text, len, data, data_len);
        len = redact_encoded(text, len, data, data_len, srt_percent_encode_secret);
        len = redact_encoded(text, len, data, data_len, redact_base64);
        len = redact_encoded(text, len, data, data_len, redact_json);
    }
    return len;
}
