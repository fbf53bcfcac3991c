#include "codec/json_scan.h"
#include "codec/text.h"
#include "codec/utf8.h"
#include <secretrt/error.h>
#include <string.h>

#define JSON_SCAN_UNIT 6 /* "\\ud83d" */

void srt_json_scan_init(struct srt_json_scan *scan, const char *text, size_t len,
                        unsigned comments)
{
    memset(scan, 0, sizeof(*scan));
    scan->text = text;
    scan->len = len;
    scan->comments = comments;
    scan->line = 1;
    scan->column = 1;
}

void srt_json_scan_to(struct srt_json_scan *scan, size_t at)
{
    unsigned char byte;

    for (; scan->at < at && scan->at < scan->len; scan->at++) {
        byte = (unsigned char)scan->text[scan->at];
        if (byte == '\n') {
            scan->line++;
            scan->column = 1;
        } else if ((byte & 0xC0) != 0x80) {
            scan->column++;
        }
    }
}

/* Bytes of a comment at the start of text, 0: none, or one without an end. */
static size_t json_scan_comment(const char *text, size_t len)
{
    const char *end;

    if (len < 2 || text[0] != '/')
        return 0;
    if (text[1] == '/') {
        end = memchr(text, '\n', len);
        return end != NULL ? (size_t)(end - text) + 1 : len;
    }
    end = text[1] == '*' ? memmem(text + 2, len - 2, "*/", 2) : NULL;
    return end != NULL ? (size_t)(end - text) + 2 : 0;
}

size_t srt_json_scan_gap(const struct srt_json_scan *scan, size_t at)
{
    size_t comment;

    while (at < scan->len) {
        if (scan->text[at] != '\0' && strchr(" \t\r\n,:", scan->text[at]) != NULL) {
            at++;
            continue;
        }
        comment =
            scan->comments ? json_scan_comment(scan->text + at, scan->len - at) : 0;
        if (comment == 0)
            break;
        at += comment;
    }
    return at;
}

/* The value of "\uXXXX" at the start of text, or -1. */
static int json_scan_unit(const char *text, size_t len)
{
    int value = 0;
    int digit;

    if (len < JSON_SCAN_UNIT || text[0] != '\\' || text[1] != 'u')
        return -1;
    for (size_t i = 2; i < JSON_SCAN_UNIT; i++) {
        digit = srt_hex_digit(text[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Bytes of the escape at the start of text, 0: half a surrogate pair. Whether the
 * escape exists is the parser's question. */
static size_t json_scan_escape(const char *text, size_t len)
{
    int high = json_scan_unit(text, len);
    int low;

    if (high < 0)
        return len > 1 && (text[1] == '"' || text[1] == '\\') ? 2 : 1;
    if (high < 0xD800 || high > 0xDFFF)
        return JSON_SCAN_UNIT;
    low = high <= 0xDBFF ? json_scan_unit(text + JSON_SCAN_UNIT, len - JSON_SCAN_UNIT)
                         : -1;
    return low >= 0xDC00 && low <= 0xDFFF ? 2 * JSON_SCAN_UNIT : 0;
}

/* Bytes of the item at the start of text, 0: it is unsound, *problem says how. */
static size_t json_scan_item(const char *text, size_t len, const char **problem)
{
    unsigned char byte = (unsigned char)text[0];

    if (byte == '\\') {
        *problem = "JSON has half a surrogate pair";
        return json_scan_escape(text, len);
    }
    if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') {
        *problem = "JSON has a control character";
        return 0;
    }
    *problem = "JSON is not UTF-8";
    return srt_utf8_len(text, len);
}

/* Each string lies between two quotes that no backslash precedes, so the widest such
 * distance bounds it. Comments may hold quotes of their own, and one that has no end
 * is a token that the text's end cuts. */
int srt_json_scan_check(struct srt_json_scan *scan, size_t *longest)
{
    size_t quote = 0;
    size_t at = 0;
    size_t n;

    *longest = 0;
    while (at < scan->len) {
        n = json_scan_item(scan->text + at, scan->len - at, &scan->problem);
        if (n == 0) {
            srt_json_scan_to(scan, at);
            scan->status = SECRETRT_ERR_PROTOCOL;
            return 0;
        }
        if (scan->text[at] == '"') {
            *longest = at - quote > *longest ? at - quote : *longest;
            quote = at;
        }
        at += n;
    }
    if (scan->comments || scan->len - quote > *longest)
        *longest = scan->comments ? scan->len : scan->len - quote;
    return 1;
}
