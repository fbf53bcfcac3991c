/* Where audit records go: one writer thread gives each its place in the sequence and
 * writes it; the application's hook has a thread of its own, so that it can't hold up
 * the file. Who waits for a record waits a second at most. */
#include "api/client.h"
#include "base/alloc.h"
#include "base/heap.h"
#include "base/status.h"
#include "io/append.h"
#include "io/clock.h"
#include "io/descriptor.h"
#include "mem/wipe.h"
#include "observe/audit.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PUMP_PATIENCE_MS 1000
#define PUMP_KEY_LEN 32
#define PUMP_TEXT_LEN 256
#define PUMP_NAMESPACE_FILE "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

struct srt_pump {
    struct secretrt_client *client;
    struct srt_audit *audit;
    struct srt_worker *writer;
    struct srt_worker *hooker; /* hook and log */
    struct srt_append *file;
    int fd;
    int required;
    int hooked_late; /* told once */
    int orphaned;    /* a hook that never returns holds it: it outlives its client */
    char *service;
    uint64_t lost;            /* the writer's */
    _Atomic uint64_t dropped; /* never reached the writer: out of memory */
    secretrt_audit_fn *hook;
    void *hook_data;
    struct srt_lock lock;
    struct srt_cond written;
    struct srt_list
        waiting; /* jobs that a ticket or a caller waits for, oldest first */
};

struct pump_caller {
    int done;
    int status;
};

struct pump_job {
    struct srt_job job;
    struct srt_list wait;
    struct srt_pump *pump;
    struct srt_audit_entry *entry;
    struct srt_ticket *ticket;
    struct srt_ticket *answer;
    struct pump_caller *caller;
    int64_t begun_ms;
    int status; /* of the sinks that are required */
    int written;
};

static void pump_write(struct srt_job *job);
static void pump_hook(struct srt_job *job);

static int pump_is_idle(const struct srt_pump *pump)
{
    return pump->writer == NULL || (pump->file == NULL && pump->fd < 0 &&
                                    pump->hook == NULL && !pump->required);
}

static void pump_job_free(struct pump_job *job)
{
    srt_audit_entry_free(job->entry);
    srt_free(job);
}

/* ---- opening ---- */

static void pump_identity(struct srt_audit_identity *id, const char *service,
                          char text[3][PUMP_TEXT_LEN])
{
    struct srt_buf space;
    ssize_t n = readlink("/proc/self/exe", text[0], PUMP_TEXT_LEN - 1);
    const char *pod = getenv("POD_NAME");

    text[0][n > 0 ? n : 0] = '\0';
    if (gethostname(text[1], PUMP_TEXT_LEN) != 0)
        text[1][0] = '\0';
    text[1][PUMP_TEXT_LEN - 1] = '\0';
    srt_buf_init(&space, PUMP_TEXT_LEN);
    (void)srt_read_file(&space, PUMP_NAMESPACE_FILE, NULL);
    srt_text_copy(text[2], PUMP_TEXT_LEN, srt_buf_text(&space));
    srt_buf_wipe(&space);
    *id = (struct srt_audit_identity){.service = service,
                                      .instance = pod != NULL ? pod : text[1],
                                      .host = text[1],
                                      .exe = text[0],
                                      .pod_namespace = text[2],
                                      .pid = getpid(),
                                      .uid = (int64_t)getuid()};
    if (service == NULL)
        id->service = program_invocation_short_name;
}

static int pump_audit(struct srt_pump *pump)
{
    struct srt_audit_identity id;
    char text[3][PUMP_TEXT_LEN];
    uint8_t key[PUMP_KEY_LEN];
    int rc;

    pump_identity(&id, pump->service, text);
    srt_clock_random(key, sizeof(key));
    rc = srt_audit_new(&pump->audit, &id, key);
    srt_wipe(key, sizeof(key));
    return rc;
}

static int pump_open_sinks(struct srt_pump *pump,
                           const struct secretrt_options *options,
                           struct secretrt_error *err)
{
    const struct srt_audit_config *config = &pump->client->config->audit;
    int rc = 0;

    pump->required = config->required;
    pump->hook = options->audit;
    pump->hook_data = options->audit_data;
    if (options->audit_fd > 0) {
        pump->fd = fcntl(options->audit_fd, F_DUPFD_CLOEXEC, 3);
        if (pump->fd < 0)
            return srt_fail(err, SECRETRT_ERR_INVALID,
                            "audit_fd is no open descriptor");
    }
    if (config->file != NULL)
        rc = srt_append_new(&pump->file, config->file, err);
    return rc;
}

int srt_pump_new(struct srt_pump **out, struct secretrt_client *client,
                 const struct secretrt_options *options, struct secretrt_error *err)
{
    struct srt_pump *pump = srt_alloc(sizeof(*pump));
    int rc;

    *out = NULL;
    if (pump == NULL)
        return srt_nomem(err);
    pump->client = client;
    pump->fd = -1;
    srt_lock_init(&pump->lock);
    srt_cond_init(&pump->written);
    srt_list_init(&pump->waiting);
    rc = pump_open_sinks(pump, options, err);
    pump->service = srt_strdup(options->service);
    if (rc == 0 &&
        ((options->service != NULL && pump->service == NULL) || pump_audit(pump) != 0 ||
         srt_worker_new(&pump->writer, "secretrt-audit") != 0 ||
         srt_worker_new(&pump->hooker, "secretrt-hook") != 0))
        rc = srt_nomem(err);
    if (rc != 0) {
        srt_pump_free(pump);
        return rc;
    }
    *out = pump;
    return 0;
}

/* ---- the end of a job ---- */

static void pump_answer(struct srt_job *job)
{
    struct pump_job *mine = SRT_CONTAINER(job, struct pump_job, job);

    srt_engine_answered(mine->pump->client->engine, mine->answer, mine->status);
    pump_job_free(mine);
}

static void pump_done(struct pump_job *job)
{
    struct srt_pump *pump = job->pump;
    int orphaned;

    srt_lock_take(&pump->lock);
    srt_list_remove(&job->wait);
    job->answer = job->ticket;
    job->ticket = NULL;
    if (job->caller != NULL) {
        job->caller->status = job->status;
        job->caller->done = 1;
        srt_cond_signal_all(&pump->written);
    }
    orphaned = pump->orphaned;
    srt_lock_give(&pump->lock);
    if (job->answer == NULL || orphaned) {
        pump_job_free(job);
        return;
    }
    job->job.run = pump_answer;
    srt_loop_post(pump->client->loop, &job->job);
}

/* ---- the writer ---- */

static int pump_put(struct srt_pump *pump, struct srt_audit_entry *entry)
{
    struct srt_buf line;
    int failed = 0;

    srt_buf_init(&line, SECRETRT_AUDIT_LINE_MAX);
    if (srt_audit_seal(entry, pump->audit, &line) != 0) {
        srt_buf_wipe(&line);
        return ENOMEM;
    }
    if (pump->file != NULL)
        failed = srt_append_line(pump->file, line.data, line.len);
    if (pump->fd >= 0 && srt_write_line(pump->fd, line.data, line.len) != 0 &&
        pump->file == NULL)
        failed = EAGAIN;
    if (failed == 0)
        srt_audit_commit(pump->audit, line.data, line.len);
    srt_buf_wipe(&line);
    return failed;
}

/* What was lost is said as soon as something can be said again. */
static int pump_put_gap(struct srt_pump *pump, const struct srt_audit_entry *next)
{
    struct srt_record record = {.event = "audit.gap",
                                .outcome = "failure",
                                .reason = "records could not be written",
                                .at_ms = srt_audit_entry_public(next)->at_ms,
                                .ttl_ms = -1,
                                .latency_ms = -1,
                                .count = pump->lost};
    struct srt_audit_entry *gap = NULL;
    int failed;

    if (pump->lost == 0)
        return 0;
    if (srt_audit_entry_new(&gap, pump->audit, &record) != 0)
        return ENOMEM;
    failed = pump_put(pump, gap);
    srt_audit_entry_free(gap);
    if (failed == 0)
        pump->lost = 0;
    return failed;
}

static void pump_write(struct srt_job *job)
{
    struct pump_job *mine = SRT_CONTAINER(job, struct pump_job, job);
    struct srt_pump *pump = mine->pump;
    struct srt_worker *hooker;
    int failed;

    pump->lost += atomic_exchange_explicit(&pump->dropped, 0, memory_order_relaxed);
    failed = pump_put_gap(pump, mine->entry);
    if (failed == 0)
        failed = pump_put(pump, mine->entry);
    if (failed != 0 && pump->lost++ == 0)
        srt_event_warning(pump->client, SECRETRT_ERR_AUDIT,
                          "audit records can't be written");
    srt_lock_take(&pump->lock);
    if (failed != 0 && pump->required)
        mine->status = SECRETRT_ERR_AUDIT;
    mine->written = 1;
    hooker = pump->hooker;
    srt_lock_give(&pump->lock);
    mine->job.run = pump_hook;
    if (pump->hook == NULL || hooker == NULL ||
        srt_worker_post(hooker, &mine->job) != 0)
        pump_done(mine);
}

static void pump_hook(struct srt_job *job)
{
    struct pump_job *mine = SRT_CONTAINER(job, struct pump_job, job);
    struct srt_pump *pump = mine->pump;

    (void)pump->hook(srt_audit_entry_public(mine->entry), pump->hook_data);
    pump_done(mine);
}

/* ---- recording ---- */

static int pump_post(struct pump_job **out, struct srt_pump *pump,
                     const struct srt_record *record, struct srt_ticket *ticket,
                     struct pump_caller *caller)
{
    const struct srt_env *env = srt_loop_env(pump->client->loop);
    struct pump_job *job = srt_alloc(sizeof(*job));

    *out = NULL;
    if (job == NULL || srt_audit_entry_new(&job->entry, pump->audit, record) != 0)
        goto failed;
    srt_list_init(&job->wait);
    job->pump = pump;
    job->ticket = ticket;
    job->caller = caller;
    job->begun_ms = env->boot_ms(env->self);
    job->job.run = pump_write;
    srt_lock_take(&pump->lock);
    if (ticket != NULL)
        srt_list_append(&pump->waiting, &job->wait);
    srt_lock_give(&pump->lock);
    *out = job;
    if (srt_worker_post(pump->writer, &job->job) == 0)
        return 0;
    srt_lock_take(&pump->lock);
    srt_list_remove(&job->wait);
    srt_lock_give(&pump->lock);
    *out = NULL;
failed:
    if (job != NULL)
        pump_job_free(job);
    atomic_fetch_add_explicit(&pump->dropped, 1, memory_order_relaxed);
    return pump->required ? SECRETRT_ERR_AUDIT : 0;
}

int srt_pump_record(struct srt_pump *pump, const struct srt_record *record,
                    struct srt_ticket *ticket)
{
    struct pump_job *job = NULL;
    int rc;

    if (pump_is_idle(pump))
        return 0;
    rc = pump_post(&job, pump, record, ticket, NULL);
    return job != NULL && ticket != NULL ? SRT_TICKET_LATER : rc;
}

int srt_pump_record_now(struct srt_pump *pump, const struct srt_record *record)
{
    struct pump_caller caller = {0, 0};
    struct pump_job *job = NULL;
    int64_t until = srt_mono_ms() + PUMP_PATIENCE_MS;
    int rc;

    if (pump_is_idle(pump))
        return 0;
    rc = pump_post(&job, pump, record, NULL, &caller);
    if (job == NULL)
        return rc;
    srt_lock_take(&pump->lock);
    while (!caller.done && srt_cond_wait_until(&pump->written, &pump->lock, until))
        ;
    rc = caller.status;
    if (!caller.done) { /* not done, so the job is still there */
        job->caller = NULL;
        rc = pump->required && !job->written ? SECRETRT_ERR_AUDIT : job->status;
    }
    srt_lock_give(&pump->lock);
    return rc;
}

static struct srt_ticket *pump_overdue(struct srt_pump *pump, int64_t boot_ms,
                                       int *status, int64_t *next)
{
    struct srt_ticket *ticket = NULL;

    srt_lock_take(&pump->lock);
    *next = SRT_NEVER;
    if (!srt_list_empty(&pump->waiting)) {
        struct pump_job *job = SRT_CONTAINER(pump->waiting.next, struct pump_job, wait);

        *next = job->begun_ms + PUMP_PATIENCE_MS;
        if (boot_ms >= *next) {
            srt_list_remove(&job->wait);
            ticket = job->ticket;
            job->ticket = NULL;
            *status =
                job->written || !pump->required ? job->status : SECRETRT_ERR_AUDIT;
        }
    }
    srt_lock_give(&pump->lock);
    return ticket;
}

int64_t srt_pump_turn(struct srt_pump *pump, int64_t boot_ms)
{
    struct srt_ticket *ticket;
    int64_t next = SRT_NEVER;
    int status = 0;
    int answered = 0;

    while ((ticket = pump_overdue(pump, boot_ms, &status, &next)) != NULL) {
        if (!pump->hooked_late)
            srt_event_warning(pump->client, SECRETRT_ERR_AUDIT,
                              "an audit sink is slower than 1 s and is not waited for");
        pump->hooked_late = 1;
        answered = 1;
        srt_engine_answered(pump->client->engine, ticket, status);
    }
    return answered ? boot_ms : next; /* the engine has more to do now */
}

void srt_pump_hash(const struct srt_pump *pump, char *out, size_t cap,
                   const char *lease_id)
{
    char hash[SRT_AUDIT_HASH_LEN];

    srt_audit_hash(hash, pump->audit, lease_id);
    srt_text_copy(out, cap, hash);
}

/* ---- the application's log ---- */

struct pump_line {
    struct srt_job job;
    struct secretrt_client *client;
    int level;
    char *text;
};

static void pump_log_run(struct srt_job *job)
{
    struct pump_line *line = SRT_CONTAINER(job, struct pump_line, job);

    line->client->log(line->level, line->text, line->client->log_data);
    srt_free(line->text);
    srt_free(line);
}

void srt_pump_log(struct srt_pump *pump, int level, const char *message)
{
    struct pump_line *line = pump->hooker != NULL ? srt_alloc(sizeof(*line)) : NULL;

    if (line == NULL)
        return;
    *line = (struct pump_line){.job = {.run = pump_log_run},
                               .client = pump->client,
                               .level = level,
                               .text = srt_strdup(message)};
    if (line->text == NULL || srt_worker_post(pump->hooker, &line->job) != 0) {
        srt_free(line->text);
        srt_free(line);
    }
}

/* ---- closing, forking ---- */

static void pump_drop(struct srt_job *job)
{
    if (job->run == pump_log_run) {
        struct pump_line *line = SRT_CONTAINER(job, struct pump_line, job);

        srt_free(line->text);
        srt_free(line);
    } else {
        struct pump_job *mine = SRT_CONTAINER(job, struct pump_job, job);

        srt_lock_take(&mine->pump->lock);
        srt_list_remove(&mine->wait);
        srt_lock_give(&mine->pump->lock);
        pump_job_free(mine);
    }
}

static void pump_end(struct srt_pump *pump, struct srt_worker **worker,
                     int64_t until_ms)
{
    struct srt_worker *ended = *worker;
    int64_t left_ms = until_ms - srt_mono_ms();
    int stuck;

    if (ended == NULL)
        return;
    stuck = srt_worker_end(ended, left_ms > 0 ? left_ms : 0, pump_drop) != 0;
    srt_lock_take(&pump->lock);
    *worker = NULL;
    pump->orphaned |= stuck;
    srt_lock_give(&pump->lock);
}

/* The loop has stopped: the sinks get what is queued, whoever waits is answered. */
int srt_pump_flush(struct srt_pump *pump, int64_t until_ms)
{
    pump_end(pump, &pump->writer, until_ms);
    pump_end(pump, &pump->hooker, until_ms);
    srt_lock_take(&pump->lock);
    while (pump->client->engine != NULL && !srt_list_empty(&pump->waiting)) {
        struct pump_job *job = SRT_CONTAINER(pump->waiting.next, struct pump_job, wait);
        struct srt_ticket *ticket = job->ticket;

        srt_list_remove(&job->wait);
        job->ticket = NULL;
        srt_lock_give(&pump->lock);
        srt_engine_answered(pump->client->engine, ticket, SECRETRT_ERR_CLOSED);
        srt_lock_take(&pump->lock);
    }
    srt_lock_give(&pump->lock);
    return pump->orphaned ? SECRETRT_ERR_TIMEOUT : 0;
}

void srt_pump_free(struct srt_pump *pump)
{
    if (pump == NULL)
        return;
    (void)srt_pump_flush(pump, 0);
    if (pump->orphaned)
        return;
    srt_append_free(pump->file);
    srt_fd_close(&pump->fd);
    srt_audit_free(pump->audit);
    srt_cond_wipe(&pump->written);
    srt_lock_wipe(&pump->lock);
    srt_free(pump->service);
    srt_free(pump);
}

void srt_pump_hold(struct srt_pump *pump)
{
    srt_worker_hold(pump->writer);
    srt_worker_hold(pump->hooker);
    srt_lock_take(&pump->lock);
}

void srt_pump_release(struct srt_pump *pump)
{
    srt_lock_give(&pump->lock);
    srt_worker_release(pump->hooker);
    srt_worker_release(pump->writer);
}

/* A child is another instance: its own sequence, chain, key and threads. */
int srt_pump_afresh(struct srt_pump *pump)
{
    srt_worker_abandon(pump->writer);
    srt_worker_abandon(pump->hooker);
    pump->writer = pump->hooker = NULL;
    srt_list_init(&pump->waiting); /* the parent's jobs are left to it */
    srt_audit_free(pump->audit);
    pump->audit = NULL;
    pump->lost = 0;
    atomic_store_explicit(&pump->dropped, 0, memory_order_relaxed);
    if (pump_audit(pump) != 0 || srt_worker_new(&pump->writer, "secretrt-audit") != 0 ||
        srt_worker_new(&pump->hooker, "secretrt-hook") != 0)
        return SECRETRT_ERR_NOMEM;
    return 0;
}
