/* Reclamation without a shared write: readers pin a per-thread epoch, the writer pays
 * with membarrier(2), or readers fence where it is refused (SPIKES S3's shape v2).
 * Per-thread read counters live in the same records. */
#ifndef SRT_MEM_EPOCH_H
#define SRT_MEM_EPOCH_H

#include <stddef.h>
#include <stdint.h>

/* One thread's record; recycled at thread exit, never freed. */
struct srt_reader;

/* The calling thread's record: NULL only when its first use runs out of memory. */
struct srt_reader *srt_reader_self(void);

/* Pin and unpin nest. Between them nothing that was reachable is freed. */
void srt_reader_pin(struct srt_reader *reader);
void srt_reader_unpin(struct srt_reader *reader);

/* What waits for its readers. Embed it in what is to be freed. */
struct srt_retired {
    struct srt_retired *next;
    uint64_t epoch;
    void (*release)(struct srt_retired *retired);
};

/* After the pointer to it was replaced: release() is called, from a later collect,
 * when no reader can hold it any more. Thread-safe. */
void srt_epoch_retire(struct srt_retired *retired, void (*release)(struct srt_retired *));
/* Releases what can be; returns how many still wait. Calls release() with no lock held. */
size_t srt_epoch_collect(void);

/* Read counts: a slot is one secret's pair of cells; cell = generation & 1. */
#define SRT_SLOT_NONE UINT32_MAX
uint32_t srt_slot_take(void);        /* SRT_SLOT_NONE when out of memory */
void srt_slot_give(uint32_t slot);   /* its totals go on from where they are */
/* Adds one read on the caller's own record, which must be pinned. 0, or ERR_NOMEM at a
 * thread's first read of a slot; never allocates after that. */
int srt_reader_count(struct srt_reader *reader, uint32_t slot, unsigned cell, uint64_t n);
uint64_t srt_slot_total(uint32_t slot, unsigned cell); /* over all threads, ever growing */

/* For pthread_atfork: the child keeps only the calling thread's record, unpinned. */
void srt_epoch_fork_prepare(void);
void srt_epoch_fork_parent(void);
void srt_epoch_fork_child(void);

#endif
