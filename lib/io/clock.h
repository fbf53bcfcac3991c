/* The clocks and the random source of the real world. */
#ifndef SRT_IO_CLOCK_H
#define SRT_IO_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t
srt_clock_boot_ms(void); /* CLOCK_BOOTTIME: counts suspended time, never steps */
int64_t srt_clock_wall_ms(void); /* CLOCK_REALTIME: Unix time, may step */
/* From the kernel. Ends the process where there is no random source at all: a guessable
 * key or nonce would be worse. */
void srt_clock_random(void *out, size_t len);

#endif
