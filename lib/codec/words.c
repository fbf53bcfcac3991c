#include "codec/text.h"
#include <secretrt/error.h>
#include <string.h>

#define WORDS_LEN_MAX 63

int srt_decimal_parse(int64_t *out, const char *text, size_t len, int64_t min,
                      int64_t max)
{
    int negative = len > 0 && text[0] == '-';
    size_t at = negative ? 1 : 0;
    int64_t value = 0;
    int digit;

    if (at == len)
        return SECRETRT_ERR_INVALID;
    /* Counted downwards, since INT64_MIN has no positive twin. */
    for (; at < len; at++) {
        digit = text[at] - '0';
        if (digit < 0 || digit > 9 || value < (INT64_MIN + digit) / 10)
            return SECRETRT_ERR_INVALID;
        value = value * 10 - digit;
    }
    if (!negative && value == INT64_MIN)
        return SECRETRT_ERR_INVALID;
    value = negative ? value : -value;
    if (value < min || value > max)
        return SECRETRT_ERR_INVALID;
    *out = value;
    return 0;
}

int srt_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static size_t words_least(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

size_t srt_edit_distance(const char *a, const char *b)
{
    size_t row[3][WORDS_LEN_MAX + 1] = {{0}};
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    size_t *now = row[0];
    size_t *last = row[1];
    size_t *older = row[2];
    size_t *spare;

    if (a_len > WORDS_LEN_MAX || b_len > WORDS_LEN_MAX)
        return a_len > b_len ? a_len : b_len;
    for (size_t j = 0; j <= b_len; j++)
        now[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        spare = older;
        older = last;
        last = now;
        now = spare;
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            now[j] = words_least(last[j] + 1, now[j - 1] + 1,
                                 last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                older[j - 2] + 1 < now[j])
                now[j] = older[j - 2] + 1;
        }
    }
    return now[b_len];
}

const char *srt_nearest(const char *word, const char *const *list, size_t n)
{
    size_t len = strlen(word);
    size_t best = len < 2 ? 1 : len < 6 ? 2 : len / 3 + 1; /* a third may be wrong */
    const char *nearest = NULL;
    size_t distance;

    for (size_t i = 0; i < n; i++) {
        distance = srt_edit_distance(word, list[i]);
        if (distance < best) {
            best = distance;
            nearest = list[i];
        }
    }
    return nearest;
}
