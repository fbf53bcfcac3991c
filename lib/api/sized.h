/* Structs that a caller fills and that may be older or newer than ours. */
#ifndef SRT_API_SIZED_H
#define SRT_API_SIZED_H

#include <secretrt/error.h>
#include <stddef.h>

/* Copies min(size, own) over the defaults in out. ERR_INVALID: size is 0, or a larger
 * struct says something that this library does not know. */
int srt_sized_copy(void *out, size_t own, const void *in, size_t size,
                   struct secretrt_error *err);

#endif
