/* Reclamation without a shared write: readers pin a per-thread epoch, the writer pays
 * with membarrier(2), or readers fence where it is refused (SPIKES S3's shape v2).
 * Per-thread read counters live in the same records. Not for signal handlers. */
#ifndef SRT_MEM_EPOCH_H
#define SRT_MEM_EPOCH_H

#include "base/status.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define SRT_CELLS_SLOTS 64u

/* The counts of 64 slots; never moved, so that no count is ever lost. */
struct srt_cells {
    _Atomic uint64_t cell[SRT_CELLS_SLOTS][2];
};

/* Grown by its owner alone. The older ones are kept: another thread may be summing. */
struct srt_cells_index {
    struct srt_cells_index *older;
    uint32_t n;
    _Atomic(struct srt_cells *) part[];
};

/* One thread's record; recycled at thread exit, never freed. */
struct srt_reader {
    _Alignas(128) _Atomic uint64_t epoch; /* 0: not pinned */
    _Atomic uint32_t nest;                /* pins beyond the first */
    _Atomic(struct srt_cells_index *) cells;
    struct srt_reader *next;      /* of all */
    struct srt_reader *next_free; /* of those without a thread */
};

/* Written by retire only. */
struct srt_epoch {
    _Alignas(128) _Atomic uint64_t now;
    _Atomic int fence; /* membarrier is refused: readers must order their own pin */
};

#define SRT_EPOCH_HIDDEN __attribute__((visibility("hidden")))
extern SRT_EPOCH_HIDDEN struct srt_epoch srt_epoch;
extern SRT_EPOCH_HIDDEN _Thread_local struct srt_reader *srt_reader_own
    __attribute__((tls_model("initial-exec")));

struct srt_reader *srt_reader_enter(void); /* behind srt_reader_self: the first use */
/* Behind srt_reader_count: a thread's first read of a slot; NULL: out of memory. */
struct srt_cells *srt_reader_cells(struct srt_reader *reader, uint32_t slot);

/* The calling thread's record: NULL only when its first use runs out of memory. */
static inline struct srt_reader *srt_reader_self(void)
{
    struct srt_reader *reader = srt_reader_own;

    return __builtin_expect(reader != NULL, 1) ? reader : srt_reader_enter();
}

/* Pin and unpin nest. Between them nothing that was reachable is freed. */
static inline void srt_reader_pin(struct srt_reader *reader)
{
    if (atomic_load_explicit(&reader->epoch, memory_order_relaxed) != 0) {
        uint32_t nest = atomic_load_explicit(&reader->nest, memory_order_relaxed);
        atomic_store_explicit(&reader->nest, nest + 1, memory_order_relaxed);
        return;
    }
    atomic_store_explicit(&reader->epoch,
                          atomic_load_explicit(&srt_epoch.now, memory_order_acquire),
                          memory_order_release);
    /* Not atomic_thread_fence: ThreadSanitizer builds refuse it. */
    if (__builtin_expect(
            atomic_load_explicit(&srt_epoch.fence, memory_order_relaxed) != 0, 0))
        __sync_synchronize();
    else
        atomic_signal_fence(memory_order_seq_cst);
}

static inline void srt_reader_unpin(struct srt_reader *reader)
{
    uint32_t nest = atomic_load_explicit(&reader->nest, memory_order_relaxed);

    if (nest != 0)
        atomic_store_explicit(&reader->nest, nest - 1, memory_order_relaxed);
    else
        atomic_store_explicit(&reader->epoch, 0, memory_order_release);
}

/* What waits for its readers. Embed it in what is to be freed. */
struct srt_retired {
    struct srt_retired *next;
    uint64_t epoch;
    void (*release)(struct srt_retired *retired);
};

/* After the pointer to it was replaced: release() is called, from a later collect,
 * when no reader can hold it any more. Thread-safe. */
void srt_epoch_retire(struct srt_retired *retired,
                      void (*release)(struct srt_retired *));
/* Releases what can be; returns how many still wait. Calls release() with no lock held.
 * No system call when nothing waits. */
size_t srt_epoch_collect(void);
/* The writer's half of the ordering, a part of collect (apart for the litmus test): 0:
 * each earlier pin can be seen from here. -1: membarrier has just been refused, and it
 * takes until EPOCH_GRACE_MS later. */
int srt_epoch_barrier(void);

/* Read counts: a slot is one secret's pair of cells; cell = generation & 1. */
#define SRT_SLOT_NONE UINT32_MAX
uint32_t srt_slot_take(void);      /* SRT_SLOT_NONE when out of memory */
void srt_slot_give(uint32_t slot); /* its totals go on from where they are */
/* Adds reads on the caller's own record. 0, or ERR_NOMEM at a thread's first read of a
 * slot; never allocates after that. */
static inline int srt_reader_count(struct srt_reader *reader, uint32_t slot,
                                   unsigned cell, uint64_t n)
{
    const struct srt_cells_index *index =
        atomic_load_explicit(&reader->cells, memory_order_relaxed);
    struct srt_cells *cells = NULL;
    _Atomic uint64_t *count = NULL;

    if (__builtin_expect(slot / SRT_CELLS_SLOTS < index->n, 1))
        cells = atomic_load_explicit(&index->part[slot / SRT_CELLS_SLOTS],
                                     memory_order_relaxed);
    if (__builtin_expect(cells == NULL, 0))
        cells = srt_reader_cells(reader, slot);
    if (cells == NULL)
        return SECRETRT_ERR_NOMEM;
    count = &cells->cell[slot % SRT_CELLS_SLOTS][cell & 1];
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n,
                          memory_order_relaxed);
    return 0;
}
/* Over all threads, ever growing; in a forked child it starts with the parent's. */
uint64_t srt_slot_total(uint32_t slot, unsigned cell);

/* For pthread_atfork: the child keeps only the calling thread's record. That one stays
 * pinned if it was: what the thread holds it unpins in the child too (else that unpin
 * would end another pin). */
void srt_epoch_fork_prepare(void);
void srt_epoch_fork_parent(void);
void srt_epoch_fork_child(void);

#endif
