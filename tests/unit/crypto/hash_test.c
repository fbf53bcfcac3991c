#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/hash.h"

static void check_sha256(const void *data, size_t len, const char *expected)
{
    uint8_t sum[SRT_SHA256_LEN];
    char hex[SRT_SHA256_HEX];

    assert_int_equal(srt_sha256(sum, data, len), 0);
    srt_hex(hex, sum, sizeof(sum));
    assert_string_equal(hex, expected);
}

static void check_hmac(const char *key, size_t key_len, const char *data, size_t len,
                       const char *expected)
{
    uint8_t sum[SRT_SHA256_LEN];
    char hex[SRT_SHA256_HEX];

    assert_int_equal(srt_hmac_sha256(sum, key, key_len, data, len), 0);
    srt_hex(hex, sum, sizeof(sum));
    assert_string_equal(hex, expected);
}

/* FIPS 180-4's examples. */
static void sha256_vectors(void **state)
{
    static char million[1000000];

    (void)state;
    memset(million, 'a', sizeof(million));
    check_sha256("abc", 3,
                 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check_sha256(million, sizeof(million),
                 "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    check_sha256(NULL, 0,
                 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 4231, cases 1 to 4, 6 and 7. */
static void hmac_vectors(void **state)
{
    char key[131];
    char data[50];

    (void)state;
    memset(key, 0x0b, 20);
    check_hmac(key, 20, "Hi There", 8,
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    check_hmac("Jefe", 4, "what do ya want for nothing?", 28,
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    memset(data, 0xdd, sizeof(data));
    check_hmac(key, 20, data, 50,
               "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    check_hmac(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    check_hmac(key, 131,
               "This is a test using a larger than block-size key and a larger than "
               "block-size data. The key needs to be hashed before being used by the "
               "HMAC algorithm.",
               152, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
    for (size_t i = 0; i < 25; i++)
        key[i] = (char)(i + 1);
    memset(data, 0xcd, sizeof(data));
    check_hmac(key, 25, data, 50,
               "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
}

static void an_empty_key_and_no_data_are_allowed(void **state)
{
    (void)state;
    check_hmac(NULL, 0, NULL, 0,
               "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void hex_is_lower_case(void **state)
{
    const uint8_t bytes[] = {0x00, 0x0F, 0xA0, 0xFF};
    char out[9];

    (void)state;
    srt_hex(out, bytes, sizeof(bytes));
    assert_string_equal(out, "000fa0ff");
    srt_hex(out, NULL, 0);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_vectors),
        cmocka_unit_test(hmac_vectors),
        cmocka_unit_test(an_empty_key_and_no_data_are_allowed),
        cmocka_unit_test(hex_is_lower_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
