#include "mem/arena_map.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if !defined(SYS_memfd_secret) && defined(__linux__)
#define SYS_memfd_secret 447 /* one number on every architecture that has it */
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#define SPAN_RW (PROT_READ | PROT_WRITE)

static int
    span_secret_absent; /* ENOSYS once: guarded, as all here, by the arena's lock */

static size_t span_page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* The guards are pages of the mapping itself: laying a second mapping over a reserved
 * range leaves a hole when it fails, and another thread may fill that. */
static void *span_secret(size_t total)
{
    void *area = MAP_FAILED;
    int fd = -1;

    if (span_secret_absent)
        return NULL;
    fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
    if (fd < 0) {
        span_secret_absent = errno == ENOSYS;
        return NULL;
    }
    if (ftruncate(fd, (off_t)total) == 0)
        area = mmap(NULL, total, SPAN_RW, MAP_SHARED, fd, 0);
    (void)close(fd);
    return area == MAP_FAILED ? NULL : area;
}

static void *span_anonymous(size_t total)
{
    void *area = mmap(NULL, total, SPAN_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return area == MAP_FAILED ? NULL : area;
}

int srt_span_map(struct srt_span *out, size_t len, int best)
{
    size_t page = span_page();
    size_t total = 0;
    char *area = NULL;

    *out = (struct srt_span){.level = SRT_ARENA_SECRET};
    if (len > SIZE_MAX / 2)
        return -1;
    len = (len + page - 1) / page * page;
    total = len + 2 * page;
    if (best >= SRT_ARENA_SECRET)
        area = span_secret(total);
    if (area == NULL) {
        out->level = SRT_ARENA_PLAIN;
        area = span_anonymous(total);
    }
    if (area == NULL)
        return -1;
    out->base = area + page;
    out->len = len;
    if (mprotect(area, page, PROT_NONE) != 0 ||
        mprotect(out->base + len, page, PROT_NONE) != 0 ||
        madvise(area, total, MADV_DONTDUMP) != 0 ||
        madvise(area, total, MADV_DONTFORK) != 0) {
        srt_span_unmap(out);
        return -1;
    }
    if (out->level == SRT_ARENA_PLAIN && best >= SRT_ARENA_LOCKED &&
        mlock(out->base, len) == 0)
        out->level = SRT_ARENA_LOCKED;
    return 0;
}

void srt_span_unmap(const struct srt_span *span)
{
    (void)munmap(span->base - span_page(), span->len + 2 * span_page());
}

void srt_span_close(const struct srt_span *span)
{
    (void)mprotect(span->base, span->len, PROT_NONE);
}

int srt_span_hold(const struct srt_span *span)
{
    char *area = span->base - span_page();
    size_t total = span->len + 2 * span_page();
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    void *held = mmap(area, total, PROT_NONE, flags, -1, 0);

    if (held == area)
        return 0;
    if (held != MAP_FAILED) /* a kernel before 4.17 takes the address for a hint */
        (void)munmap(held, total);
    return -1;
}
