#include "io/descriptor.h"
#include "base/alloc.h"
#include "base/heap.h"
#include <fcntl.h>
#include <secretrt/error.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* The year 2242: no timer of ours, and inside what every kernel takes. */
#define DESCRIPTOR_FAR_S 8589934592
#define DESCRIPTOR_LIST_STEP 16
/* A descriptor made a moment ago is below the lowest free one, unless lower ones were
 * closed meanwhile. */
#define DESCRIPTOR_SCAN_BEYOND 64
#define DESCRIPTOR_PROBES 3

int srt_fd_event(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

int srt_fd_timer(clockid_t clock)
{
    return timerfd_create(clock, TFD_CLOEXEC | TFD_NONBLOCK);
}

int srt_fd_wall_watch(void)
{
    struct itimerspec far = {.it_value = {.tv_sec = DESCRIPTOR_FAR_S}};
    int fd = srt_fd_timer(CLOCK_REALTIME);

    if (fd < 0)
        return -1;
    if (timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL) !=
        0)
        srt_fd_close(&fd);
    return fd;
}

void srt_fd_signal(int fd)
{
    const uint64_t one = 1;
    ssize_t put = write(fd, &one, sizeof(one)); /* EAGAIN: it is readable already */

    (void)put;
}

void srt_fd_drain(int fd)
{
    uint64_t count = 0;
    ssize_t got = read(fd, &count, sizeof(count)); /* ECANCELED: the clock was set */

    (void)got;
}

void srt_fd_timer_set(int fd, int64_t at_ms)
{
    struct itimerspec at = {.it_value = {0, 0}};

    if (at_ms != SRT_NEVER) {
        if (at_ms <= 0)
            at_ms = 1; /* zero would disarm it */
        at.it_value.tv_sec = (time_t)(at_ms / 1000);
        at.it_value.tv_nsec = (long)(at_ms % 1000) * 1000000L;
    }
    (void)timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL);
}

void srt_fd_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

int srt_fd_list_add(struct srt_fd_list *list, int fd)
{
    size_t cap = list->cap + DESCRIPTOR_LIST_STEP;

    if (list->n == list->cap) {
        int *grown = srt_grow_array(list->fd, list->cap, cap, sizeof(*grown));

        if (grown == NULL)
            return SECRETRT_ERR_NOMEM;
        list->fd = grown;
        list->cap = cap;
    }
    list->fd[list->n++] = fd;
    return 0;
}

void srt_fd_list_remove(struct srt_fd_list *list, int fd)
{
    size_t i;

    for (i = 0; i < list->n; i++) {
        if (list->fd[i] == fd) {
            list->fd[i] = list->fd[--list->n];
            return;
        }
    }
}

void srt_fd_list_close(struct srt_fd_list *list)
{
    while (list->n > 0)
        (void)close(list->fd[--list->n]);
    srt_fd_list_wipe(list);
}

void srt_fd_list_wipe(struct srt_fd_list *list)
{
    srt_free(list->fd);
    *list = (struct srt_fd_list){.fd = NULL};
}

/* 1: bytes wait in it, or at its peer. Looks only: it may be anybody's. */
static int descriptor_pending(int fd)
{
    int domain = 0;
    int in = 0;
    int out = 0;
    socklen_t len = sizeof(domain);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 || domain != AF_UNIX)
        return 0;
    return (ioctl(fd, FIONREAD, &in) == 0 && in > 0) ||
           (ioctl(fd, TIOCOUTQ, &out) == 0 && out > 0);
}

static void descriptor_scan(unsigned char *matches, int end, int pending)
{
    int fd;

    for (fd = 0; fd < end; fd++)
        matches[fd] =
            (unsigned char)(matches[fd] + (descriptor_pending(fd) == pending));
}

void srt_fd_list_find_pair(struct srt_fd_list *list,
                           const struct srt_fd_pair_probe *probe)
{
    int lowest_free = srt_fd_event();
    int end = lowest_free + DESCRIPTOR_SCAN_BEYOND;
    unsigned char *matches = lowest_free < 0 ? NULL : srt_alloc((size_t)end);
    int fd;
    int i;

    srt_fd_close(&lowest_free);
    for (i = 0; matches != NULL && i < DESCRIPTOR_PROBES; i++) {
        probe->signal(probe->self);
        descriptor_scan(matches, end, 1);
        probe->drain(probe->self);
        descriptor_scan(matches, end, 0);
    }
    for (fd = 0; matches != NULL && fd < end; fd++) {
        if (matches[fd] == 2 * DESCRIPTOR_PROBES && srt_fd_list_add(list, fd) != 0)
            break;
    }
    srt_free(matches);
    if (list->n != 2)
        srt_fd_list_wipe(list);
}

void srt_fd_list_close_on_exec(const struct srt_fd_list *list)
{
    size_t i;

    for (i = 0; i < list->n; i++)
        (void)fcntl(list->fd[i], F_SETFD, FD_CLOEXEC);
}
