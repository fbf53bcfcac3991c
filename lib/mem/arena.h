/* The process's protected memory: secret bytes live here and nowhere else.
 * memfd_secret(2) where the kernel has it, else anonymous memory with mlock and
 * MADV_DONTDUMP; guard pages; MADV_DONTFORK; wiped on free. Thread-safe. */
#ifndef SRT_MEM_ARENA_H
#define SRT_MEM_ARENA_H

#include <stddef.h>
#include <stdint.h>

enum srt_arena_level {
    SRT_ARENA_NONE = 0,   /* nothing mapped yet */
    SRT_ARENA_PLAIN = 1,  /* mlock refused: DONTDUMP and wipe only */
    SRT_ARENA_LOCKED = 2, /* anonymous, mlocked */
    SRT_ARENA_SECRET = 3  /* memfd_secret */
};

struct srt_arena_stats {
    int level;             /* the weakest enum srt_arena_level of a chunk in use */
    size_t used;           /* bytes handed out of chunks: blocks of 64, 80, 96 ... */
    size_t mapped;         /* bytes of all chunks */
    size_t large;          /* bytes in wiped, unlocked mappings (blocks over 64 KiB) */
    uint64_t lock_refused; /* chunks for which mlock was refused */
};

void *srt_arena_alloc(size_t len); /* 16-aligned, zeroed; NULL when out of memory */
/* As realloc, but never shrinks; the old place is wiped. NULL: ptr intact, or ptr is a
 * block of the parent process. */
void *srt_arena_grow(void *ptr, size_t len);
/* Wipes; NULL ok; in a forked child does nothing for the parent's blocks. */
void srt_arena_free(void *ptr);
int srt_arena_owns(const void *ptr); /* 1: inside the arena (tests, assertions) */
void srt_arena_stats_get(struct srt_arena_stats *out);
/* Maps the first chunk if need be; returns its level, SRT_ARENA_NONE: out of memory. */
int srt_arena_probe(void);

/* For pthread_atfork (io/fork.c): prepare takes the lock, parent gives it, child starts
 * afresh: the parent's chunks are not mapped here and their blocks are dropped. */
void srt_arena_fork_prepare(void);
void srt_arena_fork_parent(void);
void srt_arena_fork_child(void);
/* Raised by one in each forked child: what was made under another number is gone. */
uint32_t srt_fork_stamp(void);

/* Fault injection for tests: the Nth srt_arena_alloc (or grow that must move) from now
 * fails once (0: off). */
void srt_arena_fail_after(size_t n);
/* For tests, before the first use: goes no higher than level, as if memfd_secret were
 * absent (LOCKED) and mlock refused too (PLAIN). */
void srt_arena_force_level(int level);

#endif
