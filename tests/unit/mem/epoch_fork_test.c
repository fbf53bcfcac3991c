#include "child.h"
#include "mem/epoch.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct family {
    struct srt_retired retired;
    int released;
    struct srt_reader *own;   /* the forking thread's */
    struct srt_reader *other; /* pinned for ever by a thread the child lacks */
    uint32_t slot;
    pthread_barrier_t barrier;
};

static void family_release(struct srt_retired *retired)
{
    ((struct family *)(void *)retired)->released++;
}

static void *stay_pinned(void *data)
{
    struct family *family = data;

    family->other = srt_reader_self();
    srt_reader_pin(family->other);
    srt_reader_pin(family->other);
    (void)srt_reader_count(family->other, family->slot, 0, 7);
    pthread_barrier_wait(&family->barrier);
    pthread_barrier_wait(&family->barrier);
    srt_reader_unpin(family->other);
    srt_reader_unpin(family->other);
    return NULL;
}

static void collects_past_a_stale_pin(void *data)
{
    struct family *family = data;

    CHECK(srt_reader_self() == family->own);
    CHECK(srt_slot_total(family->slot, 0) == 7);
    CHECK(srt_epoch_collect() == 0);
    CHECK(family->released == 1);
    srt_reader_pin(family->own);
    srt_epoch_retire(&family->retired, family_release);
    CHECK(srt_epoch_collect() == 1);
    srt_reader_unpin(family->own);
    CHECK(srt_epoch_collect() == 0);
    CHECK(family->released == 2);
    CHECK(srt_reader_count(family->own, family->slot, 0, 1) == 0);
    CHECK(srt_slot_total(family->slot, 0) == 8);
}

/* What the forking thread held it gives back in the child: in any order. */
static void keeps_its_own_pin(void *data)
{
    struct family *family = data;

    CHECK(srt_epoch_collect() == 1);
    srt_reader_pin(family->own);
    srt_reader_unpin(family->own);
    CHECK(srt_epoch_collect() == 1);
    srt_reader_unpin(family->own);
    CHECK(srt_epoch_collect() == 0);
    CHECK(family->released == 1);
}

static void the_child_keeps_one_record(void **state)
{
    struct family family = {.released = 0};
    pthread_t thread;

    (void)state;
    family.own = srt_reader_self();
    family.slot = srt_slot_take();
    assert_int_equal(pthread_barrier_init(&family.barrier, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, stay_pinned, &family), 0);
    pthread_barrier_wait(&family.barrier);
    srt_epoch_retire(&family.retired, family_release);
    assert_int_equal(srt_epoch_collect(), 1);
    assert_int_equal(child_run(collects_past_a_stale_pin, &family), 0);
    srt_reader_pin(family.own);
    srt_reader_unpin(family.own);
    assert_int_equal(srt_epoch_collect(), 1);
    assert_int_equal(family.released, 0);
    pthread_barrier_wait(&family.barrier);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(srt_epoch_collect(), 0);
    assert_int_equal(family.released, 1);
    srt_slot_give(family.slot);
    (void)pthread_barrier_destroy(&family.barrier);
}

static void the_forking_thread_stays_pinned(void **state)
{
    struct family family = {.released = 0};

    (void)state;
    family.own = srt_reader_self();
    srt_reader_pin(family.own);
    srt_epoch_retire(&family.retired, family_release);
    assert_int_equal(child_run(keeps_its_own_pin, &family), 0);
    assert_int_equal(srt_epoch_collect(), 1);
    srt_reader_unpin(family.own);
    assert_int_equal(srt_epoch_collect(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_child_keeps_one_record),
        cmocka_unit_test(the_forking_thread_stays_pinned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
