#include "mem/secbuf.h"
#include "base/status.h"
#include "mem/arena.h"
#include <string.h>

#define SECBUF_CAP_MIN ((size_t)64)

void srt_secbuf_init(struct srt_secbuf *buf, size_t max)
{
    *buf = (struct srt_secbuf){.max = max};
}

static int secbuf_reserve(struct srt_secbuf *buf, size_t more)
{
    size_t max = buf->max != 0 ? buf->max : SRT_SECBUF_MAX;
    size_t need = buf->len + more + 1;
    size_t cap = buf->cap != 0 ? buf->cap : SECBUF_CAP_MIN;
    char *data = NULL;

    if (buf->len > max || more > max - buf->len)
        return SECRETRT_ERR_PROTOCOL;
    if (need <= buf->cap)
        return 0;
    while (cap < need)
        cap *= 2;
    data = srt_arena_grow(buf->data, cap);
    if (data == NULL)
        return SECRETRT_ERR_NOMEM;
    buf->data = data;
    buf->cap = cap;
    return 0;
}

void srt_secbuf_add(struct srt_secbuf *buf, const void *data, size_t len)
{
    if (buf->status != 0 || len == 0)
        return;
    buf->status = secbuf_reserve(buf, len);
    if (buf->status != 0)
        return;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void srt_secbuf_text_add(struct srt_secbuf *buf, const char *text)
{
    srt_secbuf_add(buf, text, strlen(text));
}

void srt_secbuf_char(struct srt_secbuf *buf, char c)
{
    srt_secbuf_add(buf, &c, 1);
}

const char *srt_secbuf_text(const struct srt_secbuf *buf)
{
    return buf->data != NULL ? buf->data : "";
}

void srt_secbuf_wipe(struct srt_secbuf *buf)
{
    srt_arena_free(buf->data);
    srt_secbuf_init(buf, buf->max);
}

void srt_secbuf_move(struct srt_secbuf *dst, struct srt_secbuf *src)
{
    size_t max = dst->max;

    if (dst == src)
        return;
    srt_secbuf_wipe(dst);
    *dst = *src;
    dst->max = max;
    srt_secbuf_init(src, src->max);
}
