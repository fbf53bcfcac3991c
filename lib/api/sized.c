#include "api/sized.h"
#include "base/status.h"
#include <string.h>

int srt_sized_copy(void *out, size_t own, const void *in, size_t size,
                   struct secretrt_error *err)
{
    const unsigned char *tail = (const unsigned char *)in + own;

    if (size < sizeof(size_t) * 2)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "a struct's size is not set: start from its _INIT");
    for (size_t i = own; i < size; i++, tail++)
        if (*tail != 0)
            return srt_fail(
                err, SECRETRT_ERR_UNSUPPORTED,
                "a struct asks for something that this library is too old for");
    memcpy(out, in, size < own ? size : own);
    return 0;
}
