#include "io/files.h"
#include "base/alloc.h"
#include "base/lock.h"
#include "base/status.h"
#include "io/file_read.h"
#include "io/worker.h"
#include <stdatomic.h>
#include <string.h>

#define FILES_STUCK_MAX 4    /* threads left behind in a file system that hangs */
#define FILES_STUCK_MS 500   /* a read of at most 1 MiB that takes longer is ill */
#define FILES_END_WAIT_MS 50 /* for a read that is under way when all is closed */

/* What the loop's thread and readers share; the last one frees it. */
struct files_port {
    struct srt_lock lock; /* guards all below, and `state` of the readings */
    struct srt_list done;
    unsigned refs;
    void (*wake)(void *self); /* NULL: closed, nobody collects */
    void *wake_self;
};

enum files_state {
    FILES_QUEUED = 0,
    FILES_RUNNING,
    FILES_DONE,
    FILES_CANCELLED /* while it was queued */
};

struct files_reading {
    struct srt_job job;
    struct srt_list link; /* in readings */
    struct srt_files *files;
    struct files_port *port;
    struct srt_transfer *transfer; /* NULL: nobody waits for it any more */
    enum files_state state;
    int posted; /* a thread has it, or had it and it is in done */
    int left;   /* its thread was left behind with it */
    char *path;
    struct srt_reply reply; /* the reader's, until it is done */
    struct srt_list done;   /* in the port's list */
};

struct srt_files {
    struct files_port *port;
    struct srt_worker *worker; /* NULL: not needed yet */
    struct srt_list readings;
    struct srt_list again; /* taken back from a thread that was left behind */
    unsigned stuck;
    void (*finished)(void *self, struct srt_transfer *transfer);
    void *self;
};

static _Atomic(void (*)(const char *)) files_hook;

void srt_files_before_open(void (*hook)(const char *path))
{
    atomic_store(&files_hook, hook);
}

int srt_files_new(struct srt_files **out,
                  void (*finished)(void *self, struct srt_transfer *transfer),
                  void *self, void (*wake)(void *wake_self), void *wake_self)
{
    struct srt_files *files = srt_alloc(sizeof(*files));
    struct files_port *port = srt_alloc(sizeof(*port));

    *out = NULL;
    if (files == NULL || port == NULL) {
        srt_free(files);
        srt_free(port);
        return SECRETRT_ERR_NOMEM;
    }
    srt_lock_init(&port->lock);
    srt_list_init(&port->done);
    port->refs = 1;
    port->wake = wake;
    port->wake_self = wake_self;
    srt_list_init(&files->readings);
    srt_list_init(&files->again);
    files->port = port;
    files->finished = finished;
    files->self = self;
    *out = files;
    return 0;
}

static void files_port_unref(struct files_port *port)
{
    unsigned refs;

    srt_lock_take(&port->lock);
    refs = --port->refs;
    srt_lock_give(&port->lock);
    if (refs > 0)
        return;
    srt_lock_wipe(&port->lock);
    srt_free(port);
}

static void files_reading_free(struct files_reading *reading)
{
    srt_reply_wipe(&reading->reply);
    srt_free(reading->path);
    files_port_unref(reading->port);
    srt_free(reading);
}

/* ---- on the reading thread ---- */

static void files_run(struct srt_job *job)
{
    struct files_reading *reading = SRT_CONTAINER(job, struct files_reading, job);
    struct files_port *port = reading->port;
    void (*hook)(const char *) = atomic_load(&files_hook);
    int reads;
    int closed;

    srt_lock_take(&port->lock);
    reads = reading->state == FILES_QUEUED && port->wake != NULL;
    if (reads)
        reading->state = FILES_RUNNING;
    srt_lock_give(&port->lock);
    if (reads && hook != NULL)
        hook(reading->path);
    if (reads)
        srt_file_read(&reading->reply, reading->path);
    srt_lock_take(&port->lock);
    reading->state = FILES_DONE;
    closed = port->wake == NULL;
    if (!closed) {
        srt_list_append(&port->done, &reading->done);
        port->wake(port->wake_self);
    }
    srt_lock_give(&port->lock);
    if (closed)
        files_reading_free(reading);
}

/* ---- on the loop's thread ---- */

static int files_post(struct srt_files *files, struct files_reading *reading)
{
    int rc = 0;

    if (files->worker == NULL)
        rc = srt_worker_new(&files->worker, "secretrt-files");
    if (rc == 0)
        rc = srt_worker_post(files->worker, &reading->job);
    reading->posted = rc == 0;
    return rc;
}

static struct files_reading *files_reading_new(struct srt_files *files,
                                               struct srt_transfer *transfer)
{
    struct files_reading *reading = srt_alloc(sizeof(*reading));

    if (reading == NULL)
        return NULL;
    reading->path = srt_strdup(srt_buf_text(&transfer->request.target));
    if (reading->path == NULL) {
        srt_free(reading);
        return NULL;
    }
    reading->job.run = files_run;
    reading->files = files;
    reading->port = files->port;
    reading->transfer = transfer;
    srt_secbuf_init(&reading->reply.body, transfer->request.max_len);
    srt_lock_take(&files->port->lock);
    files->port->refs++;
    srt_lock_give(&files->port->lock);
    return reading;
}

static void files_answer(struct srt_reply *reply, enum srt_outcome outcome,
                         const char *detail)
{
    reply->outcome = outcome;
    srt_text_copy(reply->detail, sizeof(reply->detail), detail);
}

/* 1: a thread hangs at that very path: a second one would do no better. */
static int files_hangs(struct srt_files *files, const char *path)
{
    struct srt_list *it;
    struct srt_list *tmp;

    SRT_LIST_EACH(it, tmp, &files->readings)
    {
        struct files_reading *reading = SRT_CONTAINER(it, struct files_reading, link);

        if (reading->left && strcmp(reading->path, path) == 0)
            return 1;
    }
    return 0;
}

void srt_files_begin(struct srt_files *files, void **out, struct srt_transfer *transfer)
{
    const struct srt_buf *path = &transfer->request.target;
    struct srt_reply *reply = &transfer->reply;
    struct files_reading *reading = NULL;
    int rc;

    *out = NULL;
    if (path->len == 0 || strlen(path->data) != path->len) {
        files_answer(reply, SRT_OUTCOME_REFUSED, "not a path");
        return;
    }
    if (files_hangs(files, path->data)) {
        files_answer(reply, SRT_OUTCOME_TIMEOUT, "file system does not answer");
        return;
    }
    reading = files_reading_new(files, transfer);
    rc = reading != NULL ? files_post(files, reading) : SECRETRT_ERR_NOMEM;
    if (rc == 0) {
        srt_list_append(&files->readings, &reading->link);
        *out = reading;
        return;
    }
    if (rc == SECRETRT_ERR_NOMEM)
        reply->outcome = SRT_OUTCOME_NOMEM;
    else
        files_answer(reply, SRT_OUTCOME_UNREACHABLE, "no thread can be started");
    if (reading != NULL)
        files_reading_free(reading);
}

static enum files_state files_cancel(struct files_reading *reading)
{
    enum files_state state;

    reading->transfer = NULL;
    srt_lock_take(&reading->port->lock);
    state = reading->state;
    if (state == FILES_QUEUED)
        reading->state = FILES_CANCELLED;
    srt_lock_give(&reading->port->lock);
    return state;
}

void srt_files_abort(void *reading)
{
    (void)files_cancel(reading);
}

static void files_take_back(struct srt_job *job)
{
    struct files_reading *reading = SRT_CONTAINER(job, struct files_reading, job);

    reading->posted = 0;
    srt_list_append(&reading->files->again, &reading->job.link);
}

/* The one that the present thread is in. */
static struct files_reading *files_running(struct srt_files *files)
{
    struct files_reading *running = NULL;
    struct srt_list *it;
    struct srt_list *tmp;

    srt_lock_take(&files->port->lock);
    SRT_LIST_EACH(it, tmp, &files->readings)
    {
        struct files_reading *reading = SRT_CONTAINER(it, struct files_reading, link);

        if (reading->state == FILES_RUNNING && !reading->left)
            running = reading;
    }
    srt_lock_give(&files->port->lock);
    return running;
}

/* Leaves the thread behind; what waited for it goes to a fresh one. Where none can be
 * started it stays unread and ends at its own deadline. */
static void files_replace(struct srt_files *files)
{
    struct files_reading *running = files_running(files);
    struct srt_worker *worker = files->worker;

    if (running == NULL)
        return; /* it went on just now */
    running->left = 1;
    files->stuck++;
    files->worker = NULL;
    (void)srt_worker_end(worker, 0, files_take_back);
    while (!srt_list_empty(&files->again)) {
        struct srt_job *job = SRT_CONTAINER(files->again.next, struct srt_job, link);

        srt_list_remove(&job->link);
        (void)files_post(files, SRT_CONTAINER(job, struct files_reading, job));
    }
}

void srt_files_expire(void *arg)
{
    struct files_reading *reading = arg;
    struct srt_files *files = reading->files;
    enum files_state state;

    files_answer(&reading->transfer->reply, SRT_OUTCOME_TIMEOUT,
                 "file system does not answer");
    state = files_cancel(reading);
    if (files->stuck < FILES_STUCK_MAX && files->worker != NULL &&
        (state == FILES_RUNNING || srt_worker_busy_ms(files->worker) >= FILES_STUCK_MS))
        files_replace(files);
}

static void files_take_done(struct srt_list *out, struct files_port *port)
{
    srt_list_init(out);
    while (!srt_list_empty(&port->done)) {
        struct srt_list *first = port->done.next;

        srt_list_remove(first);
        srt_list_append(out, first);
    }
}

static void files_deliver(struct srt_files *files, struct files_reading *reading)
{
    struct srt_transfer *transfer = reading->transfer;
    struct srt_reply *reply = &transfer->reply;

    reply->outcome = reading->reply.outcome;
    reply->file_mode = reading->reply.file_mode;
    reply->file_uid = reading->reply.file_uid;
    reply->os_errno = reading->reply.os_errno;
    srt_text_copy(reply->detail, sizeof(reply->detail), reading->reply.detail);
    srt_secbuf_move(&reply->body, &reading->reply.body);
    files->finished(files->self, transfer);
}

void srt_files_collect(struct srt_files *files)
{
    struct srt_list done;
    struct srt_list *it;
    struct srt_list *tmp;

    srt_lock_take(&files->port->lock);
    files_take_done(&done, files->port);
    srt_lock_give(&files->port->lock);
    SRT_LIST_EACH(it, tmp, &done)
    {
        struct files_reading *reading = SRT_CONTAINER(it, struct files_reading, done);

        srt_list_remove(it);
        srt_list_remove(&reading->link);
        files->stuck -= reading->left ? 1U : 0U;
        if (reading->transfer != NULL)
            files_deliver(files, reading);
        files_reading_free(reading);
    }
}

static void files_free_list(struct srt_list *list)
{
    while (!srt_list_empty(list)) {
        struct files_reading *reading =
            SRT_CONTAINER(list->next, struct files_reading, done);

        srt_list_remove(&reading->done);
        files_reading_free(reading);
    }
}

void srt_files_free(struct srt_files *files)
{
    struct srt_list unread;
    struct srt_list done;
    struct srt_list *it;
    struct srt_list *tmp;

    if (files == NULL)
        return;
    if (files->worker != NULL)
        (void)srt_worker_end(files->worker, FILES_END_WAIT_MS, files_take_back);
    srt_list_init(&unread);
    SRT_LIST_EACH(it, tmp, &files->readings)
    {
        struct files_reading *reading = SRT_CONTAINER(it, struct files_reading, link);

        srt_list_remove(it);
        if (!reading->posted)
            srt_list_append(&unread, &reading->done);
    }
    /* After this a reading that is under way belongs to its thread alone. */
    srt_lock_take(&files->port->lock);
    files->port->wake = NULL;
    files_take_done(&done, files->port);
    srt_lock_give(&files->port->lock);
    files_free_list(&unread);
    files_free_list(&done);
    files_port_unref(files->port);
    srt_free(files);
}

void srt_files_hold(struct srt_files *files)
{
    srt_lock_take(&files->port->lock);
}

void srt_files_release(struct srt_files *files)
{
    srt_lock_give(&files->port->lock);
}

/* No thread is here to use any of it, and the arena that the bytes are in is not
 * either.
 */
void srt_files_abandon(struct srt_files *files)
{
    struct srt_list *it;
    struct srt_list *tmp;

    SRT_LIST_EACH(it, tmp, &files->readings)
    {
        struct files_reading *reading = SRT_CONTAINER(it, struct files_reading, link);

        srt_free(reading->path);
        srt_free(reading);
    }
    if (files->worker != NULL)
        srt_worker_abandon(files->worker);
    srt_free(files->port);
    srt_free(files);
}
