#include "api/sized.h"
#include "base/status.h"
#include <string.h>

#define SIZED_MAX 4096 /* no struct of ours will ever be that large */

int srt_sized_known(const void *in, size_t own, size_t size, struct secretrt_error *err)
{
    const unsigned char *bytes = in;

    if (size < sizeof(size_t) * 2 || size > SIZED_MAX)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "a struct's size is not set: start from its _INIT");
    for (size_t i = own; i < size; i++)
        if (bytes[i] != 0)
            return srt_fail(
                err, SECRETRT_ERR_UNSUPPORTED,
                "a struct asks for something that this library is too old for");
    return 0;
}

int srt_sized_copy(void *out, size_t own, const void *in, size_t size,
                   struct secretrt_error *err)
{
    int rc = srt_sized_known(in, own, size, err);

    if (rc == 0)
        memcpy(out, in, size < own ? size : own);
    return rc;
}
