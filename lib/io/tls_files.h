/* Tells when the files of a TLS connection have changed on disk, so that new
 * connections are made with the new ones and old ones are not taken up again. */
#ifndef SRT_IO_TLS_FILES_H
#define SRT_IO_TLS_FILES_H

#include "base/buf.h"
#include "base/list.h"
#include "engine/wire.h"

struct srt_tls_files {
    struct srt_list sets; /* one entry per set of paths ever asked for */
};

void srt_tls_files_init(struct srt_tls_files *files);
void srt_tls_files_wipe(struct srt_tls_files *files);

/* How often the set was seen to change; looks at its files. -1: out of memory. */
int srt_tls_generation(struct srt_tls_files *files, const struct srt_tls *tls);
/* The same file under a spelling of its own per generation: whoever keeps connections
 * or parsed certificates by the text of a path can't mistake an old one for the new. */
void srt_tls_spell(struct srt_buf *out, const char *path, int generation);

#endif
