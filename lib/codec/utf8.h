/* UTF-8, strictly by RFC 3629: no overlong forms, no surrogates, nothing over U+10FFFF.
 */
#ifndef SRT_CODEC_UTF8_H
#define SRT_CODEC_UTF8_H

#include <stddef.h>

/* Bytes of the character at the start of text[0..len), 0 when it is not one. */
size_t srt_utf8_len(const char *text, size_t len);
int srt_utf8_valid(const char *text, size_t len); /* 1: all of it */

#endif
