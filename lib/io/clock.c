#include "io/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now = {0, 0};

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t srt_clock_boot_ms(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

int64_t srt_clock_wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

/* For a kernel, or a seccomp filter, without getrandom(2). */
static ssize_t clock_urandom(void *out, size_t len)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    ssize_t got = -1;

    if (fd < 0)
        return -1;
    got = read(fd, out, len);
    (void)close(fd);
    return got;
}

void srt_clock_random(void *out, size_t len)
{
    unsigned char *at = out;

    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            got = clock_urandom(at, len);
        if (got <= 0)
            abort();
        at += got;
        len -= (size_t)got;
    }
}
