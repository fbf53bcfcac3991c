/* A growing buffer in the arena, wiped wherever it moves or ends. Errors stick, as in
 * base/buf.h. */
#ifndef SRT_MEM_SECBUF_H
#define SRT_MEM_SECBUF_H

#include <stddef.h>

struct srt_secbuf {
    char *data; /* in the arena, NUL after the end; NULL while empty: srt_secbuf_text */
    size_t len;
    size_t cap;
    size_t max; /* ceiling on len; 0: SRT_SECBUF_MAX */
    int status; /* 0, ERR_NOMEM, or ERR_PROTOCOL for the ceiling */
};
#define SRT_SECBUF_MAX (1024 * 1024)

void srt_secbuf_init(struct srt_secbuf *buf, size_t max);
/* All of data or, when the status is or becomes a failure, nothing. */
void srt_secbuf_add(struct srt_secbuf *buf, const void *data, size_t len);
void srt_secbuf_text_add(struct srt_secbuf *buf, const char *text);
void srt_secbuf_char(struct srt_secbuf *buf, char c);
const char *srt_secbuf_text(const struct srt_secbuf *buf); /* never NULL */
/* Zeroes, frees, clears the status; idempotent; ready for reuse under the same max. */
void srt_secbuf_wipe(struct srt_secbuf *buf);
/* Moves src's content and status to dst, which is wiped first and keeps its max. */
void srt_secbuf_move(struct srt_secbuf *dst, struct srt_secbuf *src);

#endif
