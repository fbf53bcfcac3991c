/* Store buffering: the reader pins and looks, the writer replaces and looks for pins.
 * Both finding nothing is the violation: the reader would hold what is being freed. A
 * stress test does not show a missing barrier, this one does: its second half leaves
 * the barrier out and must see violations. */
#include "mem/epoch.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#if defined(__SANITIZE_THREAD__)
#define ROUNDS 5000u /* shows nothing there but that both halves run */
#else
#define ROUNDS 400000u
#endif
#define SECONDS_MAX 30
#define ENOUGH 100u
#define SPINS 2000
#define COLD (64u * 1024 * 1024)

static struct {
    _Alignas(128) _Atomic uint64_t published;
    _Alignas(128) _Atomic uint64_t round;   /* begun by the writer */
    _Alignas(128) _Atomic uint64_t checked; /* by the writer: the pin may go */
    _Alignas(128) _Atomic uint64_t ended;   /* by the reader */
    uint64_t seen;                          /* of published, in this round */
    _Atomic(struct srt_reader *) reader;
} litmus;

static void wait_for(_Atomic uint64_t *word, uint64_t value)
{
    for (unsigned i = 1; atomic_load_explicit(word, memory_order_acquire) < value;
         i++) {
        if (i % SPINS == 0)
            sched_yield();
    }
}

/* The two sides meet at shifting distances: the writer is late by up to 16 to 512. */
static void stagger(uint64_t n)
{
    for (volatile uint64_t i = 0; i < n; i++) {
    }
}

/* Stores that miss every cache: the pin's own store has to wait behind them. */
static void hold_up_stores(uint64_t round)
{
    static _Atomic unsigned char cold[COLD];

    for (uint64_t i = 0; i < 4; i++)
        atomic_store_explicit(&cold[(round * 4 + i) * 4160 % COLD],
                              (unsigned char)round, memory_order_relaxed);
}

static void *read_rounds(void *data)
{
    struct srt_reader *self = srt_reader_self();

    (void)data;
    atomic_store(&litmus.reader, self);
    for (uint64_t round = 1;; round++) {
        wait_for(&litmus.round, round);
        if (atomic_load(&litmus.round) == UINT64_MAX)
            return NULL;
        hold_up_stores(round);
        srt_reader_pin(self);
        litmus.seen = atomic_load_explicit(&litmus.published, memory_order_acquire);
        wait_for(&litmus.checked, round);
        srt_reader_unpin(self);
        atomic_store_explicit(&litmus.ended, round, memory_order_release);
    }
}

static int barrier_of_the_library(void)
{
    return srt_epoch_barrier();
}

/* What is left when the membarrier is forgotten: the writer orders itself alone. */
static int fence_of_the_writer_alone(void)
{
    __sync_synchronize();
    return 0;
}

static unsigned violations(int (*barrier)(void), uint64_t rounds_max, uint64_t *rounds)
{
    pthread_t thread;
    time_t until = time(NULL) + SECONDS_MAX;
    unsigned found = 0;
    uint64_t round = 0;

    atomic_store(&litmus.published, 0);
    atomic_store(&litmus.round, 0);
    atomic_store(&litmus.checked, 0);
    atomic_store(&litmus.ended, 0);
    atomic_store(&litmus.reader, NULL);
    assert_int_equal(pthread_create(&thread, NULL, read_rounds, NULL), 0);
    while (atomic_load(&litmus.reader) == NULL)
        sched_yield();
    while (++round <= rounds_max && found < ENOUGH &&
           (round % 1024 != 0 || time(NULL) < until)) {
        uint64_t pin = 0;

        atomic_store_explicit(&litmus.round, round, memory_order_release);
        stagger((round * 2654435761u >> 13) % (16u << (round >> 10) % 6));
        atomic_store_explicit(&litmus.published, round, memory_order_release);
        assert_int_equal(barrier(), 0);
        pin = atomic_load_explicit(&litmus.reader->epoch, memory_order_acquire);
        atomic_store_explicit(&litmus.checked, round, memory_order_release);
        wait_for(&litmus.ended, round);
        found += litmus.seen != round && pin == 0;
    }
    atomic_store(&litmus.round, UINT64_MAX);
    assert_int_equal(pthread_join(thread, NULL), 0);
    *rounds = round - 1;
    return found;
}

static void a_pin_is_seen_or_sees(void **state)
{
    uint64_t rounds = 0;

    (void)state;
    assert_int_equal(violations(barrier_of_the_library, ROUNDS, &rounds), 0);
    print_message("0 violations in %llu rounds\n", (unsigned long long)rounds);
}

static void without_the_barrier_it_shows(void **state)
{
    uint64_t rounds = 0;
    unsigned found = 0;

    (void)state;
    if (atomic_load(&srt_epoch.fence) != 0)
        skip(); /* readers fence here: nothing was left out */
    found = violations(fence_of_the_writer_alone, 20 * ROUNDS, &rounds);
    print_message("without the barrier: %u violations in %llu rounds\n", found,
                  (unsigned long long)rounds);
    if (found == 0)
        skip(); /* not on this machine: the first half proves nothing here */
}

static void a_fencing_reader_is_seen_or_sees(void **state)
{
    uint64_t rounds = 0;

    (void)state;
    atomic_store(&srt_epoch.fence, 1); /* as where membarrier was never there */
    assert_int_equal(violations(barrier_of_the_library, ROUNDS, &rounds), 0);
    print_message("with fences: 0 violations in %llu rounds\n",
                  (unsigned long long)rounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pin_is_seen_or_sees),
        cmocka_unit_test(without_the_barrier_it_shows),
        cmocka_unit_test(a_fencing_reader_is_seen_or_sees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
