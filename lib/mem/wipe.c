#include "mem/wipe.h"
#include <string.h>

#define WIPE_STACK (8 * 1024)

void srt_wipe(void *data, size_t len)
{
    if (len == 0)
        return;
    memset(data, 0, len);
    /* The bytes count as read here, so the store above is never dead. */
    __asm__ volatile("" : : "r"(data) : "memory");
}

__attribute__((noinline)) void srt_stack_scrub(void)
{
    char below[WIPE_STACK];

    srt_wipe(below, sizeof(below));
}

int srt_equal_ct(const void *a, const void *b, size_t len)
{
    const volatile unsigned char *x = a;
    const volatile unsigned char *y = b;
    unsigned diff = 0;

    for (size_t i = 0; i < len; i++)
        diff |= (unsigned)(x[i] ^ y[i]);
    return diff == 0;
}
