#include "base/alloc.h"
#include "child.h"
#include "mem/epoch.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct item {
    struct srt_retired retired;
    int released;
};

static void item_release(struct srt_retired *retired)
{
    struct item *item = (struct item *)(void *)retired;

    item->released++;
}

static void a_retired_item_waits_for_the_pin(void **state)
{
    struct srt_reader *self = srt_reader_self();
    struct item item = {.released = 0};
    struct item later = {.released = 0};

    (void)state;
    assert_non_null(self);
    assert_ptr_equal(srt_reader_self(), self);
    assert_int_equal(srt_epoch_collect(), 0);
    srt_reader_pin(self);
    srt_epoch_retire(&item.retired, item_release);
    assert_int_equal(srt_epoch_collect(), 1);
    assert_int_equal(item.released, 0);
    srt_reader_unpin(self);
    srt_reader_pin(self); /* anew: can't hold the first, can hold the second */
    srt_epoch_retire(&later.retired, item_release);
    assert_int_equal(srt_epoch_collect(), 1);
    assert_int_equal(item.released, 1);
    assert_int_equal(later.released, 0);
    srt_reader_unpin(self);
    assert_int_equal(srt_epoch_collect(), 0);
    assert_int_equal(later.released, 1);
    assert_int_equal(srt_epoch_collect(), 0);
    assert_int_equal(item.released, 1);
}

static void pins_nest(void **state)
{
    struct srt_reader *self = srt_reader_self();
    struct item item = {.released = 0};

    (void)state;
    srt_reader_pin(self);
    srt_epoch_retire(&item.retired, item_release);
    srt_reader_pin(self);
    srt_reader_pin(self);
    srt_reader_unpin(self);
    srt_reader_unpin(self);
    assert_int_equal(srt_epoch_collect(), 1);
    srt_reader_unpin(self);
    assert_int_equal(srt_epoch_collect(), 0);
    assert_int_equal(item.released, 1);
}

static struct item second;

static void release_and_retire(struct srt_retired *retired)
{
    item_release(retired);
    srt_epoch_retire(&second.retired, item_release);
}

static void release_may_retire(void **state)
{
    struct item item = {.released = 0};

    (void)state;
    srt_epoch_retire(&item.retired, release_and_retire);
    (void)srt_epoch_collect();
    assert_int_equal(item.released, 1);
    assert_int_equal(srt_epoch_collect(), 0);
    assert_int_equal(second.released, 1);
}

static void *pin_and_end(void *data)
{
    struct srt_reader *self = srt_reader_self();

    if (self == NULL)
        return NULL;
    srt_reader_pin(self);
    srt_reader_pin(self);
    srt_epoch_retire(&((struct item *)data)->retired, item_release);
    return self;
}

static void a_threads_end_unpins(void **state)
{
    struct item item = {.released = 0};
    pthread_t thread;
    void *reader = NULL;
    void *again = NULL;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, pin_and_end, &item), 0);
    assert_int_equal(pthread_join(thread, &reader), 0);
    assert_non_null(reader);
    assert_int_equal(srt_epoch_collect(), 0);
    assert_int_equal(item.released, 1);
    assert_int_equal(pthread_create(&thread, NULL, pin_and_end, &item), 0);
    assert_int_equal(pthread_join(thread, &again), 0);
    assert_ptr_equal(again, reader);
    assert_int_equal(srt_epoch_collect(), 0);
    assert_int_equal(item.released, 2);
}

static size_t heap_blocks;

static void *heap_alloc(size_t len, void *data)
{
    (void)data;
    heap_blocks++;
    return malloc(len);
}

static void heap_release(void *ptr, void *data)
{
    (void)data;
    free(ptr);
}

static const struct srt_allocator counting_heap = {heap_alloc, heap_release, NULL};

static void *read_once(void *data)
{
    struct srt_reader *self = srt_reader_self();

    srt_reader_pin(self);
    if (srt_reader_count(self, *(uint32_t *)data, 0, 1) != 0)
        return data;
    srt_reader_unpin(self);
    return NULL;
}

static void short_threads_share_records(void **state)
{
    uint32_t slot = srt_slot_take();
    pthread_t thread;
    void *failed = NULL;

    (void)state;
    srt_allocator_set(&counting_heap);
    heap_blocks = 0;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(pthread_create(&thread, NULL, read_once, &slot), 0);
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_null(failed);
    }
    srt_allocator_set(NULL);
    assert_true(heap_blocks <= 3); /* a slab, an index, its cells */
    assert_true(srt_slot_total(slot, 0) == 1000);
    srt_slot_give(slot);
}

#define READS 100000
#define READERS 8

struct reading {
    uint32_t *slot; /* one, or many far apart */
    size_t slots;
};

static void *read_many(void *data)
{
    const struct reading *reading = data;
    struct srt_reader *self = srt_reader_self();

    for (unsigned i = 0; i < READS; i++) {
        srt_reader_pin(self);
        if (srt_reader_count(self, reading->slot[i % reading->slots], i & 1, 1) != 0)
            return data;
        srt_reader_unpin(self);
    }
    return NULL;
}

static void counts_are_exact_over_threads(void **state)
{
    enum { SLOTS = 1000 };
    static uint32_t slot[SLOTS];
    struct reading reading = {slot, SLOTS};
    pthread_t thread[READERS];
    uint64_t before[2] = {0, 0};
    uint64_t total[2] = {0, 0};
    void *failed = NULL;

    (void)state;
    for (size_t i = 0; i < SLOTS; i++) {
        slot[i] = srt_slot_take();
        assert_int_not_equal(slot[i], SRT_SLOT_NONE);
        before[0] += srt_slot_total(slot[i], 0);
        before[1] += srt_slot_total(slot[i], 1);
    }
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, read_many, &reading), 0);
        if (i % 3 == 2) { /* the next ones get its record */
            assert_int_equal(pthread_join(thread[i], &failed), 0);
            assert_null(failed);
            thread[i] = 0;
        }
        for (uint64_t k = 0, last = 0, now = 0; k < 1000; k++, last = now) {
            now = srt_slot_total(slot[SLOTS - 1], 1);
            assert_true(now >= last);
        }
    }
    for (size_t i = 0; i < READERS; i++) {
        if (thread[i] != 0) {
            assert_int_equal(pthread_join(thread[i], &failed), 0);
            assert_null(failed);
        }
    }
    for (size_t i = 0; i < SLOTS; i++) {
        total[0] += srt_slot_total(slot[i], 0);
        total[1] += srt_slot_total(slot[i], 1);
        srt_slot_give(slot[i]);
    }
    assert_true(total[0] - before[0] == (uint64_t)READERS * READS / 2);
    assert_true(total[1] - before[1] == (uint64_t)READERS * READS / 2);
}

static void a_slot_goes_on_from_its_totals(void **state)
{
    struct srt_reader *self = srt_reader_self();
    uint32_t slot = srt_slot_take();
    uint64_t before = srt_slot_total(slot, 1);
    uint64_t other = srt_slot_total(slot, 0);

    (void)state;
    assert_int_equal(srt_reader_count(self, slot, 3, 5), 0); /* generation 3 */
    srt_slot_give(slot);
    assert_int_equal(srt_slot_take(), slot);
    assert_true(srt_slot_total(slot, 1) == before + 5);
    assert_true(srt_slot_total(slot, 0) == other);
    srt_slot_give(slot);
    srt_slot_give(SRT_SLOT_NONE);
    assert_int_equal(srt_reader_count(self, SRT_SLOT_NONE, 0, 1), SECRETRT_ERR_NOMEM);
}

static size_t heap_left;

static void *heap_alloc_some(size_t len, void *data)
{
    (void)data;
    if (heap_left == 0)
        return NULL;
    heap_left--;
    return malloc(len);
}

static const struct srt_allocator small_heap = {heap_alloc_some, heap_release, NULL};

static void *enter(void *data)
{
    (void)data;
    return srt_reader_self();
}

static void without_heap(void *data)
{
    uint32_t slot = SRT_SLOT_NONE;
    struct srt_reader *self = NULL;

    (void)data;
    srt_allocator_set(&small_heap);
    heap_left = 0;
    CHECK(enter(NULL) == NULL);
    CHECK(srt_slot_take() == SRT_SLOT_NONE);
    heap_left = 2;
    self = srt_reader_self();
    slot = srt_slot_take();
    CHECK(self != NULL && slot != SRT_SLOT_NONE && heap_left == 0);
    CHECK(srt_reader_count(self, slot, 0, 1) == SECRETRT_ERR_NOMEM); /* no index */
    heap_left = 1;
    CHECK(srt_reader_count(self, slot, 0, 1) == SECRETRT_ERR_NOMEM); /* no cells */
    heap_left = 1;
    CHECK(srt_reader_count(self, slot, 0, 1) == 0);
    CHECK(srt_reader_count(self, slot, 0, 1) == 0);
    CHECK(srt_slot_total(slot, 0) == 2);
}

static void survives_a_full_heap(void **state)
{
    (void)state;
    assert_int_equal(child_run(without_heap, NULL), 0); /* nothing was used before */
}

/* Readers follow a pointer that a writer replaces: what they hold must stay whole. */
struct cell {
    struct srt_retired retired;
    _Atomic uint64_t value; /* twice the same; poisoned on release */
    _Atomic uint64_t twin;
};

static _Atomic(struct cell *) published;
static _Atomic int stopping;

static void cell_release(struct srt_retired *retired)
{
    struct cell *cell = (struct cell *)(void *)retired;

    atomic_store(&cell->value, UINT64_MAX);
    free(cell);
}

static void *follow(void *data)
{
    struct srt_reader *self = srt_reader_self();
    uintptr_t torn = 0;

    (void)data;
    while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
        struct cell *cell = NULL;
        srt_reader_pin(self);
        cell = atomic_load_explicit(&published, memory_order_acquire);
        torn += cell->value != cell->twin;
        srt_reader_unpin(self);
    }
    return (void *)torn;
}

static void readers_hold_what_they_read(void **state)
{
    pthread_t thread[3];
    void *torn = NULL;

    (void)state;
    published = calloc(1, sizeof(struct cell));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, follow, NULL), 0);
    for (uint64_t i = 1; i <= 20000; i++) {
        struct cell *cell = calloc(1, sizeof(*cell));
        assert_non_null(cell);
        cell->value = cell->twin = i;
        cell = atomic_exchange(&published, cell);
        srt_epoch_retire(&cell->retired, cell_release);
        (void)srt_epoch_collect();
    }
    stopping = 1;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(thread[i], &torn), 0);
        assert_null(torn);
    }
    assert_int_equal(srt_epoch_collect(), 0);
    free(published);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_a_full_heap),
        cmocka_unit_test(a_retired_item_waits_for_the_pin),
        cmocka_unit_test(pins_nest),
        cmocka_unit_test(release_may_retire),
        cmocka_unit_test(a_threads_end_unpins),
        cmocka_unit_test(short_threads_share_records),
        cmocka_unit_test(counts_are_exact_over_threads),
        cmocka_unit_test(a_slot_goes_on_from_its_totals),
        cmocka_unit_test(readers_hold_what_they_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
