#include "codec/text.h"
#include "mem/wipe.h"
#include <secretrt/error.h>
#include <stdint.h>

void srt_base64_encode(struct srt_secbuf *out, const void *data, size_t len)
{
    static const char digit[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *byte = data;
    char quad[4];
    uint32_t bits = 0;
    size_t n;

    for (size_t i = 0; i < len; i += 3) {
        n = len - i < 3 ? len - i : 3;
        bits = (uint32_t)byte[i] << 16;
        bits |= n > 1 ? (uint32_t)byte[i + 1] << 8 : 0;
        bits |= n > 2 ? byte[i + 2] : 0;
        quad[0] = digit[bits >> 18];
        quad[1] = digit[bits >> 12 & 63];
        quad[2] = (char)(n > 1 ? digit[bits >> 6 & 63] : '=');
        quad[3] = (char)(n > 2 ? digit[bits & 63] : '=');
        srt_secbuf_add(out, quad, sizeof(quad));
    }
    srt_wipe(quad, sizeof(quad));
    srt_wipe(&bits, sizeof(bits));
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

/* Digits of text without its padding, 0 when text is not base64. Leftover bits must be
 * zero: they are the mark of a value that was cut. */
static int base64_check(const char *text, size_t len, size_t *digits)
{
    size_t n = len;
    int standard = 0;
    int url = 0;
    int rest;

    while (n > 0 && len - n < 2 && text[n - 1] == '=')
        n--;
    if ((n != len && len % 4 != 0) || n % 4 == 1)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (base64_value(text[i]) < 0)
            return 0;
        standard |= text[i] == '+' || text[i] == '/';
        url |= text[i] == '-' || text[i] == '_';
    }
    rest = n % 4 == 2 ? 15 : n % 4 == 3 ? 3 : 0;
    *digits = n;
    return !(standard && url) && (rest == 0 || (base64_value(text[n - 1]) & rest) == 0);
}

int srt_base64_decode(struct srt_secbuf *out, const char *text, size_t len)
{
    unsigned char triple[3];
    uint32_t bits = 0;
    size_t digits;
    size_t n;

    if (!base64_check(text, len, &digits))
        return SECRETRT_ERR_PROTOCOL;
    for (size_t i = 0; i < digits; i += 4) {
        n = digits - i < 4 ? digits - i : 4;
        bits = 0;
        for (size_t k = 0; k < 4; k++)
            bits = bits << 6 | (k < n ? (uint32_t)base64_value(text[i + k]) : 0);
        triple[0] = (unsigned char)(bits >> 16 & 255);
        triple[1] = (unsigned char)(bits >> 8 & 255);
        triple[2] = (unsigned char)(bits & 255);
        srt_secbuf_add(out, triple, n - 1);
    }
    srt_wipe(triple, sizeof(triple));
    srt_wipe(&bits, sizeof(bits));
    return out->status;
}
