#include "child.h"
#include "mem/arena.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define LARGE ((size_t)100 * 1024)

/* Freed memory, on purpose. */
__attribute__((noinline, no_sanitize("address"))) static int all_zero(const char *data,
                                                                      size_t len)
{
    const volatile char *p = data;

    for (size_t i = 0; i < len; i++) {
        if (p[i] != 0)
            return 0;
    }
    return 1;
}

static struct srt_arena_stats stats(void)
{
    struct srt_arena_stats now;

    srt_arena_stats_get(&now);
    return now;
}

static void probe_maps_the_first_chunk(void **state)
{
    int level = SRT_ARENA_NONE;

    (void)state;
    assert_int_equal(stats().level, SRT_ARENA_NONE);
    level = srt_arena_probe();
    assert_int_not_equal(level, SRT_ARENA_NONE);
    assert_int_equal(stats().level, level);
    assert_int_equal(stats().mapped, 32 * 1024);
    assert_int_equal(stats().used, 0);
    assert_int_equal(srt_arena_probe(), level);
    assert_int_equal(stats().mapped, 32 * 1024);
}

static void is_aligned_zeroed_and_owned(void **state)
{
    char *a = srt_arena_alloc(1);
    char *b = srt_arena_alloc(17);
    char *c = srt_arena_alloc(0);
    int local = 0;

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_int_equal((uintptr_t)b % 16, 0);
    assert_int_equal((uintptr_t)c % 16, 0);
    assert_int_equal(stats().used, 3 * 64);
    assert_true(all_zero(b, 17));
    assert_int_equal(srt_arena_owns(b + 16), 1);
    assert_int_equal(srt_arena_owns(&local), 0);
    srt_arena_free(a);
    srt_arena_free(b);
    srt_arena_free(c);
    srt_arena_free(NULL);
    srt_arena_free(&local);
    assert_int_equal(stats().used, 0);
}

static void wipes_on_free_and_uses_the_lowest_place_again(void **state)
{
    char *a = srt_arena_alloc(100);
    char *b = srt_arena_alloc(100);

    (void)state;
    memset(a, 'S', 100);
    srt_arena_free(a);
    assert_true(all_zero(a, 112));
    assert_ptr_equal(srt_arena_alloc(112), a);
    assert_true(all_zero(a, 112));
    srt_arena_free(a);
    srt_arena_free(b);
}

static void joins_neighbours(void **state)
{
    char *block[5];
    char *whole = NULL;
    size_t mapped = stats().mapped;

    (void)state;
    for (size_t i = 0; i < 5; i++)
        block[i] = srt_arena_alloc(4096);
    srt_arena_free(block[1]);
    srt_arena_free(block[3]);
    srt_arena_free(block[2]); /* joins both sides */
    whole = srt_arena_alloc((size_t)3 * 4096);
    assert_ptr_equal(whole, block[1]);
    srt_arena_free(whole);
    srt_arena_free(block[0]);
    srt_arena_free(block[4]);
    whole = srt_arena_alloc((size_t)32 * 1024);
    assert_ptr_equal(whole, block[0]);
    srt_arena_free(whole);
    assert_int_equal(stats().mapped, mapped);
}

static void grows_and_wipes_the_old_place(void **state)
{
    char *a = srt_arena_grow(NULL, 20);
    char *after = srt_arena_alloc(16);
    char *bigger = NULL;

    (void)state;
    memset(a, 'S', 20);
    assert_ptr_equal(srt_arena_grow(a, 32), a); /* there is room */
    a[31] = 'E';
    bigger = srt_arena_grow(a, 5000);
    assert_ptr_not_equal(bigger, a);
    assert_true(all_zero(a, 32));
    assert_memory_equal(bigger, "SSSSSSSSSSSSSSSSSSSS", 20);
    assert_int_equal(bigger[31], 'E');
    assert_true(all_zero(bigger + 32, 5000 - 32));
    bigger = srt_arena_grow(bigger, LARGE);
    assert_memory_equal(bigger, "SSSSSSSSSSSSSSSSSSSS", 20);
    assert_int_equal(bigger[31], 'E');
    srt_arena_fail_after(1);
    assert_null(srt_arena_grow(bigger, 2 * LARGE));
    assert_int_equal(bigger[31], 'E');
    srt_arena_free(bigger);
    srt_arena_free(after);
    assert_int_equal(stats().used, 0);
    assert_int_equal(stats().large, 0);
}

static void large_blocks_are_mappings_of_their_own(void **state)
{
    size_t used = stats().used;
    char *a = srt_arena_alloc(LARGE);
    char *b = srt_arena_alloc(LARGE);

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_true(stats().large >= 2 * LARGE);
    assert_int_equal(stats().used, used);
    assert_true(all_zero(a, LARGE));
    memset(a, 'S', LARGE);
    assert_int_equal(srt_arena_owns(a + LARGE - 1), 1);
    srt_arena_free(a);
    assert_int_equal(srt_arena_owns(a), 0);
    srt_arena_free(b);
    assert_int_equal(stats().large, 0);
    assert_null(srt_arena_alloc(SIZE_MAX));
    assert_null(srt_arena_alloc(SIZE_MAX / 2));
}

static void fails_the_nth_allocation_once(void **state)
{
    void *a = NULL;
    void *b = NULL;

    (void)state;
    srt_arena_fail_after(2);
    a = srt_arena_alloc(10);
    assert_non_null(a);
    assert_null(srt_arena_alloc(10));
    b = srt_arena_alloc(10);
    assert_non_null(b);
    srt_arena_fail_after(1);
    srt_arena_fail_after(0);
    srt_arena_free(a);
    a = srt_arena_alloc(10);
    assert_non_null(a);
    srt_arena_free(a);
    srt_arena_free(b);
}

static void touch(void *place)
{
    *(volatile char *)place = 1;
}

static void before_the_first_byte(void *data)
{
    (void)data;
    touch((char *)srt_arena_alloc(16) - 1);
}

static void after_the_last_byte(void *data)
{
    char *a = srt_arena_alloc((size_t)32 * 1024); /* the whole first chunk */

    (void)data;
    touch(a + (size_t)32 * 1024 - 1);
    touch(a + (size_t)32 * 1024);
}

static void after_a_large_block(void *data)
{
    (void)data;
    touch((char *)srt_arena_alloc((size_t)128 * 1024) + (size_t)128 * 1024);
}

static void guards_each_side(void **state)
{
    (void)state;
    assert_true(child_crashed(child_run(before_the_first_byte, NULL)));
    assert_true(child_crashed(child_run(after_the_last_byte, NULL)));
    assert_true(child_crashed(child_run(after_a_large_block, NULL)));
}

/* Each live block holds its own number in each word, new blocks hold zero. */
static void keeps_blocks_apart(void **state)
{
    enum { BLOCKS = 600, ROUNDS = 60000 };
    static struct {
        uint64_t *data;
        size_t n;
    } block[BLOCKS];
    uint64_t seed = 42;

    (void)state;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        size_t i = 0;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        i = (seed >> 33) % BLOCKS;
        for (size_t w = 0; w < block[i].n; w++)
            assert_true(block[i].data[w] == i + 1);
        srt_arena_free(block[i].data);
        block[i].n = 1 + (seed >> 44) % (round % 50 == 0 ? 8192 : 40);
        block[i].data = srt_arena_alloc(block[i].n * 8);
        assert_non_null(block[i].data);
        assert_true(all_zero((char *)block[i].data, block[i].n * 8));
        for (size_t w = 0; w < block[i].n; w++)
            block[i].data[w] = i + 1;
    }
    for (size_t i = 0; i < BLOCKS; i++)
        srt_arena_free(block[i].data);
    assert_int_equal(stats().used, 0);
    assert_int_equal(stats().large, 0);
}

static void *hammer(void *data)
{
    enum { BLOCKS = 64, ROUNDS = 20000 };
    unsigned char *block[BLOCKS] = {NULL};
    size_t len[BLOCKS] = {0};
    uint64_t seed = (uintptr_t)data;
    int bad = 0;

    for (int round = 0; round < ROUNDS; round++) {
        size_t i = 0;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        i = (seed >> 33) % BLOCKS;
        bad += block[i] != NULL && (block[i][0] != (unsigned char)(uintptr_t)data ||
                                    block[i][len[i] - 1] != block[i][0]);
        srt_arena_free(block[i]);
        len[i] = 1 + (seed >> 40) % (round % 1000 == 0 ? 2 * LARGE : 700);
        block[i] = srt_arena_alloc(len[i]);
        if (block[i] != NULL)
            memset(block[i], (int)(uintptr_t)data, len[i]);
        else
            bad++;
    }
    for (size_t i = 0; i < BLOCKS; i++)
        srt_arena_free(block[i]);
    return (void *)(uintptr_t)bad;
}

static void serves_threads_at_once(void **state)
{
    pthread_t thread[8];
    void *bad = NULL;

    (void)state;
    for (uintptr_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, hammer, (void *)(i + 1)), 0);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(thread[i], &bad), 0);
        assert_null(bad);
    }
    assert_int_equal(stats().used, 0);
    assert_int_equal(stats().large, 0);
}

/* The "VmFlags:" of the mapping that holds place. */
static void map_flags(const void *place, char *out, size_t cap)
{
    FILE *maps = fopen("/proc/self/smaps", "re");
    char line[512];
    uintptr_t from = 0;
    uintptr_t to = 0;
    uintptr_t at = (uintptr_t)place;

    out[0] = '\0';
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        char *end = NULL;
        uintptr_t start = strtoul(line, &end, 16);
        if (*end == '-') {
            from = start;
            to = strtoul(end + 1, NULL, 16);
        }
        if (strncmp(line, "VmFlags:", 8) == 0 && from <= at && at < to)
            snprintf(out, cap, "%s", line);
    }
    if (maps != NULL)
        fclose(maps);
}

static void is_kept_from_dumps_and_children(void **state)
{
    char flags[512];
    char *small = srt_arena_alloc(10);
    char *large = srt_arena_alloc(LARGE);

    (void)state;
    map_flags(small, flags, sizeof(flags));
    assert_non_null(strstr(flags, " dd")); /* not dumped */
    assert_non_null(strstr(flags, " dc")); /* not copied on fork */
    map_flags(large, flags, sizeof(flags));
    assert_non_null(strstr(flags, " dd"));
    assert_non_null(strstr(flags, " dc"));
    srt_arena_free(small);
    srt_arena_free(large);
}

static void is_hidden_from_proc_mem(void **state)
{
    char *secret = srt_arena_alloc(64);
    char *open_text = malloc(64);
    char seen[64];
    int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

    (void)state;
    memset(secret, 'S', 64);
    memset(open_text, 'S', 64);
    if (srt_arena_probe() == SRT_ARENA_SECRET && fd >= 0) {
        assert_int_equal(pread(fd, seen, 64, (off_t)(uintptr_t)open_text), 64);
        errno = 0;
        assert_int_equal(pread(fd, seen, 64, (off_t)(uintptr_t)secret), -1);
        assert_int_equal(errno, EIO);
    } else {
        print_message("no memfd_secret here: not checked\n");
    }
    if (fd >= 0)
        close(fd);
    free(open_text);
    srt_arena_free(secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probe_maps_the_first_chunk),
        cmocka_unit_test(is_aligned_zeroed_and_owned),
        cmocka_unit_test(wipes_on_free_and_uses_the_lowest_place_again),
        cmocka_unit_test(joins_neighbours),
        cmocka_unit_test(grows_and_wipes_the_old_place),
        cmocka_unit_test(large_blocks_are_mappings_of_their_own),
        cmocka_unit_test(fails_the_nth_allocation_once),
        cmocka_unit_test(guards_each_side),
        cmocka_unit_test(keeps_blocks_apart),
        cmocka_unit_test(serves_threads_at_once),
        cmocka_unit_test(is_kept_from_dumps_and_children),
        cmocka_unit_test(is_hidden_from_proc_mem),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
