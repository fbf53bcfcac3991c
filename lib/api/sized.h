/* Structs that a caller fills and that may be older or newer than ours. */
#ifndef SRT_API_SIZED_H
#define SRT_API_SIZED_H

#include <secretrt/error.h>
#include <stddef.h>

/* Copies min(size, own) over the defaults in out. ERR_INVALID: size is not set, or is
 * senseless. ERR_UNSUPPORTED: as srt_sized_known. */
int srt_sized_copy(void *out, size_t own, const void *in, size_t size,
                   struct secretrt_error *err);

/* 0 unless the struct is larger than ours and its tail is not zero: then it asks for
 * something that this library does not know. ERR_INVALID, ERR_UNSUPPORTED. */
int srt_sized_known(const void *in, size_t own, size_t size,
                    struct secretrt_error *err);

#endif
