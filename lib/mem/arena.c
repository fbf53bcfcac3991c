#include "mem/arena.h"
#include "base/alloc.h"
#include "base/lock.h"
#include "mem/arena_map.h"
#include "mem/wipe.h"
#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define ARENA_POISON(ptr, len) ASAN_POISON_MEMORY_REGION(ptr, len)
#define ARENA_UNPOISON(ptr, len) ASAN_UNPOISON_MEMORY_REGION(ptr, len)
#else
#define ARENA_POISON(ptr, len) ((void)(ptr), (void)(len))
#define ARENA_UNPOISON(ptr, len) ((void)(ptr), (void)(len))
#endif

#define ARENA_GRAIN 16u
#define ARENA_CHUNK_MIN ((size_t)32 * 1024)
#define ARENA_CHUNK_MAX ((size_t)1024 * 1024)
#define ARENA_LARGE ((size_t)64 * 1024) /* above it a block is a mapping of its own */
#define ARENA_LEAST 4u                  /* grains: a free run must hold its links */
#define ARENA_CLASSES 60u               /* of length, four to each power of two */
#define ARENA_TRIES 8u

/* A tag stands at a run's first and last grain. A free run's second and third hold its
 * links: a grain's number plus 1, 0 for none. All other tags are 0. */
#define ARENA_FIRST 0x80000000u
#define ARENA_USED 0x40000000u
#define ARENA_LEN 0x3fffffffu

/* Heads and tags are on the heap: a forked child needs them, and has no chunks. */
struct arena_chunk {
    struct arena_chunk *next;
    struct srt_span span;
    uint32_t *tag; /* NULL: one large block */
    uint32_t grains;
    uint32_t head[ARENA_CLASSES]; /* links: the free runs of a class */
    uint64_t filled;              /* bit k: head[k] is not 0 */
};

static struct {
    struct srt_lock lock;
    struct arena_chunk *chunks; /* oldest first */
    struct arena_chunk *large;
    struct arena_chunk *dead; /* the parent's, whose addresses could not be held */
    size_t next_len;
    int best;
    size_t fail_after;
    struct srt_arena_stats stats;
    _Atomic uint32_t stamp;
} arena_state = {.lock = SRT_LOCK_INIT,
                 .next_len = ARENA_CHUNK_MIN,
                 .best = SRT_ARENA_SECRET,
                 .stamp = 1};

static unsigned arena_class(uint32_t len)
{
    unsigned log = 31u - (unsigned)__builtin_clz(len);

    return (log - 2) * 4 + ((len >> (log - 2)) & 3);
}

static char *arena_at(const struct arena_chunk *chunk, uint32_t grain)
{
    return chunk->span.base + (size_t)grain * ARENA_GRAIN;
}

static struct arena_chunk *arena_find(struct arena_chunk *list, const void *ptr)
{
    for (; list != NULL; list = list->next) {
        if ((uintptr_t)ptr - (uintptr_t)list->span.base < list->span.len)
            return list;
    }
    return NULL;
}

/* Stale pointers into a dead range must find nothing there, so none is used again. */
static int arena_map(struct srt_span *out, size_t len, int best)
{
    const struct arena_chunk *dead = NULL;

    for (;;) {
        if (srt_span_map(out, len, best) != 0)
            return -1;
        for (dead = arena_state.dead; dead != NULL; dead = dead->next) {
            if (out->base < dead->span.base + dead->span.len &&
                dead->span.base < out->base + out->len)
                break;
        }
        if (dead == NULL)
            return 0;
        srt_span_close(out);
    }
}

static void arena_mark(struct arena_chunk *chunk, uint32_t at, uint32_t len,
                       uint32_t used)
{
    chunk->tag[at + len - 1] = len | used;
    chunk->tag[at] = len | used | ARENA_FIRST;
}

static void arena_link(struct arena_chunk *chunk, uint32_t at, uint32_t len)
{
    unsigned k = arena_class(len);
    uint32_t next = chunk->head[k];

    arena_mark(chunk, at, len, 0);
    chunk->tag[at + 1] = next;
    chunk->tag[at + 2] = 0;
    if (next != 0)
        chunk->tag[next + 1] = at + 1;
    chunk->head[k] = at + 1;
    chunk->filled |= (uint64_t)1 << k;
}

/* Returns its length. */
static uint32_t arena_unlink(struct arena_chunk *chunk, uint32_t at)
{
    uint32_t *tag = chunk->tag;
    uint32_t len = tag[at] & ARENA_LEN;
    unsigned k = arena_class(len);
    uint32_t next = tag[at + 1];
    uint32_t prev = tag[at + 2];

    if (next != 0)
        tag[next + 1] = prev;
    if (prev != 0)
        tag[prev] = next;
    else
        chunk->head[k] = next;
    if (chunk->head[k] == 0)
        chunk->filled &= ~((uint64_t)1 << k);
    tag[at] = tag[at + 1] = tag[at + 2] = tag[at + len - 1] = 0;
    return len;
}

static struct arena_chunk *arena_chunk_new(size_t least)
{
    struct arena_chunk *chunk = srt_alloc(sizeof(*chunk));
    struct arena_chunk **tail = &arena_state.chunks;
    size_t len = arena_state.next_len;

    if (chunk == NULL)
        return NULL;
    while (len < least)
        len *= 2;
    chunk->tag = srt_alloc_array(len / ARENA_GRAIN, sizeof(*chunk->tag));
    if (chunk->tag == NULL || arena_map(&chunk->span, len, arena_state.best) != 0) {
        srt_free(chunk->tag);
        srt_free(chunk);
        return NULL;
    }
    chunk->grains = (uint32_t)(len / ARENA_GRAIN);
    arena_link(chunk, 0, chunk->grains);
    ARENA_POISON(chunk->span.base, chunk->span.len);
    while (*tail != NULL)
        tail = &(*tail)->next;
    *tail = chunk;
    arena_state.next_len = len < ARENA_CHUNK_MAX ? 2 * len : ARENA_CHUNK_MAX;
    arena_state.stats.mapped += chunk->span.len;
    if (chunk->span.level == SRT_ARENA_PLAIN)
        arena_state.stats.lock_refused++;
    if (arena_state.stats.level == SRT_ARENA_NONE ||
        chunk->span.level < arena_state.stats.level)
        arena_state.stats.level = chunk->span.level;
    return chunk;
}

/* A free run of at least len grains; chunk->grains: none. The shortest that is quickly
 * found, since the longest is what was never touched: a first touch of secret memory is
 * dear. */
static uint32_t arena_fit(const struct arena_chunk *chunk, uint32_t len)
{
    unsigned k = arena_class(len);
    uint64_t above = chunk->filled >> k >> 1; /* all of these are long enough */
    uint32_t link = chunk->head[k];

    for (unsigned i = 0; link != 0 && (i < ARENA_TRIES || above == 0); i++) {
        if ((chunk->tag[link - 1] & ARENA_LEN) >= len)
            return link - 1;
        link = chunk->tag[link];
    }
    if (above == 0)
        return chunk->grains;
    return chunk->head[k + 1 + (unsigned)__builtin_ctzll(above)] - 1;
}

static void arena_take(struct arena_chunk *chunk, uint32_t at, uint32_t len)
{
    uint32_t rest = arena_unlink(chunk, at) - len;

    if (rest < ARENA_LEAST)
        len += rest;
    else
        arena_link(chunk, at + len, rest);
    arena_mark(chunk, at, len, ARENA_USED);
    arena_state.stats.used += (size_t)len * ARENA_GRAIN;
}

static void arena_give(struct arena_chunk *chunk, uint32_t at)
{
    uint32_t len = chunk->tag[at] & ARENA_LEN;
    uint32_t end = at + len;

    ARENA_UNPOISON(arena_at(chunk, at), (size_t)len * ARENA_GRAIN);
    srt_wipe(arena_at(chunk, at), (size_t)len * ARENA_GRAIN);
    ARENA_POISON(arena_at(chunk, at), (size_t)len * ARENA_GRAIN);
    arena_state.stats.used -= (size_t)len * ARENA_GRAIN;
    chunk->tag[at] = chunk->tag[end - 1] = 0;
    if (end < chunk->grains && !(chunk->tag[end] & ARENA_USED))
        len += arena_unlink(chunk, end);
    if (at > 0 && !(chunk->tag[at - 1] & ARENA_USED)) {
        at -= chunk->tag[at - 1] & ARENA_LEN;
        len += arena_unlink(chunk, at);
    }
    arena_link(chunk, at, len);
}

static void *arena_alloc_small_nolock(size_t len)
{
    uint32_t grains = (uint32_t)((len + ARENA_GRAIN - 1) / ARENA_GRAIN);
    struct arena_chunk *chunk = arena_state.chunks;
    uint32_t at = 0;

    if (grains < ARENA_LEAST)
        grains = ARENA_LEAST;
    for (; chunk != NULL; chunk = chunk->next) {
        at = arena_fit(chunk, grains);
        if (at < chunk->grains)
            break;
    }
    if (chunk == NULL) {
        chunk = arena_chunk_new((size_t)grains * ARENA_GRAIN);
        at = 0;
    }
    if (chunk == NULL)
        return NULL;
    arena_take(chunk, at, grains);
    ARENA_UNPOISON(arena_at(chunk, at), len); /* not the rest of the last grain */
    return arena_at(chunk, at);
}

static void *arena_alloc_large_nolock(size_t len)
{
    struct arena_chunk *chunk = srt_alloc(sizeof(*chunk));

    if (chunk == NULL)
        return NULL;
    if (arena_map(&chunk->span, len, SRT_ARENA_PLAIN) != 0) {
        srt_free(chunk);
        return NULL;
    }
    chunk->next = arena_state.large;
    arena_state.large = chunk;
    arena_state.stats.large += chunk->span.len;
    return chunk->span.base;
}

static void *arena_alloc_nolock(size_t len)
{
    if (arena_state.fail_after != 0 && --arena_state.fail_after == 0)
        return NULL;
    if (len > ARENA_LARGE)
        return arena_alloc_large_nolock(len);
    return arena_alloc_small_nolock(len);
}

void *srt_arena_alloc(size_t len)
{
    void *ptr = NULL;

    srt_lock_take(&arena_state.lock);
    ptr = arena_alloc_nolock(len);
    srt_lock_give(&arena_state.lock);
    return ptr;
}

/* The block's place in its chunk; -1 when none in use begins at ptr. */
static int64_t arena_block_nolock(const struct arena_chunk *chunk, const void *ptr)
{
    size_t offset = (size_t)((const char *)ptr - chunk->span.base);
    uint32_t tag = chunk->tag[offset / ARENA_GRAIN];

    if (offset % ARENA_GRAIN != 0 || !(tag & ARENA_FIRST) || !(tag & ARENA_USED))
        return -1;
    return (int64_t)(offset / ARENA_GRAIN);
}

/* 0: no block begins at ptr. */
static size_t arena_room_nolock(const void *ptr)
{
    struct arena_chunk *chunk = arena_find(arena_state.chunks, ptr);
    int64_t at = chunk != NULL ? arena_block_nolock(chunk, ptr) : -1;

    if (at >= 0)
        return (size_t)(chunk->tag[at] & ARENA_LEN) * ARENA_GRAIN;
    chunk = arena_find(arena_state.large, ptr);
    return chunk != NULL && ptr == chunk->span.base ? chunk->span.len : 0;
}

void *srt_arena_grow(void *ptr, size_t len)
{
    void *fresh = ptr;
    size_t room = 0;

    if (ptr == NULL)
        return srt_arena_alloc(len);
    srt_lock_take(&arena_state.lock);
    room = arena_room_nolock(ptr);
    if (room == 0 || len > room)
        fresh = room != 0 ? arena_alloc_nolock(len) : NULL;
    srt_lock_give(&arena_state.lock);
    ARENA_UNPOISON(ptr, len > room ? room : len);
    if (fresh != NULL && fresh != ptr) {
        memcpy(fresh, ptr, room);
        srt_arena_free(ptr);
    }
    return fresh;
}

static struct arena_chunk *arena_unlink_large_nolock(const void *ptr)
{
    struct arena_chunk *chunk = arena_find(arena_state.large, ptr);
    struct arena_chunk **link = &arena_state.large;

    if (chunk == NULL || chunk->span.base != ptr)
        return NULL;
    while (*link != chunk)
        link = &(*link)->next;
    *link = chunk->next;
    arena_state.stats.large -= chunk->span.len;
    return chunk;
}

void srt_arena_free(void *ptr)
{
    struct arena_chunk *chunk = NULL;
    struct arena_chunk *large = NULL;
    int64_t at = -1;

    if (ptr == NULL)
        return;
    srt_lock_take(&arena_state.lock);
    chunk = arena_find(arena_state.chunks, ptr);
    if (chunk == NULL) {
        large = arena_unlink_large_nolock(ptr);
    } else {
        at = arena_block_nolock(chunk, ptr);
        assert(at >= 0); /* freed twice, or not a block's start */
        if (at >= 0)
            arena_give(chunk, (uint32_t)at);
    }
    srt_lock_give(&arena_state.lock);
    if (large != NULL) {
        srt_wipe(large->span.base, large->span.len);
        srt_span_unmap(&large->span);
        srt_free(large);
    }
}

int srt_arena_owns(const void *ptr)
{
    int owns = 0;

    srt_lock_take(&arena_state.lock);
    owns = arena_find(arena_state.chunks, ptr) != NULL ||
           arena_find(arena_state.large, ptr) != NULL;
    srt_lock_give(&arena_state.lock);
    return owns;
}

void srt_arena_stats_get(struct srt_arena_stats *out)
{
    srt_lock_take(&arena_state.lock);
    *out = arena_state.stats;
    srt_lock_give(&arena_state.lock);
}

int srt_arena_probe(void)
{
    const struct arena_chunk *first = NULL;
    int level = SRT_ARENA_NONE;

    srt_lock_take(&arena_state.lock);
    first = arena_state.chunks != NULL ? arena_state.chunks : arena_chunk_new(0);
    if (first != NULL)
        level = first->span.level;
    srt_lock_give(&arena_state.lock);
    return level;
}

void srt_arena_fork_prepare(void)
{
    srt_lock_take(&arena_state.lock);
}

void srt_arena_fork_parent(void)
{
    srt_lock_give(&arena_state.lock);
}

static void arena_bury(struct arena_chunk *list)
{
    struct arena_chunk *next = NULL;

    for (; list != NULL; list = next) {
        next = list->next;
        srt_free(list->tag);
        list->tag = NULL;
        if (srt_span_hold(&list->span) == 0) {
            srt_free(list);
        } else {
            ARENA_UNPOISON(list->span.base, list->span.len);
            list->next = arena_state.dead;
            arena_state.dead = list;
        }
    }
}

void srt_arena_fork_child(void)
{
    srt_lock_init(&arena_state.lock);
    arena_bury(arena_state.chunks);
    arena_bury(arena_state.large);
    arena_state.chunks = arena_state.large = NULL;
    arena_state.next_len = ARENA_CHUNK_MIN;
    arena_state.stats = (struct srt_arena_stats){0};
    atomic_fetch_add_explicit(&arena_state.stamp, 1, memory_order_relaxed);
}

uint32_t srt_fork_stamp(void)
{
    return atomic_load_explicit(&arena_state.stamp, memory_order_relaxed);
}

void srt_arena_fail_after(size_t n)
{
    srt_lock_take(&arena_state.lock);
    arena_state.fail_after = n;
    srt_lock_give(&arena_state.lock);
}

void srt_arena_force_level(int level)
{
    srt_lock_take(&arena_state.lock);
    arena_state.best = level;
    srt_lock_give(&arena_state.lock);
}
