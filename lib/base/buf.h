/* A growing string for text that is no secret. Errors stick: add freely, look once. */
#ifndef SRT_BASE_BUF_H
#define SRT_BASE_BUF_H

#include "base/status.h"
#include <stddef.h>

struct srt_buf {
    char *data; /* NUL-terminated; NULL before the first add: use srt_buf_text */
    size_t len;
    size_t cap;
    size_t max; /* ceiling on len; 0: SRT_BUF_MAX */
    int status; /* 0, ERR_NOMEM, or ERR_PROTOCOL for the ceiling: adds do nothing */
};
#define SRT_BUF_MAX (1024UL * 1024)

void srt_buf_init(struct srt_buf *buf, size_t max);
void srt_buf_add(struct srt_buf *buf, const void *data, size_t len);
void srt_buf_text_add(struct srt_buf *buf, const char *text);
void srt_buf_char(struct srt_buf *buf, char c);
void srt_buf_format(struct srt_buf *buf, const char *format, ...) SRT_PRINTF(2, 3);
void srt_buf_truncate(struct srt_buf *buf, size_t len); /* keeps memory and status */
const char *srt_buf_text(const struct srt_buf *buf);    /* never NULL */
char *srt_buf_take(struct srt_buf *buf); /* a heap string to srt_free; NULL: failed */
void srt_buf_wipe(struct srt_buf *buf);  /* frees; idempotent; ready for reuse */

#endif
