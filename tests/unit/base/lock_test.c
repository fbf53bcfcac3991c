#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/lock.h"

struct shared {
    struct srt_lock lock;
    struct srt_cond cond;
    int value;
};

static void *add_and_wake(void *data)
{
    struct shared *shared = data;

    for (int i = 0; i < 10000; i++) {
        srt_lock_take(&shared->lock);
        shared->value++;
        srt_lock_give(&shared->lock);
    }
    srt_cond_signal_all(&shared->cond);
    return NULL;
}

static void a_wait_ends_when_its_time_has_come(void **state)
{
    struct shared shared = {.lock = SRT_LOCK_INIT};
    int64_t begin_ms = srt_mono_ms();

    (void)state;
    srt_cond_init(&shared.cond);
    srt_lock_take(&shared.lock);
    while (srt_cond_wait_until(&shared.cond, &shared.lock, begin_ms + 30))
        continue;
    assert_true(srt_mono_ms() >= begin_ms + 30);
    assert_false(srt_cond_wait_until(&shared.cond, &shared.lock, begin_ms));
    assert_false(srt_cond_wait_until(&shared.cond, &shared.lock, -1));
    srt_lock_give(&shared.lock);
    srt_cond_wipe(&shared.cond);
    srt_lock_wipe(&shared.lock);
}

static void a_wait_ends_when_it_is_woken(void **state)
{
    struct shared shared = {.value = 0};
    pthread_t thread[2];

    (void)state;
    srt_lock_init(&shared.lock);
    srt_cond_init(&shared.cond);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, add_and_wake, &shared), 0);
    srt_lock_take(&shared.lock);
    while (shared.value < 10000)
        srt_cond_wait(&shared.cond, &shared.lock);
    while (shared.value < 20000)
        assert_true(srt_cond_wait_until(&shared.cond, &shared.lock, INT64_MAX));
    srt_lock_give(&shared.lock);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(shared.value, 20000);
    srt_cond_wipe(&shared.cond);
    srt_lock_wipe(&shared.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_ends_when_its_time_has_come),
        cmocka_unit_test(a_wait_ends_when_it_is_woken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
