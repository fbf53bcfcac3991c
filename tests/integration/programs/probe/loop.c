/* A small application: threads that log in afresh and query over a connection of their
 * own, which each replaces as soon as its value is not the current one. */
#include "probe.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 32
#define ERRORS_MAX 8
#define USERS_MAX 64

struct loop {
    struct probe *probe;
    int64_t end_ms;
    int rescue; /* a failed login is rejected and tried again with the answer */
    pthread_mutex_t lock;
    int64_t logins, logins_failed, logins_rescued;
    int64_t queries, queries_failed;
    int64_t reads, reads_failed, read_max_ms;
    char error[ERRORS_MAX][PROBE_TEXT_MAX + 64];
    size_t errors;
    char user[USERS_MAX][64];
    size_t users;
};

struct worker {
    struct loop *loop;
    struct pg_conn *conn;
    struct secretrt_value *value; /* that conn was made with */
    pthread_t thread;
};

static void note(struct loop *loop, const char *what, const char *text)
{
    if (loop->errors < ERRORS_MAX)
        snprintf(loop->error[loop->errors++], sizeof(loop->error[0]), "%s: %s", what,
                 text);
}

static void note_user(struct loop *loop, const struct secretrt_value *value)
{
    const char *user = secretrt_value_field(value, "username", NULL);
    size_t i = 0;

    while (user != NULL && i < loop->users && strcmp(loop->user[i], user) != 0)
        i++;
    if (user != NULL && i == loop->users && i < USERS_MAX)
        snprintf(loop->user[loop->users++], sizeof(loop->user[0]), "%s", user);
}

static struct secretrt_value *loop_read(struct loop *loop)
{
    struct secretrt_value *value = NULL;
    struct secretrt_error err;
    int64_t start = now_ms();
    int status = secretrt_secret_read(&value, loop->probe->secret, &err);
    int64_t took = now_ms() - start;

    pthread_mutex_lock(&loop->lock);
    loop->reads++;
    if (took > loop->read_max_ms)
        loop->read_max_ms = took;
    if (status != 0) {
        loop->reads_failed++;
        note(loop, "read", err.message);
    } else {
        note_user(loop, value);
    }
    pthread_mutex_unlock(&loop->lock);
    return value;
}

/* After a refusal: what the library says to use now. *value is replaced. */
static struct pg_conn *loop_rescue(struct loop *loop, struct secretrt_value **value,
                                   char text[PROBE_TEXT_MAX])
{
    struct secretrt_value *newer = NULL;
    struct secretrt_error err;
    enum pg_outcome outcome;

    if (secretrt_secret_reject(&newer, loop->probe->secret, *value, 401, &err) != 0) {
        snprintf(text, PROBE_TEXT_MAX, "%.250s", err.message);
        return NULL;
    }
    secretrt_value_unref(*value);
    *value = newer;
    return pg_open(loop->probe, newer, &outcome, text);
}

static struct pg_conn *loop_login(struct loop *loop, struct secretrt_value **value)
{
    char text[PROBE_TEXT_MAX];
    enum pg_outcome outcome;
    struct pg_conn *conn = pg_open(loop->probe, *value, &outcome, text);
    int rescued = 0;

    if (conn == NULL && loop->rescue && outcome == PG_AUTH) {
        conn = loop_rescue(loop, value, text);
        rescued = conn != NULL;
    }
    pthread_mutex_lock(&loop->lock);
    loop->logins++;
    loop->logins_rescued += rescued;
    if (conn == NULL) {
        loop->logins_failed++;
        note(loop, "login", text);
    }
    pthread_mutex_unlock(&loop->lock);
    return conn;
}

static void loop_query(struct loop *loop, struct pg_conn *conn)
{
    char text[PROBE_TEXT_MAX];
    enum pg_outcome outcome = pg_query(conn, "select body from notes", text);

    pthread_mutex_lock(&loop->lock);
    loop->queries++;
    if (outcome != PG_OK) {
        loop->queries_failed++;
        note(loop, "query", text);
    }
    pthread_mutex_unlock(&loop->lock);
}

static void loop_turn(struct worker *w)
{
    struct secretrt_value *value = loop_read(w->loop);
    struct pg_conn *conn;

    if (value == NULL)
        return;
    conn = loop_login(w->loop, &value);
    if (conn != NULL)
        loop_query(w->loop, conn);
    if (w->conn == NULL || !secretrt_value_is_current(w->value)) {
        pg_close(w->conn);
        secretrt_value_unref(w->value);
        w->conn = conn;
        w->value = conn != NULL ? secretrt_value_ref(value) : NULL;
    } else {
        pg_close(conn);
        loop_query(w->loop, w->conn);
    }
    secretrt_value_unref(value);
}

static void *loop_work(void *data)
{
    struct worker *w = data;

    while (now_ms() < w->loop->end_ms) {
        loop_turn(w);
        sleep_ms(w->loop->probe->loop_pause_ms);
    }
    pg_close(w->conn);
    secretrt_value_unref(w->value);
    return NULL;
}

static void loop_report(const struct loop *loop)
{
    out_number("logins", loop->logins);
    out_number("logins_failed", loop->logins_failed);
    out_number("logins_rescued", loop->logins_rescued);
    out_number("queries", loop->queries);
    out_number("queries_failed", loop->queries_failed);
    out_number("reads", loop->reads);
    out_number("reads_failed", loop->reads_failed);
    out_number("read_max_ms", loop->read_max_ms);
    out_open("errors", '[');
    for (size_t i = 0; i < loop->errors; i++)
        out_text(NULL, loop->error[i]);
    out_close(']');
    out_open("users", '[');
    for (size_t i = 0; i < loop->users; i++)
        out_text(NULL, loop->user[i]);
    out_close(']');
}

static void loop_events(struct loop *loop, int64_t start)
{
    struct secretrt_event event = SECRETRT_EVENT_INIT;

    out_open("events", '[');
    while (now_ms() < loop->end_ms) {
        if (secretrt_event_next(&event, loop->probe->client, 50) == 0)
            out_event(&event, now_ms() - start);
    }
    out_close(']');
}

/* loop SECONDS THREADS [rescue] */
void cmd_loop(struct probe *p, char *arguments)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    struct worker worker[THREADS_MAX];
    char mode[16] = "";
    double seconds = 1;
    int threads = 1;
    int64_t start = now_ms();

    if (loop == NULL ||
        sscanf(arguments, "%lf %d %15s", &seconds, &threads, mode) < 1 || threads < 1 ||
        threads > THREADS_MAX) {
        out_status(SECRETRT_ERR_INVALID);
        free(loop);
        return;
    }
    pthread_mutex_init(&loop->lock, NULL);
    loop->probe = p;
    loop->end_ms = start + (int64_t)(seconds * 1000);
    loop->rescue = strcmp(mode, "rescue") == 0;
    memset(worker, 0, sizeof(worker));
    for (int i = 0; i < threads; i++) {
        worker[i].loop = loop;
        if (pthread_create(&worker[i].thread, NULL, loop_work, &worker[i]) != 0)
            abort();
    }
    out_status(0);
    loop_events(loop, start);
    for (int i = 0; i < threads; i++)
        pthread_join(worker[i].thread, NULL);
    loop_report(loop);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}
