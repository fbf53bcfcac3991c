#include "child.h"
#include "mem/arena.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define BLOCKS 400
#define LARGE ((size_t)100 * 1024)

struct blocks {
    char *small[BLOCKS];
    char *large;
    uint32_t stamp;
};

static void blocks_fill(struct blocks *blocks)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks->small[i] = srt_arena_alloc(1000);
        CHECK(blocks->small[i] != NULL);
        memset(blocks->small[i], (int)(i % 100) + 1, 1000);
    }
    blocks->large = srt_arena_alloc(LARGE);
    CHECK(blocks->large != NULL);
    memset(blocks->large, 'L', LARGE);
    blocks->stamp = srt_fork_stamp();
}

static void blocks_check(const struct blocks *blocks)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK(blocks->small[i][0] == (char)(i % 100) + 1);
        CHECK(blocks->small[i][999] == (char)(i % 100) + 1);
    }
    CHECK(blocks->large[0] == 'L' && blocks->large[LARGE - 1] == 'L');
}

static void blocks_free(const struct blocks *blocks)
{
    for (size_t i = 0; i < BLOCKS; i++)
        srt_arena_free(blocks->small[i]);
    srt_arena_free(blocks->large);
}

static void starts_afresh(void *data)
{
    const struct blocks *parents = data;
    struct srt_arena_stats stats;
    struct blocks own;

    CHECK(srt_fork_stamp() == parents->stamp + 1);
    srt_arena_stats_get(&stats);
    CHECK(stats.mapped == 0 && stats.used == 0 && stats.large == 0);
    CHECK(srt_arena_owns(parents->small[0]) == 0);
    CHECK(srt_arena_owns(parents->large) == 0);
    CHECK(srt_arena_grow(parents->small[0], 5000) == NULL);
    blocks_fill(&own);
    blocks_free(parents);
    blocks_check(&own);
    CHECK(srt_arena_grow(parents->large, 2 * LARGE) == NULL);
    blocks_free(&own);
    srt_arena_stats_get(&stats);
    CHECK(stats.used == 0 && stats.large == 0);
}

static void again(void *data)
{
    struct blocks own;

    blocks_fill(&own);
    CHECK(child_run(starts_afresh, &own) == 0);
    blocks_check(&own);
    blocks_free(data);
    blocks_check(&own);
}

static void reads_a_small_block(void *data)
{
    (void)*(volatile char *)((struct blocks *)data)->small[7];
}

static void reads_a_large_block(void *data)
{
    (void)*(volatile char *)((struct blocks *)data)->large;
}

static void the_child_starts_afresh(void **state)
{
    struct blocks blocks;

    (void)state;
    blocks_fill(&blocks);
    assert_int_equal(child_run(starts_afresh, &blocks), 0);
    assert_int_equal(child_run(again, &blocks), 0);
    assert_true(child_crashed(child_run(reads_a_small_block, &blocks)));
    assert_true(child_crashed(child_run(reads_a_large_block, &blocks)));
    assert_int_equal(srt_fork_stamp(), blocks.stamp);
    blocks_check(&blocks);
    blocks_free(&blocks);
}

/* Another library's child handler, run before ours, has taken the parent's addresses:
 * they are not ours to hold, and must not come back as ours. */
static void the_parents_addresses_never_come_back(void **state)
{
    struct blocks blocks;
    struct blocks own;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int status = -1;
    pid_t pid = -1;

    (void)state;
    blocks_fill(&blocks);
    srt_arena_fork_prepare();
    pid = fork();
    if (pid == 0) {
        void *taken = (void *)((uintptr_t)blocks.large & ~(uintptr_t)(page - 1));
        CHECK(mmap(taken, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                   0) == taken);
        srt_arena_fork_child();
        CHECK(munmap(taken, page) == 0);
        for (int i = 0; i < 64; i++) {
            char *large = srt_arena_alloc(LARGE);
            CHECK(large != NULL);
            CHECK(large + LARGE <= blocks.large || blocks.large + LARGE <= large);
        }
        blocks_fill(&own);
        blocks_free(&blocks);
        blocks_check(&own);
        _exit(0);
    }
    srt_arena_fork_parent();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    blocks_free(&blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_child_starts_afresh),
        cmocka_unit_test(the_parents_addresses_never_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
