/* Reads one regular file whole, into protected memory. Blocks as long as the file
 * system does. */
#ifndef SRT_IO_FILE_READ_H
#define SRT_IO_FILE_READ_H

#include "engine/wire.h"

/* Fills outcome, body (up to its max), file_mode, file_uid, detail and os_errno. */
void srt_file_read(struct srt_reply *reply, const char *path);

#endif
