/* Zeroing that the compiler keeps. */
#ifndef SRT_MEM_WIPE_H
#define SRT_MEM_WIPE_H

#include <stddef.h>

void srt_wipe(void *data, size_t len);
/* Overwrites about 8 KiB of stack below the caller and the vector registers: after
 * parsing or signing, and before a thread sleeps. */
void srt_scrub(void);
int srt_equal_ct(const void *a, const void *b,
                 size_t len); /* constant time; 1: equal */

#endif
