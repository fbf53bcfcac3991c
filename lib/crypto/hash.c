#include "crypto/hash.h"
#include "mem/wipe.h"
#include <mbedtls/md.h>
#include <secretrt/error.h>

/* mbedtls_md and mbedtls_md_hmac make, wipe and free a context per call. */

int srt_sha256(uint8_t out[SRT_SHA256_LEN], const void *data, size_t len)
{
    const mbedtls_md_info_t *info = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
    int rc = mbedtls_md(info, len > 0 ? data : (const void *)"", len, out);

    return rc == 0 ? 0 : SECRETRT_ERR_NOMEM;
}

int srt_hmac_sha256(uint8_t out[SRT_SHA256_LEN], const void *key, size_t key_len,
                    const void *data, size_t len)
{
    const mbedtls_md_info_t *info = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
    int rc = mbedtls_md_hmac(info, key_len > 0 ? key : (const void *)"", key_len,
                             len > 0 ? data : (const void *)"", len, out);

    srt_scrub();
    return rc == 0 ? 0 : SECRETRT_ERR_NOMEM;
}

void srt_hex(char *out, const uint8_t *data, size_t len)
{
    static const char digit[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digit[data[i] >> 4];
        out[2 * i + 1] = digit[data[i] & 15];
    }
    out[2 * len] = '\0';
}
