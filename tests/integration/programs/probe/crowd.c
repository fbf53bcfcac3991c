/* Many threads at once, and children of fork. */
#include "probe.h"
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CROWD_MAX 1000
#define TOGETHER_MAX 8

struct member {
    struct probe *probe;
    pthread_barrier_t *barrier;
    const char *what;
    int http_status;
    struct secretrt_value *value;
    struct secretrt_error err;
    int64_t took_ms;
    pthread_t thread;
};

static void *crowd_work(void *data)
{
    struct member *m = data;
    int64_t start;

    pthread_barrier_wait(m->barrier);
    start = now_ms();
    if (strcmp(m->what, "reject") == 0)
        m->err.status = secretrt_secret_reject(
            &m->value, m->probe->secret, m->probe->value, m->http_status, &m->err);
    else
        m->err.status = secretrt_secret_read(&m->value, m->probe->secret, &m->err);
    m->took_ms = now_ms() - start;
    return NULL;
}

static void crowd_report(struct member *member, int n)
{
    uint64_t generation[CROWD_MAX];
    const char *error = "";
    int ok = 0, distinct = 0;
    int64_t longest = 0;

    for (int i = 0; i < n; i++) {
        int seen = 0;

        if (member[i].took_ms > longest)
            longest = member[i].took_ms;
        if (member[i].value == NULL) {
            error = member[i].err.message;
            continue;
        }
        ok++;
        generation[ok - 1] = secretrt_value_info(member[i].value)->generation;
        for (int k = 0; k < ok - 1; k++)
            seen |= generation[k] == generation[ok - 1];
        distinct += !seen;
    }
    out_status(0);
    out_number("ok", ok);
    out_number("failed", n - ok);
    out_number("generations", distinct);
    out_number("generation", ok > 0 ? (int64_t)generation[0] : 0);
    out_number("longest_ms", longest);
    out_text("error", error);
}

/* threads N reject [STATUS] | threads N read */
void cmd_threads(struct probe *p, char *arguments)
{
    struct member *member = calloc(CROWD_MAX, sizeof(*member));
    pthread_barrier_t barrier;
    char what[16] = "read";
    int n = 0, http_status = 401;

    if (member == NULL || sscanf(arguments, "%d %15s %d", &n, what, &http_status) < 2 ||
        n < 1 || n > CROWD_MAX) {
        out_status(SECRETRT_ERR_INVALID);
        free(member);
        return;
    }
    pthread_barrier_init(&barrier, NULL, (unsigned)n);
    for (int i = 0; i < n; i++) {
        member[i].probe = p;
        member[i].barrier = &barrier;
        member[i].what = what;
        member[i].http_status = http_status;
        if (pthread_create(&member[i].thread, NULL, crowd_work, &member[i]) != 0)
            abort();
    }
    for (int i = 0; i < n; i++)
        pthread_join(member[i].thread, NULL);
    crowd_report(member, n);
    if (member[0].value != NULL)
        keep_value(p, secretrt_value_ref(member[0].value));
    for (int i = 0; i < n; i++)
        secretrt_value_unref(member[i].value);
    pthread_barrier_destroy(&barrier);
    free(member);
}

/* What a child tells its parent. */
struct child {
    int32_t status;
    int32_t old_hidden; /* the parent's value had no fields */
    int32_t login;      /* enum pg_outcome */
    int32_t reserved;
    uint64_t generation;
    char user[64];
    char error[PROBE_TEXT_MAX];
};

static void child_read(struct probe *p, struct child *report)
{
    struct secretrt_value *value = NULL;
    struct secretrt_error err;
    enum pg_outcome outcome;
    const char *user;

    report->status = secretrt_secret_read(&value, p->secret, &err);
    if (report->status != 0) {
        snprintf(report->error, sizeof(report->error), "%.250s", err.message);
        return;
    }
    user = secretrt_value_field(value, "username", NULL);
    snprintf(report->user, sizeof(report->user), "%s", user != NULL ? user : "");
    report->generation = secretrt_value_info(value)->generation;
    pg_close(pg_open(p, value, &outcome, report->error));
    report->login = (int32_t)outcome;
    secretrt_value_unref(value);
}

/* Never returns. how: "close" gives the child's lease back, "exit" just ends, "drop"
 * only lets go of what came from before the fork. */
static void child_main(struct probe *p, int out, const char *how)
{
    struct child report;
    ssize_t wrote;

    memset(&report, 0, sizeof(report));
    report.old_hidden =
        p->value == NULL || secretrt_value_field(p->value, "username", NULL) == NULL;
    secretrt_value_unref(p->value);
    for (size_t i = 0; i < PROBE_SLOTS; i++)
        secretrt_value_unref(p->slot[i]);
    if (strcmp(how, "drop") != 0)
        child_read(p, &report);
    if (strcmp(how, "close") == 0) {
        secretrt_secret_close(p->secret);
        secretrt_close(p->client);
    }
    wrote = write(out, &report, sizeof(report));
    _exit(wrote == (ssize_t)sizeof(report) ? 0 : 1);
}

static int start_child(struct probe *p, const char *how, int *from, pid_t *pid)
{
    int ends[2];

    if (pipe(ends) != 0)
        return -1;
    *pid = fork();
    if (*pid == 0) {
        close(ends[0]);
        child_main(p, ends[1], how);
    }
    close(ends[1]);
    *from = ends[0];
    if (*pid < 0)
        close(ends[0]);
    return *pid < 0 ? -1 : 0;
}

struct tally {
    int ok, hidden, logins, bad_exits;
    char error[PROBE_TEXT_MAX];
};

static void end_child(int from, pid_t pid, struct tally *tally)
{
    struct pollfd ready = {from, POLLIN, 0};
    struct child report;
    int exit_status = 1;

    memset(&report, 0, sizeof(report));
    report.status = SECRETRT_ERR_TIMEOUT;
    if (poll(&ready, 1, 30000) == 1 &&
        read(from, &report, sizeof(report)) != (ssize_t)sizeof(report))
        report.status = SECRETRT_ERR_PROTOCOL; /* it crashed */
    close(from);
    if (report.status == SECRETRT_ERR_TIMEOUT)
        snprintf(report.error, sizeof(report.error), "a child hangs");
    waitpid(pid, &exit_status, 0);
    tally->bad_exits += exit_status != 0;
    tally->ok += report.status == 0;
    tally->hidden += report.old_hidden;
    tally->logins += report.user[0] != '\0' && report.login == PG_OK;
    if (report.error[0] != '\0' && tally->error[0] == '\0')
        snprintf(tally->error, sizeof(tally->error), "%s", report.error);
    if (report.user[0] != '\0')
        out_text(NULL, report.user);
}

/* fork N [close|exit|drop] [TOGETHER] */
void cmd_fork(struct probe *p, char *arguments)
{
    struct tally tally;
    char how[16] = "close";
    int n = 1, together = 4, from[TOGETHER_MAX];
    pid_t pid[TOGETHER_MAX];

    memset(&tally, 0, sizeof(tally));
    if (sscanf(arguments, "%d %15s %d", &n, how, &together) < 1 || together < 1 ||
        together > TOGETHER_MAX) {
        out_status(SECRETRT_ERR_INVALID);
        return;
    }
    out_status(0);
    out_open("users", '[');
    for (int done = 0; done < n; done += together) {
        int count = 0;

        while (count < together && done + count < n &&
               start_child(p, how, &from[count], &pid[count]) == 0)
            count++;
        for (int i = 0; i < count; i++)
            end_child(from[i], pid[i], &tally);
    }
    out_close(']');
    out_number("ok", tally.ok);
    out_number("failed", n - tally.ok);
    out_number("hidden", tally.hidden);
    out_number("logins", tally.logins);
    out_number("bad_exits", tally.bad_exits);
    out_text("error", tally.error);
}
