/* Small encodings: percent (RFC 3986), base64 (RFC 4648), durations, time stamps,
 * decimal numbers, edit distance. */
#ifndef SRT_CODEC_TEXT_H
#define SRT_CODEC_TEXT_H

#include "base/buf.h"
#include "mem/secbuf.h"
#include <stddef.h>
#include <stdint.h>

/* Percent-encodes all but unreserved characters and those in keep ("/:@+=" for paths;
 * NULL: none). */
void srt_percent_encode(struct srt_buf *out, const char *text, size_t len,
                        const char *keep);
void srt_percent_encode_secret(struct srt_secbuf *out, const char *text, size_t len);
/* Decodes; 0, ERR_INVALID (bad escape, NUL) with nothing added, or out's status. '+'
 * stays a plus. */
int srt_percent_decode(struct srt_buf *out, const char *text, size_t len);

void srt_base64_encode(struct srt_secbuf *out, const void *data, size_t len);
/* Standard or URL alphabet, padding optional, nothing else (no white space, no stray
 * bits at the end): 0, ERR_PROTOCOL with nothing added, or out's status. */
int srt_base64_decode(struct srt_secbuf *out, const char *text, size_t len);

/* "30s" "5m" "24h" "250ms" "2d", or plain digits as seconds: 0 or ERR_INVALID. */
int srt_duration_parse(int64_t *out_ms, const char *text);

/* "2026-11-24T04:01:25.574526Z" and the offset forms of RFC 3339: 0 or ERR_PROTOCOL.
 * Below the millisecond: cut. */
int srt_rfc3339_parse(int64_t *out_ms, const char *text, size_t len);
/* "2026-11-24T04:01:25.574Z"; out holds at least 32 bytes. Years are held within 0000
 * and 9999. Returns out. */
char *srt_rfc3339_format(char *out, size_t cap, int64_t unix_ms);
/* "2027-03-31" as the last millisecond of that day, UTC: 0 or ERR_INVALID. */
int srt_date_parse(int64_t *out_ms, const char *text);
/* The three forms of RFC 9110 5.6.7: 0 or ERR_PROTOCOL. Years of two digits are 1970 to
 * 2069. */
int srt_http_date_parse(int64_t *out_ms, const char *text, size_t len);

/* An optional '-' and digits, nothing else, in [min, max]: 0 or ERR_INVALID. */
int srt_decimal_parse(int64_t *out, const char *text, size_t len, int64_t min,
                      int64_t max);
/* The value of a hexadecimal digit of either case; -1: none. */
int srt_hex_digit(char c);
/* For "did you mean": insertions, deletions, replacements and swaps of neighbours. A
 * word over 63 bytes is as far from any other as the longer of both is long. */
size_t srt_edit_distance(const char *a, const char *b);
/* The entry of list[0..n) nearest to word, or NULL when none is near. */
const char *srt_nearest(const char *word, const char *const *list, size_t n);

#endif
