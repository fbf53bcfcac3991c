/* membarrier(2) refused: before the first use, and only once readers rely on it. The
 * parent uses nothing of the epoch, so that each child is at its first use. */
#include "child.h"
#include "mem/epoch.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cmocka.h>

struct item {
    struct srt_retired retired;
    int released;
};

static void item_release(struct srt_retired *retired)
{
    ((struct item *)(void *)retired)->released++;
}

static void refuse_membarrier(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(CHILD_SKIPPED);
    CHECK(syscall(SYS_membarrier, 0, 0, 0) == -1);
}

static void refused_from_the_start(void *data)
{
    struct srt_reader *self = NULL;
    struct item item = {.released = 0};

    (void)data;
    refuse_membarrier();
    self = srt_reader_self();
    CHECK(self != NULL);
    CHECK(atomic_load(&srt_epoch.fence) == 1);
    srt_reader_pin(self);
    srt_epoch_retire(&item.retired, item_release);
    CHECK(srt_epoch_collect() == 1);
    srt_reader_unpin(self);
    CHECK(srt_epoch_collect() == 0); /* at once: readers have always fenced */
    CHECK(item.released == 1);
}

static void refused_later(void *data)
{
    struct srt_reader *self = srt_reader_self();
    struct item item = {.released = 0};
    int tries = 0;

    (void)data;
    CHECK(self != NULL);
    if (atomic_load(&srt_epoch.fence) != 0)
        _exit(CHILD_SKIPPED); /* this kernel has no membarrier */
    srt_epoch_retire(&item.retired, item_release);
    CHECK(srt_epoch_collect() == 0);
    CHECK(item.released == 1);
    refuse_membarrier();
    srt_epoch_retire(&item.retired, item_release);
    CHECK(srt_epoch_collect() == 1);
    CHECK(item.released == 1);
    CHECK(atomic_load(&srt_epoch.fence) == 1);
    CHECK(srt_epoch_collect() == 1);
    for (; srt_epoch_collect() != 0; tries++)
        (void)usleep(50 * 1000);
    CHECK(tries >= 15); /* the grace time is 1 s */
    CHECK(item.released == 2);
    srt_reader_pin(self);
    srt_epoch_retire(&item.retired, item_release);
    CHECK(srt_epoch_collect() == 1);
    srt_reader_unpin(self);
    CHECK(srt_epoch_collect() == 0);
    CHECK(item.released == 3);
}

static void run(void (*body)(void *data))
{
    int status = child_run(body, NULL);

    if (child_skipped(status))
        skip();
    assert_int_equal(status, 0);
}

static void readers_fence_when_it_is_absent(void **state)
{
    (void)state;
    run(refused_from_the_start);
}

static void waits_out_a_grace_time_when_it_goes_away(void **state)
{
    (void)state;
    run(refused_later);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_fence_when_it_is_absent),
        cmocka_unit_test(waits_out_a_grace_time_when_it_goes_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
