/* What the system grants, and what is left when it refuses. */
#include "base/alloc.h"
#include "child.h"
#include "mem/arena.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cmocka.h>

#define NOBODY 65534
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REFUSED SRT_ARENA_LOCKED /* their mlock does nothing and says it did */
#else
#define REFUSED SRT_ARENA_PLAIN
#endif

static struct srt_arena_stats stats(void)
{
    struct srt_arena_stats now;

    srt_arena_stats_get(&now);
    return now;
}

/* As a user without CAP_IPC_LOCK who may lock so many bytes. */
static void become_nobody(rlim_t lockable)
{
    struct rlimit limit = {lockable, lockable};

    CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    if (getuid() == 0)
        CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0);
    /* A new user makes it undumpable, which closes /proc/self to a sanitizer. */
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void use_it(void)
{
    char *a = srt_arena_alloc(1000);
    char *b = srt_arena_alloc((size_t)40 * 1024);

    CHECK(a != NULL && b != NULL);
    memset(a, 'S', 1000);
    memset(b, 'S', (size_t)40 * 1024);
    srt_arena_free(a);
    CHECK(stats().used == (size_t)40 * 1024);
    srt_arena_free(b);
    CHECK(stats().used == 0);
}

static void without_any_lock(void *data)
{
    (void)data;
    become_nobody(0);
    CHECK(srt_arena_probe() == REFUSED);
    CHECK(stats().lock_refused == (REFUSED == SRT_ARENA_PLAIN));
    use_it();
    CHECK(stats().level == REFUSED);
}

static void with_room_for_one_chunk(void *data)
{
    int first = SRT_ARENA_NONE;

    (void)data;
    become_nobody((rlim_t)64 * 1024);
    first = srt_arena_probe();
    CHECK(first >= SRT_ARENA_LOCKED);
    CHECK(stats().lock_refused == 0);
    use_it(); /* its 40 KiB need a second chunk */
    CHECK(stats().level == REFUSED);
    CHECK(stats().lock_refused == (REFUSED == SRT_ARENA_PLAIN));
    CHECK(srt_arena_probe() == first);
}

static void many_secrets(void *data)
{
    static char *secret[10000];

    (void)data;
    become_nobody((rlim_t)8 * 1024 * 1024);
    for (size_t i = 0; i < 10000; i++) {
        secret[i] = srt_arena_alloc(256);
        CHECK(secret[i] != NULL);
        snprintf(secret[i], 256, "secret %zu", i);
    }
    CHECK(stats().used == (size_t)10000 * 256);
    CHECK(stats().mapped < (size_t)4 * 1024 * 1024);
    CHECK(stats().lock_refused == 0);
    for (size_t i = 0; i < 10000; i++) {
        char expected[32];
        snprintf(expected, sizeof(expected), "secret %zu", i);
        CHECK(strcmp(secret[i], expected) == 0);
        srt_arena_free(secret[i]);
    }
    CHECK(stats().used == 0);
}

static void forced(void *data)
{
    int level = *(int *)data;

    srt_arena_force_level(level);
    if (srt_arena_probe() != level)
        _exit(level == SRT_ARENA_LOCKED ? CHILD_SKIPPED : 1);
    use_it();
    CHECK(stats().level == level);
    CHECK((stats().lock_refused == 0) == (level == SRT_ARENA_LOCKED));
}

static void falls_back_when_nothing_may_be_locked(void **state)
{
    (void)state;
    assert_int_equal(child_run(without_any_lock, NULL), 0);
}

static void falls_back_for_one_chunk_only(void **state)
{
    (void)state;
    assert_int_equal(child_run(with_room_for_one_chunk, NULL), 0);
}

static void packs_ten_thousand_secrets(void **state)
{
    (void)state;
    assert_int_equal(child_run(many_secrets, NULL), 0);
}

static void works_at_each_level(void **state)
{
    int level = SRT_ARENA_PLAIN;
    int status = 0;

    (void)state;
    assert_int_equal(child_run(forced, &level), 0);
    level = SRT_ARENA_LOCKED;
    status = child_run(forced, &level);
    if (child_skipped(status))
        print_message("mlock is refused here: not checked\n");
    else
        assert_int_equal(status, 0);
}

static size_t heap_left;

static void *heap_alloc(size_t len, void *data)
{
    (void)data;
    if (heap_left == 0)
        return NULL;
    heap_left--;
    return malloc(len);
}

static void heap_release(void *ptr, void *data)
{
    (void)data;
    free(ptr);
}

static void without_heap(void *data)
{
    const struct srt_allocator heap = {heap_alloc, heap_release, NULL};

    (void)data;
    srt_allocator_set(&heap);
    for (size_t n = 0; n < 2; n++) { /* a head and its tags */
        heap_left = n;
        CHECK(srt_arena_alloc(10) == NULL);
        CHECK(stats().mapped == 0);
    }
    heap_left = 2;
    CHECK(srt_arena_alloc(10) != NULL);
    CHECK(srt_arena_alloc(10) != NULL);
    CHECK(srt_arena_alloc((size_t)65 * 1024) == NULL);
    CHECK(stats().large == 0);
}

static void survives_a_full_heap(void **state)
{
    (void)state;
    assert_int_equal(child_run(without_heap, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(falls_back_when_nothing_may_be_locked),
        cmocka_unit_test(falls_back_for_one_chunk_only),
        cmocka_unit_test(packs_ten_thousand_secrets),
        cmocka_unit_test(works_at_each_level),
        cmocka_unit_test(survives_a_full_heap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
