#include "mem/epoch.h"
#include "base/alloc.h"
#include "base/lock.h"
#include "base/threadkey.h"
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/membarrier.h>
#include <sys/syscall.h>
#endif

#define EPOCH_GRACE_MS 1000 /* a store reaches the other cores long before */
#define EPOCH_SLAB 8
#define EPOCH_SLOTS_MIN 64

struct epoch_slab {
    struct epoch_slab *next; /* keeps the block reachable from its start */
};

static struct {
    struct srt_lock lock;
    int started;
    struct srt_thread_key key;
    struct epoch_slab *slabs;
    struct srt_reader *readers;
    struct srt_reader *unused;
    struct srt_retired *retired; /* oldest first */
    struct srt_retired *newest;
    size_t waiting;
    int64_t grace_until_ms; /* 0: none */
    uint32_t *given;        /* slots to take again; has room for all that were taken */
    uint32_t given_n;
    uint32_t slots;
    uint32_t slots_cap;
} epoch_state = {.lock = SRT_LOCK_INIT};

struct srt_epoch srt_epoch = {.now = 1};
_Thread_local struct srt_reader *srt_reader_own
    __attribute__((tls_model("initial-exec")));

static struct srt_cells_index epoch_no_cells; /* n is 0: the slow path */

static int epoch_membarrier_register(void)
{
#if defined(SYS_membarrier)
    return (int)syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0,
                        0);
#else
    return -1;
#endif
}

static int epoch_membarrier(void)
{
#if defined(SYS_membarrier)
    return (int)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
#else
    return -1;
#endif
}

static void epoch_recycle_nolock(struct srt_reader *reader)
{
    atomic_store_explicit(&reader->nest, 0, memory_order_relaxed);
    atomic_store_explicit(&reader->epoch, 0, memory_order_release);
    reader->next_free = epoch_state.unused;
    epoch_state.unused = reader;
}

static void epoch_leave(void *value)
{
    srt_reader_own = NULL;
    srt_lock_take(&epoch_state.lock);
    epoch_recycle_nolock(value);
    srt_lock_give(&epoch_state.lock);
}

/* Before the first reader is handed out, so that none pins with the wrong fence. */
static int epoch_start_nolock(void)
{
    int rc = 0;

    if (epoch_state.started)
        return 0;
    rc = srt_thread_key_init(&epoch_state.key, epoch_leave);
    if (rc != 0)
        return rc;
    if (epoch_membarrier_register() != 0)
        atomic_store_explicit(&srt_epoch.fence, 1, memory_order_seq_cst);
    epoch_state.started = 1;
    return 0;
}

static int epoch_slab_new_nolock(void)
{
    size_t align = _Alignof(struct srt_reader);
    size_t len =
        sizeof(struct epoch_slab) + align + EPOCH_SLAB * sizeof(struct srt_reader);
    struct epoch_slab *slab = srt_alloc(len);
    struct srt_reader *reader = NULL;
    uintptr_t at = 0;

    if (slab == NULL)
        return SECRETRT_ERR_NOMEM;
    slab->next = epoch_state.slabs;
    epoch_state.slabs = slab;
    at = ((uintptr_t)(slab + 1) + align - 1) & ~(uintptr_t)(align - 1);
    reader = (struct srt_reader *)at;
    for (int i = 0; i < EPOCH_SLAB; i++, reader++) {
        atomic_init(&reader->cells, &epoch_no_cells);
        reader->next = epoch_state.readers;
        epoch_state.readers = reader;
        epoch_recycle_nolock(reader);
    }
    return 0;
}

struct srt_reader *srt_reader_enter(void)
{
    struct srt_reader *reader = NULL;

    srt_lock_take(&epoch_state.lock);
    if (epoch_start_nolock() == 0 &&
        (epoch_state.unused != NULL || epoch_slab_new_nolock() == 0)) {
        reader = epoch_state.unused;
        if (srt_thread_key_set(&epoch_state.key, reader) == 0)
            epoch_state.unused = reader->next_free;
        else
            reader = NULL;
    }
    srt_lock_give(&epoch_state.lock);
    srt_reader_own = reader;
    return reader;
}

void srt_epoch_retire(struct srt_retired *retired,
                      void (*release)(struct srt_retired *))
{
    retired->next = NULL;
    retired->release = release;
    retired->epoch = atomic_fetch_add_explicit(&srt_epoch.now, 1, memory_order_seq_cst);
    srt_lock_take(&epoch_state.lock);
    if (epoch_state.newest != NULL)
        epoch_state.newest->next = retired;
    else
        epoch_state.retired = retired;
    epoch_state.newest = retired;
    epoch_state.waiting++;
    srt_lock_give(&epoch_state.lock);
}

static int epoch_barrier_nolock(void)
{
    int fence = 0;

    (void)epoch_start_nolock();
    fence = atomic_load_explicit(&srt_epoch.fence, memory_order_relaxed);
    if (!fence && epoch_membarrier() == 0)
        return 0;
    if (!fence) {
        /* Pins made before readers see the flag were ordered by nothing but time. */
        atomic_store_explicit(&srt_epoch.fence, 1, memory_order_seq_cst);
        epoch_state.grace_until_ms = srt_mono_ms() + EPOCH_GRACE_MS;
    }
    if (epoch_state.grace_until_ms != 0) {
        if (srt_mono_ms() < epoch_state.grace_until_ms)
            return -1;
        epoch_state.grace_until_ms = 0;
    }
    __sync_synchronize();
    return 0;
}

int srt_epoch_barrier(void)
{
    int rc = 0;

    srt_lock_take(&epoch_state.lock);
    rc = epoch_barrier_nolock();
    srt_lock_give(&epoch_state.lock);
    return rc;
}

/* What was retired before the earliest pin. */
static struct srt_retired *epoch_ripe_nolock(void)
{
    struct srt_retired *ripe = NULL;
    struct srt_retired **ripe_end = &ripe;
    struct srt_retired **link = &epoch_state.retired;
    uint64_t earliest = UINT64_MAX;

    for (struct srt_reader *r = epoch_state.readers; r != NULL; r = r->next) {
        uint64_t epoch = atomic_load_explicit(&r->epoch, memory_order_acquire);
        if (epoch != 0 && epoch < earliest)
            earliest = epoch;
    }
    epoch_state.newest = NULL;
    while (*link != NULL) {
        struct srt_retired *retired = *link;
        if (retired->epoch < earliest) {
            *link = retired->next;
            *ripe_end = retired;
            ripe_end = &retired->next;
            epoch_state.waiting--;
        } else {
            epoch_state.newest = retired;
            link = &retired->next;
        }
    }
    *ripe_end = NULL;
    return ripe;
}

size_t srt_epoch_collect(void)
{
    struct srt_retired *ripe = NULL;
    struct srt_retired *next = NULL;
    size_t waiting = 0;

    srt_lock_take(&epoch_state.lock);
    if (epoch_state.retired != NULL && epoch_barrier_nolock() == 0)
        ripe = epoch_ripe_nolock();
    waiting = epoch_state.waiting;
    srt_lock_give(&epoch_state.lock);
    for (; ripe != NULL; ripe = next) {
        next = ripe->next;
        ripe->release(ripe);
    }
    return waiting;
}

uint32_t srt_slot_take(void)
{
    uint32_t slot = SRT_SLOT_NONE;
    uint32_t cap = 0;
    uint32_t *given = NULL;

    srt_lock_take(&epoch_state.lock);
    if (epoch_state.given_n != 0) {
        slot = epoch_state.given[--epoch_state.given_n];
        goto done;
    }
    if (epoch_state.slots == epoch_state.slots_cap) {
        cap = epoch_state.slots_cap != 0 ? 2 * epoch_state.slots_cap : EPOCH_SLOTS_MIN;
        given = srt_grow_array(epoch_state.given, epoch_state.slots_cap, cap,
                               sizeof(*given));
        if (given == NULL)
            goto done;
        epoch_state.given = given;
        epoch_state.slots_cap = cap;
    }
    slot = epoch_state.slots++;
done:
    srt_lock_give(&epoch_state.lock);
    return slot;
}

void srt_slot_give(uint32_t slot)
{
    if (slot == SRT_SLOT_NONE)
        return;
    srt_lock_take(&epoch_state.lock);
    epoch_state.given[epoch_state.given_n++] = slot;
    srt_lock_give(&epoch_state.lock);
}

static struct srt_cells_index *epoch_index_grow(struct srt_cells_index *old, uint32_t n)
{
    struct srt_cells_index *index = NULL;

    if (n < 2 * old->n)
        n = 2 * old->n;
    index = srt_alloc(sizeof(*index) + n * sizeof(index->part[0]));
    if (index == NULL)
        return NULL;
    index->older = old;
    index->n = n;
    for (uint32_t i = 0; i < old->n; i++) {
        struct srt_cells *cells =
            atomic_load_explicit(&old->part[i], memory_order_relaxed);
        atomic_init(&index->part[i], cells);
    }
    return index;
}

struct srt_cells *srt_reader_cells(struct srt_reader *reader, uint32_t slot)
{
    uint32_t place = slot / SRT_CELLS_SLOTS;
    struct srt_cells_index *index =
        atomic_load_explicit(&reader->cells, memory_order_relaxed);
    struct srt_cells *cells = NULL;

    if (slot == SRT_SLOT_NONE)
        return NULL;
    if (place >= index->n) {
        index = epoch_index_grow(index, place + 1);
        if (index == NULL)
            return NULL;
        atomic_store_explicit(&reader->cells, index, memory_order_release);
    }
    cells = srt_alloc(sizeof(*cells));
    atomic_store_explicit(&index->part[place], cells, memory_order_release);
    return cells;
}

uint64_t srt_slot_total(uint32_t slot, unsigned cell)
{
    uint32_t place = slot / SRT_CELLS_SLOTS;
    uint64_t total = 0;

    srt_lock_take(&epoch_state.lock);
    for (struct srt_reader *r = epoch_state.readers; r != NULL; r = r->next) {
        const struct srt_cells_index *index =
            atomic_load_explicit(&r->cells, memory_order_acquire);
        struct srt_cells *cells = NULL;
        if (place < index->n)
            cells = atomic_load_explicit(&index->part[place], memory_order_acquire);
        if (cells != NULL)
            total += atomic_load_explicit(
                &cells->cell[slot % SRT_CELLS_SLOTS][cell & 1], memory_order_relaxed);
    }
    srt_lock_give(&epoch_state.lock);
    return total;
}

void srt_epoch_fork_prepare(void)
{
    srt_lock_take(&epoch_state.lock);
}

void srt_epoch_fork_parent(void)
{
    srt_lock_give(&epoch_state.lock);
}

void srt_epoch_fork_child(void)
{
    srt_lock_init(&epoch_state.lock);
    epoch_state.unused = NULL;
    for (struct srt_reader *r = epoch_state.readers; r != NULL; r = r->next) {
        if (r != srt_reader_own)
            epoch_recycle_nolock(r);
    }
}
