#include "codec/utf8.h"
#include <stdint.h>

/* The lowest code point of each length: anything below is an overlong form. */
static const uint32_t utf8_least[5] = {0, 0, 0x80, 0x800, 0x10000};

size_t srt_utf8_len(const char *text, size_t len)
{
    const unsigned char *byte = (const unsigned char *)text;
    uint32_t point;
    size_t n;

    if (len == 0)
        return 0;
    if (byte[0] < 0x80)
        return 1;
    if (byte[0] >= 0xC0 && byte[0] < 0xE0)
        n = 2;
    else if (byte[0] >= 0xE0 && byte[0] < 0xF0)
        n = 3;
    else if (byte[0] >= 0xF0 && byte[0] < 0xF8)
        n = 4;
    else
        return 0;
    if (n > len)
        return 0;
    point = byte[0] & (0xFFU >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((byte[i] & 0xC0) != 0x80)
            return 0;
        point = point << 6 | (byte[i] & 0x3FU);
    }
    if (point < utf8_least[n] || point > 0x10FFFF ||
        (point >= 0xD800 && point <= 0xDFFF))
        return 0;
    return n;
}

int srt_utf8_valid(const char *text, size_t len)
{
    size_t at = 0;
    size_t n;

    while (at < len) {
        n = srt_utf8_len(text + at, len - at);
        if (n == 0)
            return 0;
        at += n;
    }
    return 1;
}
