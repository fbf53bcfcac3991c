#include "io/descriptor.h"
#include "base/alloc.h"
#include "base/heap.h"
#include <secretrt/error.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* The year 2242: no timer of ours, and inside what every kernel takes. */
#define DESCRIPTOR_FAR_S 8589934592
#define DESCRIPTOR_LIST_STEP 16

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
    srt_free(list->fd);
    *list = (struct srt_fd_list){.fd = NULL};
}
