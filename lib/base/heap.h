/* Intrusive binary heap of deadlines: the earliest first. */
#ifndef SRT_BASE_HEAP_H
#define SRT_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#define SRT_NEVER INT64_MAX

struct srt_timer {
    int64_t at_ms; /* boot clock; SRT_NEVER when idle */
    size_t slot;   /* 1-based place in the heap; 0: not in it */
};

struct srt_heap {
    struct srt_timer **item;
    size_t n;
    size_t cap;
};

void srt_heap_init(struct srt_heap *heap);
/* Reserves room for n timers in all, so that later sets can't fail. 0 or ERR_NOMEM. */
int srt_heap_reserve(struct srt_heap *heap, size_t n);
/* Inserts or moves; SRT_NEVER removes. Room must have been reserved. */
void srt_heap_set(struct srt_heap *heap, struct srt_timer *timer, int64_t at_ms);
struct srt_timer *srt_heap_first(const struct srt_heap *heap); /* NULL: empty */
void srt_heap_wipe(struct srt_heap *heap); /* frees the array, not the timers */

#endif
