/* Fills the caller's struct secretrt_error. The first, deepest message wins. */
#ifndef SRT_BASE_STATUS_H
#define SRT_BASE_STATUS_H

#include <secretrt/error.h>

#if defined(__GNUC__)
#define SRT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define SRT_USE __attribute__((warn_unused_result))
#else
#define SRT_PRINTF(fmt, args)
#define SRT_USE
#endif

/* err NULL ok. Zeroes it: status 0, message "", retry_after_ms -1. */
void srt_error_clear(struct secretrt_error *err);

/* Sets status, retryable (by status) and message unless err already holds a failure.
 * Returns status. Fixed formats only: never a body, header, token or value. */
int srt_fail(struct secretrt_error *err, int status, const char *format, ...)
    SRT_PRINTF(3, 4);
int srt_nomem(struct secretrt_error *err); /* srt_fail: ERR_NOMEM, "out of memory" */

/* Puts "prefix: " before a message that is there and does not begin with it yet. */
void srt_error_prefix(struct secretrt_error *err, const char *prefix);

int srt_status_retryable(int status); /* 1: TIMEOUT, UNAVAILABLE, THROTTLED, PENDING */

/* Foreign text into a message: printable ASCII only, others become '?', cut at cap-1
 * bytes (64 by convention). Always NUL-terminated. Returns out. */
#define SRT_FOREIGN_MAX 65
char *srt_text_clean(char *out, size_t cap, const char *text, size_t len);

/* Copies text into a fixed field, cut at cap-1, NUL-terminated. text NULL: "". */
void srt_text_copy(char *out, size_t cap, const char *text);

#endif
