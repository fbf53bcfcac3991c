#include "io/file_read.h"
#include "base/status.h"
#include "mem/arena.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_READ_PIECE ((size_t)4096)

static void file_read_answer(struct srt_reply *reply, enum srt_outcome outcome,
                             const char *detail)
{
    reply->outcome = outcome;
    srt_text_copy(reply->detail, sizeof(reply->detail), detail);
}

static void file_read_failed(struct srt_reply *reply, int os_errno)
{
    reply->os_errno = os_errno;
    switch (os_errno) {
    case ENOENT:
    case ENOTDIR:
        file_read_answer(reply, SRT_OUTCOME_ABSENT, "no such file");
        break;
    case EACCES:
    case EPERM:
        file_read_answer(reply, SRT_OUTCOME_REFUSED, "permission denied");
        break;
    case ELOOP:
        file_read_answer(reply, SRT_OUTCOME_REFUSED, "too many symbolic links");
        break;
    case ENAMETOOLONG:
        file_read_answer(reply, SRT_OUTCOME_REFUSED, "path too long");
        break;
    case ENXIO: /* a socket */
        file_read_answer(reply, SRT_OUTCOME_REFUSED, "not a regular file");
        break;
    case ENOMEM:
        reply->outcome = SRT_OUTCOME_NOMEM;
        break;
    case EMFILE:
    case ENFILE:
        file_read_answer(reply, SRT_OUTCOME_UNREACHABLE, "too many open files");
        break;
    default:
        file_read_answer(reply, SRT_OUTCOME_UNREACHABLE, "file can't be read");
        break;
    }
}

static void file_read_pieces(struct srt_reply *reply, int fd, char *piece)
{
    ssize_t got = 0;

    for (;;) {
        got = read(fd, piece, FILE_READ_PIECE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        srt_secbuf_add(&reply->body, piece, (size_t)got);
        if (reply->body.status != 0)
            break;
    }
    if (got < 0)
        file_read_failed(reply, errno);
    else if (reply->body.status == SECRETRT_ERR_NOMEM)
        reply->outcome = SRT_OUTCOME_NOMEM;
    else if (reply->body.status != 0)
        file_read_answer(reply, SRT_OUTCOME_TOO_LARGE, "file too large");
    else
        reply->outcome = SRT_OUTCOME_ANSWERED;
}

static int file_read_same(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void file_read_open(struct srt_reply *reply, int fd)
{
    size_t max = reply->body.max != 0 ? reply->body.max : SRT_SECBUF_MAX;
    char *piece = NULL;
    struct stat before;
    struct stat after;

    if (fstat(fd, &before) != 0) {
        file_read_failed(reply, errno);
        return;
    }
    reply->file_mode = (uint32_t)before.st_mode;
    reply->file_uid = (uint32_t)before.st_uid;
    if (!S_ISREG(before.st_mode)) {
        file_read_answer(reply, SRT_OUTCOME_REFUSED, "not a regular file");
        return;
    }
    if (before.st_size > (off_t)max) {
        file_read_answer(reply, SRT_OUTCOME_TOO_LARGE, "file too large");
        return;
    }
    piece = srt_arena_alloc(FILE_READ_PIECE);
    if (piece == NULL) {
        reply->outcome = SRT_OUTCOME_NOMEM;
        return;
    }
    file_read_pieces(reply, fd, piece);
    srt_arena_free(piece);
    /* Written in place meanwhile: half of the old and half of the new is neither. */
    if (reply->outcome == SRT_OUTCOME_ANSWERED && fstat(fd, &after) == 0 &&
        !file_read_same(&before, &after))
        file_read_answer(reply, SRT_OUTCOME_UNREACHABLE,
                         "file was changed while it was read");
}

/* Symbolic links are followed: Kubernetes swaps a projected token by one. O_NONBLOCK: a
 * FIFO without a writer opens at once, and is then refused. */
void srt_file_read(struct srt_reply *reply, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        file_read_failed(reply, errno);
        return;
    }
    file_read_open(reply, fd);
    (void)close(fd);
    if (reply->outcome != SRT_OUTCOME_ANSWERED)
        srt_secbuf_wipe(&reply->body);
}
