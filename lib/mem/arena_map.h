/* One protected mapping: the arena's chunks and its large blocks are made of these. */
#ifndef SRT_MEM_ARENA_MAP_H
#define SRT_MEM_ARENA_MAP_H

#include "mem/arena.h"

struct srt_span {
    char *base; /* between two guard pages */
    size_t len; /* whole pages */
    int level;  /* enum srt_arena_level */
};

/* Zeroed, of the best level up to best that the system grants, not dumped, not given to
 * forked children. 0 or -1 when out of memory. */
int srt_span_map(struct srt_span *out, size_t len, int best);
void srt_span_unmap(const struct srt_span *span);
/* Makes it unreadable for good. */
void srt_span_close(const struct srt_span *span);
/* In a forked child, where the span is a hole: puts an unreadable mapping there, so
 * that no later one gets its addresses. -1 when something is there already. */
int srt_span_hold(const struct srt_span *span);

#endif
