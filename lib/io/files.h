/* Files, read on a thread of their own: a file system that hangs holds up nothing but
 * the requests for it. All calls are made on one thread, the loop's, unless said
 * otherwise. */
#ifndef SRT_IO_FILES_H
#define SRT_IO_FILES_H

#include "engine/wire.h"

struct srt_files;

/* finished(): the reply is filled, and files has forgotten the transfer; called from
 * within srt_files_collect only. wake(): from any thread, there is something to
 * collect. 0 or ERR_NOMEM. No thread is started yet. */
int srt_files_new(struct srt_files **out,
                  void (*finished)(void *self, struct srt_transfer *transfer),
                  void *self, void (*wake)(void *wake_self), void *wake_self);
/* Waits for no read: one that hangs is left behind and frees what it holds if it ends.
 */
void srt_files_free(struct srt_files *files);

/* Begins to read one file. *reading: to give up by; NULL when it could not begin: the
 * reply says why. */
void srt_files_begin(struct srt_files *files, void **reading,
                     struct srt_transfer *transfer);
void srt_files_abort(void *reading);
/* Gives it up because its time is over: fills the reply. A thread that hangs is
 * replaced by a fresh one, up to a limit. */
void srt_files_expire(void *reading);
void srt_files_collect(struct srt_files *files);

/* Around fork(), and in the child instead of free. */
void srt_files_hold(struct srt_files *files);
void srt_files_release(struct srt_files *files);
void srt_files_abandon(struct srt_files *files);

/* For tests: called on the reading thread before a file is opened; NULL: none. */
void srt_files_before_open(void (*hook)(const char *path));

#endif
