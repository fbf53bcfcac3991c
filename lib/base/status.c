#include "base/status.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct status_row {
    int value;
    int retryable;
    const char *text;
};

#define SRT_STATUS(name, value, text, retryable) {value, retryable, text},
static const struct status_row status_rows[] = {
#include "base/status.def"
};
#undef SRT_STATUS

#define SRT_STATUS(name, value, text, retryable)                                       \
    _Static_assert((int)SECRETRT_##name == (value), "not as in error.h");
#include "base/status.def"
#undef SRT_STATUS

static const struct status_row *status_row(int status)
{
    for (size_t i = 0; i < sizeof(status_rows) / sizeof(status_rows[0]); i++) {
        if (status_rows[i].value == status)
            return &status_rows[i];
    }
    return NULL;
}

const char *secretrt_version(void)
{
    return SECRETRT_VERSION;
}

const char *secretrt_status_name(int status)
{
    const struct status_row *row = status_row(status);

    return row != NULL ? row->text : "unknown";
}

int srt_status_retryable(int status)
{
    const struct status_row *row = status_row(status);

    return row != NULL && row->retryable;
}

/* What was cut at a byte must not end in half a UTF-8 sequence: bindings decode it. */
static void status_cut_tail(char *text)
{
    size_t len = strlen(text);
    size_t tail = 0;
    size_t want = 0;
    unsigned char lead;

    while (tail < 3 && tail < len &&
           ((unsigned char)text[len - 1 - tail] & 0xC0) == 0x80)
        tail++;
    if (tail == len)
        return;
    lead = (unsigned char)text[len - 1 - tail];
    if (lead >= 0xF0)
        want = 3;
    else if (lead >= 0xE0)
        want = 2;
    else if (lead >= 0xC0)
        want = 1;
    if (want > tail)
        text[len - 1 - tail] = '\0';
}

/* A name from the configuration may hold a line feed; a message is one line. */
static void status_one_line(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            *text = '?';
    }
}

void srt_error_clear(struct secretrt_error *err)
{
    if (err == NULL)
        return;
    memset(err, 0, sizeof(*err));
    err->retry_after_ms = -1;
}

int srt_fail(struct secretrt_error *err, int status, const char *format, ...)
{
    va_list args;
    int n;

    if (err == NULL || err->status != 0)
        return status;
    err->status = status;
    err->retryable = srt_status_retryable(status);
    va_start(args, format);
    n = vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    if (n < 0)
        err->message[0] = '\0';
    else if ((size_t)n >= sizeof(err->message))
        status_cut_tail(err->message);
    status_one_line(err->message);
    return status;
}

int srt_nomem(struct secretrt_error *err)
{
    return srt_fail(err, SECRETRT_ERR_NOMEM, "out of memory");
}

void srt_error_prefix(struct secretrt_error *err, const char *prefix)
{
    char old[sizeof(err->message)];
    size_t len;
    int n;

    if (err == NULL || prefix == NULL || err->message[0] == '\0')
        return;
    len = strlen(prefix);
    if (strncmp(err->message, prefix, len) == 0 &&
        strncmp(err->message + len, ": ", 2) == 0)
        return;
    memcpy(old, err->message, sizeof(old));
    n = snprintf(err->message, sizeof(err->message), "%s: %s", prefix, old);
    if (n < 0)
        err->message[0] = '\0';
    else if ((size_t)n >= sizeof(err->message))
        status_cut_tail(err->message);
    status_one_line(err->message);
}

char *srt_text_clean(char *out, size_t cap, const char *text, size_t len)
{
    size_t i;

    if (cap == 0)
        return out;
    for (i = 0; i < len && i < cap - 1; i++)
        out[i] = (char)(text[i] >= 0x20 && text[i] < 0x7F ? text[i] : '?');
    out[i] = '\0';
    return out;
}

void srt_text_copy(char *out, size_t cap, const char *text)
{
    size_t len;

    if (cap == 0)
        return;
    len = text != NULL ? strnlen(text, cap) : 0;
    if (len < cap) {
        if (len > 0)
            memcpy(out, text, len);
        out[len] = '\0';
        return;
    }
    memcpy(out, text, cap - 1);
    out[cap - 1] = '\0';
    status_cut_tail(out);
}
