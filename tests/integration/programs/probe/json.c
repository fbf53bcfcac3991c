/* Answers as JSON. */
#include "probe.h"
#include <mbedtls/md.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *text;
static size_t used, room;
static int first;

int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void sleep_ms(int64_t ms)
{
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

    while (nanosleep(&t, &t) != 0)
        ;
}

static void put(const char *data, size_t len)
{
    if (used + len + 1 > room) {
        room = (used + len + 1) * 2;
        text = realloc(text, room);
        if (text == NULL)
            abort();
    }
    memcpy(text + used, data, len);
    used += len;
    text[used] = '\0';
}

static void put_string(const char *data)
{
    char escape[8];

    put("\"", 1);
    for (; *data != '\0'; data++) {
        unsigned char c = (unsigned char)*data;

        if (c == '"' || c == '\\') {
            escape[0] = '\\';
            escape[1] = (char)c;
            put(escape, 2);
        } else if (c < 0x20 || c == 0x7f) {
            snprintf(escape, sizeof(escape), "\\u%04x", c);
            put(escape, 6);
        } else {
            put(data, 1);
        }
    }
    put("\"", 1);
}

static void put_key(const char *key)
{
    if (!first)
        put(",", 1);
    first = 0;
    if (key != NULL) {
        put_string(key);
        put(":", 1);
    }
}

void out_begin(void)
{
    used = 0;
    first = 1;
    put("{", 1);
}

void out_open(const char *key, char bracket)
{
    put_key(key);
    put(&bracket, 1);
    first = 1;
}

void out_close(char bracket)
{
    put(&bracket, 1);
    first = 0;
}

void out_text(const char *key, const char *value)
{
    put_key(key);
    if (value == NULL)
        put("null", 4);
    else
        put_string(value);
}

void out_bytes_len_hash(const char *key, const char *data, size_t len)
{
    unsigned char digest[32];
    char hex[65];

    mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256),
               (const unsigned char *)data, len, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    out_open(key, '{');
    out_number("len", (int64_t)len);
    out_text("sha256", hex);
    out_close('}');
}

void out_number(const char *key, int64_t number)
{
    char digits[32];
    int n = snprintf(digits, sizeof(digits), "%lld", (long long)number);

    put_key(key);
    put(digits, (size_t)n);
}

void out_flag(const char *key, int flag)
{
    put_key(key);
    put(flag ? "true" : "false", flag ? 4 : 5);
}

void out_status(int status)
{
    out_text("status", secretrt_status_name(status));
}

void out_error(const struct secretrt_error *err)
{
    out_status(err->status);
    if (err->status == 0)
        return;
    out_number("http_status", err->http_status);
    out_number("os_errno", err->os_errno);
    out_flag("retryable", err->retryable);
    out_number("retry_after_ms", err->retry_after_ms);
    out_text("provider", err->provider);
    out_text("request_id", err->request_id);
    out_text("message", err->message);
}

void out_end(void)
{
    put("}\n", 2);
    fwrite(text, 1, used, stdout);
    fflush(stdout);
}
