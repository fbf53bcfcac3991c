/* Event and timer descriptors of the loop: all close-on-exec, none blocks. */
#ifndef SRT_IO_DESCRIPTOR_H
#define SRT_IO_DESCRIPTOR_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Each answers a descriptor, or -1 with errno. */
int srt_fd_event(void);
int srt_fd_timer(clockid_t clock);
/* Readable whenever the wall clock is set. */
int srt_fd_wall_watch(void);

void srt_fd_signal(int fd); /* an event; never blocks */
void srt_fd_drain(int fd);  /* event or timer: not readable after it */
void srt_fd_timer_set(int fd, int64_t at_ms); /* absolute; SRT_NEVER disarms */
void srt_fd_close(int *fd);                   /* -1 ok; leaves -1 */

/* Descriptors that are open and not in our own hands. */
struct srt_fd_list {
    int *fd;
    size_t n;
    size_t cap;
};

int srt_fd_list_add(struct srt_fd_list *list, int fd); /* 0 or ERR_NOMEM */
void srt_fd_list_remove(struct srt_fd_list *list, int fd);
void srt_fd_list_close(struct srt_fd_list *list); /* all of them, and frees the list */
void srt_fd_list_wipe(struct srt_fd_list *list);  /* closes nothing */

/* Finds the two ends of a socket pair that another library has made and does not show,
 * by what signal() and drain() do to it; leaves the list empty if that is not certain.
 */
struct srt_fd_pair_probe {
    void (*signal)(void *self);
    void (*drain)(void *self);
    void *self;
};
void srt_fd_list_find_pair(struct srt_fd_list *list,
                           const struct srt_fd_pair_probe *probe);
void srt_fd_list_close_on_exec(const struct srt_fd_list *list);

#endif
