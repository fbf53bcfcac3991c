/* Hashes over mbedTLS with per-call contexts, no PSA (2.28 and 3.6). */
#ifndef SRT_CRYPTO_HASH_H
#define SRT_CRYPTO_HASH_H

#include <stddef.h>
#include <stdint.h>

#define SRT_SHA256_LEN 32
#define SRT_SHA256_HEX 65 /* with the NUL */

/* 0 or ERR_NOMEM. */
int srt_sha256(uint8_t out[SRT_SHA256_LEN], const void *data, size_t len);
int srt_hmac_sha256(uint8_t out[SRT_SHA256_LEN], const void *key, size_t key_len,
                    const void *data, size_t len);
/* 2 * len lower-case digits and a NUL. */
void srt_hex(char *out, const uint8_t *data, size_t len);

#endif
