#include "base/buf.h"
#include "base/alloc.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BUF_FIRST 64

void srt_buf_init(struct srt_buf *buf, size_t max)
{
    memset(buf, 0, sizeof(*buf));
    buf->max = max;
}

/* Room for len more bytes and the NUL. */
static int buf_reserve(struct srt_buf *buf, size_t len)
{
    size_t max = buf->max != 0 ? buf->max : SRT_BUF_MAX;
    size_t cap = buf->cap != 0 ? buf->cap : BUF_FIRST;
    char *data;

    if (buf->status != 0)
        return buf->status;
    if (len > max || buf->len > max - len)
        return buf->status = SECRETRT_ERR_PROTOCOL;
    if (buf->cap > buf->len + len)
        return 0;
    while (cap <= buf->len + len)
        cap = cap <= max / 2 ? cap * 2 : buf->len + len + 1;
    data = srt_grow_array(buf->data, buf->len, cap, 1);
    if (data == NULL)
        return buf->status = SECRETRT_ERR_NOMEM;
    buf->data = data;
    buf->cap = cap;
    return 0;
}

void srt_buf_add(struct srt_buf *buf, const void *data, size_t len)
{
    if (buf_reserve(buf, len) != 0)
        return;
    if (len > 0)
        memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void srt_buf_text_add(struct srt_buf *buf, const char *text)
{
    srt_buf_add(buf, text, strlen(text));
}

void srt_buf_char(struct srt_buf *buf, char c)
{
    srt_buf_add(buf, &c, 1);
}

void srt_buf_format(struct srt_buf *buf, const char *format, ...)
{
    va_list args;
    va_list again;
    int n;

    va_start(args, format);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 && buf->status == 0)
        buf->status = SECRETRT_ERR_PROTOCOL;
    if (n >= 0 && buf_reserve(buf, (size_t)n) == 0) {
        (void)vsnprintf(buf->data + buf->len, (size_t)n + 1, format, again);
        buf->len += (size_t)n;
    }
    va_end(again);
}

void srt_buf_truncate(struct srt_buf *buf, size_t len)
{
    if (len >= buf->len)
        return;
    buf->len = len;
    buf->data[len] = '\0';
}

const char *srt_buf_text(const struct srt_buf *buf)
{
    return buf->data != NULL ? buf->data : "";
}

char *srt_buf_take(struct srt_buf *buf)
{
    char *data;

    srt_buf_add(buf, "", 0);
    if (buf->status != 0)
        return NULL;
    data = buf->data;
    srt_buf_init(buf, buf->max);
    return data;
}

void srt_buf_wipe(struct srt_buf *buf)
{
    srt_free(buf->data);
    srt_buf_init(buf, buf->max);
}
