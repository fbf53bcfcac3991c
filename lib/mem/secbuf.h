/* A growing buffer in the arena, wiped wherever it moves or ends. Errors stick, as in
 * base/buf.h. */
#ifndef SRT_MEM_SECBUF_H
#define SRT_MEM_SECBUF_H

#include <stddef.h>

struct srt_secbuf {
    char *data; /* in the arena, NUL after the end; NULL while empty: use srt_secbuf_text */
    size_t len;
    size_t cap;
    size_t max; /* ceiling on len; 0: SRT_SECBUF_MAX */
    int status; /* 0, ERR_NOMEM, or ERR_PROTOCOL for the ceiling */
};
#define SRT_SECBUF_MAX (1024 * 1024)

void srt_secbuf_init(struct srt_secbuf *buf, size_t max);
void srt_secbuf_add(struct srt_secbuf *buf, const void *data, size_t len);
void srt_secbuf_text_add(struct srt_secbuf *buf, const char *text);
void srt_secbuf_char(struct srt_secbuf *buf, char c);
const char *srt_secbuf_text(const struct srt_secbuf *buf); /* never NULL */
void srt_secbuf_wipe(struct srt_secbuf *buf); /* zeroes, frees; idempotent */
/* Moves src's content to dst, which is wiped first. */
void srt_secbuf_move(struct srt_secbuf *dst, struct srt_secbuf *src);

#endif
