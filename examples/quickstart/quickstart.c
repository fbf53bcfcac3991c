/* The demo: a service with a pool of connections, whose database user is renewed,
 * replaced and once revoked under it, while it works.
 *
 *   quickstart --host H --port P --database D --config FILE --audit FILE [--seconds N]
 *
 * examples/quickstart/run starts the servers and calls it. */
#include "pool.h"
#include "timeline.h"

#include <secretrt/secretrt.h>

#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEMO_SQL "select count(*) from notes"
#define DEMO_WORKERS 3
#define DEMO_QUERY_EVERY_MS 20
#define DEMO_LOGIN_EVERY_MS 250
#define DEMO_STATUS_EVERY_MS 10000
#define DEMO_CLOSE_MS 5000
#define DEMO_EVENTS_MAX 32

struct demo {
    struct pool_where where;
    const char *config;
    const char *audit;
    int64_t seconds;
    struct timeline timeline;
    struct pool pool;
    struct secretrt_client *client;
    struct secretrt_secret *db;
    atomic_int stop;
};

static volatile sig_atomic_t demo_interrupted;

static void demo_on_signal(int number)
{
    demo_interrupted = number;
}

static void demo_sleep_ms(int64_t ms)
{
    struct timespec pause = {.tv_sec = (time_t)(ms / 1000),
                             .tv_nsec = (long)(ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

static void *demo_query(void *data)
{
    struct demo *demo = data;
    char why[256];

    while (!atomic_load(&demo->stop)) {
        if (pool_query(&demo->pool, DEMO_SQL, why, sizeof(why)) != 0)
            timeline_note(&demo->timeline, "failed", 0, "query: %.200s", why);
        demo_sleep_ms(DEMO_QUERY_EVERY_MS);
    }
    return NULL;
}

static void *demo_login(void *data)
{
    struct demo *demo = data;
    char why[256];

    while (!atomic_load(&demo->stop)) {
        if (pool_login(&demo->pool, DEMO_SQL, why, sizeof(why)) != 0)
            timeline_note(&demo->timeline, "failed", 0, "login: %.200s", why);
        demo_sleep_ms(DEMO_LOGIN_EVERY_MS);
    }
    return NULL;
}

/* A new generation serves: what was made with the old one goes, well within the left_ms
 * that it drains. */
static void demo_replaced(struct demo *demo, const struct secretrt_event *event)
{
    int closed = pool_drain(&demo->pool);

    if (event->generation <= 1)
        return;
    if (event->kind == SECRETRT_EVENT_RELOAD)
        timeline_note(&demo->timeline, "replaced", event->generation,
                      "serves now; %d idle connections drained, the rest within %.1f s",
                      closed, (double)event->left_ms / 1000);
    else /* READY: nothing was live any more */
        timeline_note(&demo->timeline, "replaced", event->generation, "serves now");
}

/* On the library's dispatcher thread. */
static int demo_on_event(const struct secretrt_event *event, void *data)
{
    struct demo *demo = data;

    if (event->kind == SECRETRT_EVENT_READY || event->kind == SECRETRT_EVENT_RELOAD)
        demo_replaced(demo, event);
    else if (event->kind == SECRETRT_EVENT_DRAINED)
        timeline_note(&demo->timeline, "revoked", event->old_generation, "given back");
    else if (event->kind == SECRETRT_EVENT_EXPIRING ||
             event->kind == SECRETRT_EVENT_EXPIRED ||
             event->kind == SECRETRT_EVENT_FAILED)
        timeline_note(&demo->timeline, "warning", 0, "%s", event->message);
    return 0;
}

/* The audit tells generations; a value tells whose they are. */
static void demo_learn(struct demo *demo)
{
    const struct secretrt_value *value = NULL;

    if (secretrt_secret_borrow(&value, demo->db, NULL) == 0)
        timeline_learn(&demo->timeline, value);
    secretrt_value_return(value);
}

static void demo_status(struct demo *demo)
{
    const struct pool *pool = &demo->pool;

    timeline_note(
        &demo->timeline, "running", 0,
        "%" PRIuFAST64 " queries, %" PRIuFAST64 " logins, %" PRIuFAST64 " failed",
        atomic_load(&pool->queries), atomic_load(&pool->logins),
        atomic_load(&pool->queries_failed) + atomic_load(&pool->logins_failed));
}

/* The main thread shows what happens, until the time is over or somebody stops us. */
static void demo_watch(struct demo *demo)
{
    int64_t status_ms = DEMO_STATUS_EVERY_MS;

    while (!demo_interrupted &&
           timeline_elapsed_ms(&demo->timeline) < demo->seconds * 1000) {
        demo_learn(demo);
        timeline_flush(&demo->timeline, 0);
        if (timeline_elapsed_ms(&demo->timeline) >= status_ms) {
            demo_status(demo);
            status_ms += DEMO_STATUS_EVERY_MS;
        }
        demo_sleep_ms(50);
    }
}

static int demo_work(struct demo *demo)
{
    pthread_t thread[DEMO_WORKERS + 1];
    int started = 0, rc = 0;

    for (int i = 0; rc == 0 && i < DEMO_WORKERS + 1; i++) {
        rc = pthread_create(&thread[i], NULL,
                            i < DEMO_WORKERS ? demo_query : demo_login, demo);
        started += rc == 0;
    }
    if (rc == 0)
        demo_watch(demo);
    atomic_store(&demo->stop, 1);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    return rc == 0 ? 0 : -1;
}

/* The pool was made first: events may come as soon as the secret is open. */
static int demo_open(struct demo *demo)
{
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct secretrt_secret_options secret = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_error e;

    options.config_file = demo->config;
    options.service = "quickstart";
    options.audit = timeline_audit;
    options.audit_data = &demo->timeline;
    secret.fields = "username password";
    secret.on_event = demo_on_event;
    secret.data = demo;
    if (secretrt_open(&demo->client, &options, &e) != 0) {
        fprintf(stderr, "quickstart: %s\n", e.message);
        return -1;
    }
    if (secretrt_secret_open_with(&demo->db, demo->client, "db", &secret, &e) != 0) {
        fprintf(stderr, "quickstart: %s\n", e.message);
        return -1;
    }
    demo->pool.secret = demo->db;
    return 0;
}

/* Connections first, then the credential goes back. */
static int demo_close(struct demo *demo)
{
    struct secretrt_error e;
    int64_t start_ms;
    int rc = 0;

    if (demo->db != NULL)
        demo_learn(demo);
    start_ms = timeline_elapsed_ms(&demo->timeline);
    atomic_store(&demo->timeline.closing, 1);
    timeline_note(&demo->timeline, "closing", 0, "everything goes back");
    secretrt_secret_close(demo->db);
    pool_close(&demo->pool);
    if (demo->client != NULL)
        rc = secretrt_shutdown(demo->client, DEMO_CLOSE_MS, &e);
    if (rc != 0)
        timeline_note(&demo->timeline, "failed", 0, "close: %s", e.message);
    secretrt_close(demo->client);
    timeline_note(&demo->timeline, "closed", 0, "after %d ms",
                  (int)(timeline_elapsed_ms(&demo->timeline) - start_ms));
    timeline_flush(&demo->timeline, 1);
    return rc;
}

/* Counts the records of the audit file by their event. */
static void demo_count_audit(const char *path)
{
    static const char key[] = "\"event\":\"";
    char line[SECRETRT_AUDIT_LINE_MAX + 1], name[DEMO_EVENTS_MAX][40];
    unsigned long count[DEMO_EVENTS_MAX] = {0};
    FILE *file = fopen(path, "re");
    int events = 0;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *at = strstr(line, key);
        int i = 0;

        if (at == NULL)
            continue;
        at += sizeof(key) - 1;
        line[strcspn(at, "\"") + (size_t)(at - line)] = '\0';
        while (i < events && strcmp(name[i], at) != 0)
            i++;
        if (i == DEMO_EVENTS_MAX)
            continue;
        if (i == events)
            snprintf(name[events++], sizeof(name[0]), "%s", at);
        count[i]++;
    }
    if (file != NULL)
        fclose(file);
    printf("  audit records:        ");
    for (int i = 0; i < events; i++)
        printf("%s%s %lu",
               i > 0 ? (i % 4 == 0 ? ",\n                        " : ", ") : "",
               name[i], count[i]);
    printf("%s\n", events == 0 ? "none" : "");
}

static int demo_summary(const struct demo *demo)
{
    const struct pool *pool = &demo->pool;
    uint64_t queries = atomic_load(&pool->queries_recovered);
    uint64_t logins = atomic_load(&pool->logins_recovered);
    uint64_t failed =
        atomic_load(&pool->queries_failed) + atomic_load(&pool->logins_failed);

    printf("\nSummary\n");
    printf("  queries run:          %" PRIuFAST64 "\n", atomic_load(&pool->queries));
    printf("  logins:               %" PRIuFAST64 "\n", atomic_load(&pool->logins));
    printf("  failed queries:       %" PRIuFAST64 "\n",
           atomic_load(&pool->queries_failed));
    printf("  failed logins:        %" PRIuFAST64 "\n",
           atomic_load(&pool->logins_failed));
    printf("  recovered:            %" PRIu64 " logins, %" PRIu64 " queries\n", logins,
           queries);
    if (logins + queries > 0)
        printf("      Refused or cut off because their user was revoked under them, "
               "reported\n"
               "      by secretrt_secret_reject, and well on the second try: not "
               "failed.\n");
    printf("  users created:        %" PRIu64 "\n", demo->timeline.created);
    demo_count_audit(demo->audit);
    fflush(stdout);
    return failed == 0 && atomic_load(&pool->queries) > 0 ? 0 : -1;
}

static int demo_options(struct demo *demo, int argc, char **argv)
{
    static const struct option table[] = {{"host", required_argument, NULL, 'h'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"database", required_argument, NULL, 'd'},
                                          {"config", required_argument, NULL, 'c'},
                                          {"audit", required_argument, NULL, 'a'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {NULL, 0, NULL, 0}};
    int option;

    demo->seconds = 75;
    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (option == 'h')
            demo->where.host = optarg;
        else if (option == 'p')
            demo->where.port = optarg;
        else if (option == 'd')
            demo->where.database = optarg;
        else if (option == 'c')
            demo->config = optarg;
        else if (option == 'a')
            demo->audit = optarg;
        else if (option == 's')
            demo->seconds = strtol(optarg, NULL, 10);
        else
            return -1;
    }
    return demo->where.host != NULL && demo->where.port != NULL &&
                   demo->where.database != NULL && demo->config != NULL &&
                   demo->audit != NULL && demo->seconds > 0
               ? 0
               : -1;
}

int main(int argc, char **argv)
{
    static struct demo demo;
    struct sigaction action = {.sa_handler = demo_on_signal};
    int rc = -1;

    if (demo_options(&demo, argc, argv) != 0) {
        fprintf(stderr,
                "usage: quickstart --host H --port P --database D --config FILE "
                "--audit FILE [--seconds N]\n");
        return 2;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    timeline_init(&demo.timeline);
    pool_init(&demo.pool, demo.where);
    if (demo_open(&demo) == 0)
        rc = demo_work(&demo);
    if (demo_close(&demo) != 0)
        rc = -1;
    if (demo_summary(&demo) != 0)
        rc = -1;
    return rc == 0 ? 0 : 1;
}
