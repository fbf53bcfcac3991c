#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/list.h"
#include "unit/base/fail_alloc.h"
#include <secretrt/error.h>

#define TIMERS 97

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

static int64_t earliest(const struct srt_timer *timer)
{
    int64_t at_ms = SRT_NEVER;

    for (size_t i = 0; i < TIMERS; i++)
        at_ms = timer[i].at_ms < at_ms ? timer[i].at_ms : at_ms;
    return at_ms;
}

static void check_slots(const struct srt_heap *heap, const struct srt_timer *timer)
{
    size_t n = 0;

    for (size_t i = 0; i < TIMERS; i++) {
        if (timer[i].at_ms == SRT_NEVER) {
            assert_int_equal(timer[i].slot, 0);
            continue;
        }
        n++;
        assert_ptr_equal(heap->item[timer[i].slot - 1], &timer[i]);
    }
    assert_int_equal(heap->n, n);
}

static void the_first_is_always_the_earliest(void **state)
{
    struct srt_timer timer[TIMERS];
    struct srt_heap heap;
    uint32_t seed = 1;
    int64_t at_ms;

    (void)state;
    srt_heap_init(&heap);
    assert_null(srt_heap_first(&heap));
    assert_int_equal(srt_heap_reserve(&heap, TIMERS), 0);
    for (size_t i = 0; i < TIMERS; i++) {
        timer[i].at_ms = SRT_NEVER;
        timer[i].slot = 0;
    }
    for (int round = 0; round < 20000; round++) {
        at_ms = next_random(&seed) % 5 == 0 ? SRT_NEVER
                                            : (int64_t)(next_random(&seed) % 200);
        srt_heap_set(&heap, &timer[next_random(&seed) % TIMERS], at_ms);
        check_slots(&heap, timer);
        if (earliest(timer) == SRT_NEVER)
            assert_null(srt_heap_first(&heap));
        else
            assert_int_equal(srt_heap_first(&heap)->at_ms, earliest(timer));
    }
    srt_heap_wipe(&heap);
    srt_heap_wipe(&heap);
}

static void draining_gives_all_in_order(void **state)
{
    struct srt_timer timer[TIMERS] = {{0}};
    struct srt_heap heap;
    uint32_t seed = 7;
    int64_t last = -1;
    size_t n = 0;

    (void)state;
    srt_heap_init(&heap);
    assert_int_equal(srt_heap_reserve(&heap, TIMERS), 0);
    for (size_t i = 0; i < TIMERS; i++)
        srt_heap_set(&heap, &timer[i], (int64_t)(next_random(&seed) % 50));
    for (; srt_heap_first(&heap) != NULL; n++) {
        assert_true(srt_heap_first(&heap)->at_ms >= last);
        last = srt_heap_first(&heap)->at_ms;
        srt_heap_set(&heap, srt_heap_first(&heap), SRT_NEVER);
    }
    assert_int_equal(n, TIMERS);
    srt_heap_wipe(&heap);
}

static void a_failed_reserve_keeps_the_timers(void **state)
{
    struct srt_timer timer = {0, 0};
    struct srt_heap heap;

    (void)state;
    fail_alloc_begin(2);
    srt_heap_init(&heap);
    assert_int_equal(srt_heap_reserve(&heap, 1), 0);
    srt_heap_set(&heap, &timer, 5);
    assert_int_equal(srt_heap_reserve(&heap, 1000), SECRETRT_ERR_NOMEM);
    assert_ptr_equal(srt_heap_first(&heap), &timer);
    assert_int_equal(srt_heap_reserve(&heap, SIZE_MAX), SECRETRT_ERR_NOMEM);
    srt_heap_wipe(&heap);
    assert_int_equal(fail_alloc.live, 0);
    fail_alloc_end();
}

struct entry {
    int value;
    struct srt_list link;
};

static void a_list_survives_removal_while_walking(void **state)
{
    struct entry entry[4] = {{0}};
    struct srt_list head;
    struct srt_list *it;
    struct srt_list *tmp;
    int sum = 0;

    (void)state;
    srt_list_init(&head);
    assert_true(srt_list_empty(&head));
    assert_false(srt_list_linked(&entry[0].link));
    srt_list_remove(&entry[0].link);
    for (int i = 0; i < 4; i++) {
        entry[i].value = i + 1;
        srt_list_append(&head, &entry[i].link);
    }
    SRT_LIST_EACH(it, tmp, &head)
    {
        sum = sum * 10 + SRT_CONTAINER(it, struct entry, link)->value;
        if (SRT_CONTAINER(it, struct entry, link)->value % 2 == 0)
            srt_list_remove(it);
    }
    assert_int_equal(sum, 1234);
    assert_ptr_equal(head.next, &entry[0].link);
    assert_ptr_equal(head.prev, &entry[2].link);
    assert_false(srt_list_linked(&entry[1].link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_always_the_earliest),
        cmocka_unit_test(draining_gives_all_in_order),
        cmocka_unit_test(a_failed_reserve_keeps_the_timers),
        cmocka_unit_test(a_list_survives_removal_while_walking),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
