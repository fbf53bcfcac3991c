/* A file that is appended to line by line, and reading a small file whole. Both may
 * block: never on the renewal thread. */
#ifndef SRT_IO_APPEND_H
#define SRT_IO_APPEND_H

#include "base/buf.h"
#include <secretrt/error.h>

struct srt_append;

/* Creates it with mode 0600 if need be. 0, ERR_AUDIT with os_errno, ERR_NOMEM. */
int srt_append_new(struct srt_append **out, const char *path,
                   struct secretrt_error *err);
/* One write(2) a line. Opens the path anew when it names another file (rotated); ends a
 * line that an earlier write left torn. 0, or the errno. */
int srt_append_line(struct srt_append *append, const char *line, size_t len);
void srt_append_free(struct srt_append *append); /* NULL ok */

/* A pipe's or socket's: 0, or the errno; gives up after 100 ms. */
int srt_write_line(int fd, const char *line, size_t len);

/* The whole of a small text file. 0; ERR_CONFIG with os_errno; ERR_NOMEM. */
int srt_read_file(struct srt_buf *out, const char *path, struct secretrt_error *err);

#endif
