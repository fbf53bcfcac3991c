/* What this library holds true of HTTP whatever executes it: which hosts may be spoken
 * to how, and which lines of an answer's head count. */
#ifndef SRT_IO_HTTP_RULES_H
#define SRT_IO_HTTP_RULES_H

#include "engine/wire.h"
#include <stddef.h>
#include <stdint.h>

enum srt_host_kind {
    SRT_HOST_PUBLIC = 0,
    SRT_HOST_LOOPBACK,  /* plain http allowed, never by proxy */
    SRT_HOST_METADATA,  /* a cloud's fixed address: the same */
    SRT_HOST_LINK_LOCAL /* never by proxy, no plain http */
};

/* host: as in a URL, a literal IPv6 address in brackets. */
enum srt_host_kind srt_host_kind(const char *host);
int srt_host_is_literal(const char *host); /* 1: an address, nothing to resolve */
int srt_http_allowed(const char *scheme, enum srt_host_kind kind); /* 1: may be sent */

/* The head of an answer, as far as it matters. */
struct srt_http_head {
    size_t len; /* of all lines so far, interim answers included */
    int began;  /* 1: a status line was seen */
    int ended;  /* 1: the empty line was seen */
    char content_type[64];
    char request_id[64];
    char retry_after[40];
    char date[40];
};
#define SRT_HTTP_HEAD_MAX ((size_t)64 * 1024)

/* 0, or ERR_PROTOCOL once the ceiling is passed. line: with its line end. */
int srt_http_head_line(struct srt_http_head *head, const char *line, size_t len);
int64_t srt_http_retry_seconds(const char *text); /* -1: it is no plain number */
int64_t srt_http_retry_until(int64_t until_ms,
                             int64_t now_ms); /* seconds, from a date */

#endif
