#include "io/append.h"
#include "base/alloc.h"
#include "io/descriptor.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPEND_MODE 0600
#define APPEND_PATIENCE_MS 100

struct srt_append {
    char *path;
    int fd;
    dev_t device;
    ino_t inode;
    int torn;
};

static int append_open(struct srt_append *append)
{
    struct stat st;
    int fd = open(append->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY,
                  APPEND_MODE);

    if (fd < 0)
        return errno;
    if (fstat(fd, &st) != 0) {
        close(fd);
        return EIO;
    }
    srt_fd_close(&append->fd);
    append->fd = fd;
    append->device = st.st_dev;
    append->inode = st.st_ino;
    append->torn = 0;
    return 0;
}

int srt_append_new(struct srt_append **out, const char *path,
                   struct secretrt_error *err)
{
    struct srt_append *append = srt_alloc(sizeof(*append));
    int rc;

    *out = NULL;
    if (append == NULL)
        return srt_nomem(err);
    append->fd = -1;
    append->path = srt_strdup(path);
    if (append->path == NULL) {
        srt_free(append);
        return srt_nomem(err);
    }
    rc = append_open(append);
    if (rc != 0) {
        srt_append_free(append);
        srt_fail(err, SECRETRT_ERR_AUDIT, "%s: can't be opened for appending: %s", path,
                 strerror(rc));
        if (err != NULL)
            err->os_errno = rc;
        return SECRETRT_ERR_AUDIT;
    }
    *out = append;
    return 0;
}

void srt_append_free(struct srt_append *append)
{
    if (append == NULL)
        return;
    srt_fd_close(&append->fd);
    srt_free(append->path);
    srt_free(append);
}

static int append_follow(struct srt_append *append)
{
    struct stat st;

    if (append->fd >= 0 && stat(append->path, &st) == 0 &&
        st.st_dev == append->device && st.st_ino == append->inode)
        return 0;
    return append_open(append);
}

int srt_append_line(struct srt_append *append, const char *line, size_t len)
{
    int rc = append_follow(append);
    ssize_t n;

    if (rc != 0)
        return rc;
    if (append->torn) {
        if (write(append->fd, "\n", 1) != 1)
            return errno;
        append->torn = 0;
    }
    do
        n = write(append->fd, line, len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno;
    append->torn = (size_t)n < len;
    return append->torn ? ENOSPC : 0;
}

int srt_write_line(int fd, const char *line, size_t len)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    ssize_t n;

    if (poll(&p, 1, APPEND_PATIENCE_MS) != 1 || !(p.revents & POLLOUT))
        return EAGAIN;
    do
        n = write(fd, line, len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno;
    return (size_t)n == len ? 0 : EAGAIN;
}

int srt_read_file(struct srt_buf *out, const char *path, struct secretrt_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    char chunk[4096];
    ssize_t n = 0;
    int failed = fd < 0 ? errno : 0;

    while (failed == 0 && (n = read(fd, chunk, sizeof(chunk))) != 0) {
        if (n > 0)
            srt_buf_add(out, chunk, (size_t)n);
        else if (errno != EINTR)
            failed = errno;
        if (out->status != 0)
            break;
    }
    srt_fd_close(&fd);
    if (failed == 0)
        return 0;
    srt_fail(err, SECRETRT_ERR_CONFIG, "can't be read: %s", strerror(failed));
    if (err != NULL)
        err->os_errno = failed;
    return SECRETRT_ERR_CONFIG;
}
