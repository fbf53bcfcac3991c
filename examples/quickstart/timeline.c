#include "timeline.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TIMELINE_PATIENCE_MS 1000 /* for the name of a generation */

static int64_t timeline_now_ms(void)
{
    struct timespec now = {0, 0};

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t timeline_elapsed_ms(const struct timeline *timeline)
{
    return timeline_now_ms() - timeline->start_ms;
}

void timeline_init(struct timeline *timeline)
{
    memset(timeline, 0, sizeof(*timeline));
    pthread_mutex_init(&timeline->lock, NULL);
    timeline->start_ms = timeline_now_ms();
    timeline->colours = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
}

static void timeline_add(struct timeline *timeline, const char *what,
                         uint64_t generation, const char *detail)
{
    struct timeline_entry *entry;

    pthread_mutex_lock(&timeline->lock);
    if (timeline->pending == TIMELINE_PENDING) {
        timeline->lost++;
    } else {
        entry = &timeline->entry[timeline->pending++];
        entry->at_ms = timeline_elapsed_ms(timeline);
        entry->what = what;
        entry->generation = generation;
        snprintf(entry->detail, sizeof(entry->detail), "%s", detail);
    }
    pthread_mutex_unlock(&timeline->lock);
}

void timeline_note(struct timeline *timeline, const char *what, uint64_t generation,
                   const char *format, ...)
{
    char detail[TIMELINE_LINE];
    va_list args;

    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    timeline_add(timeline, what, generation, detail);
}

void timeline_learn(struct timeline *timeline, const struct secretrt_value *value)
{
    uint64_t generation = secretrt_value_info(value)->generation;
    size_t i = generation % TIMELINE_NAMES;

    pthread_mutex_lock(&timeline->lock);
    if (timeline->generation[i] != generation) {
        timeline->generation[i] = generation;
        snprintf(timeline->user[i], sizeof(timeline->user[i]), "%s",
                 secretrt_value_field(value, "username", NULL));
    }
    pthread_mutex_unlock(&timeline->lock);
}

/* The seconds that the store granted, as the record's JSON has them; -1: none. */
static long timeline_granted_s(const struct secretrt_audit_record *record)
{
    static const char key[] = "\"ttl_s\":";
    char line[SECRETRT_AUDIT_LINE_MAX];
    const char *at = NULL;

    if (secretrt_audit_json(line, sizeof(line), record) == 0)
        at = strstr(line, key);
    return at != NULL ? strtol(at + sizeof(key) - 1, NULL, 10) : -1;
}

static void timeline_add_granted(struct timeline *timeline, const char *what,
                                 const struct secretrt_audit_record *record)
{
    char detail[TIMELINE_LINE];

    snprintf(detail, sizeof(detail), "granted %ld s", timeline_granted_s(record));
    timeline_add(timeline, what, record->generation, detail);
}

int timeline_audit(const struct secretrt_audit_record *record, void *data)
{
    struct timeline *timeline = data;
    const char *event = record->event;
    char detail[TIMELINE_LINE];

    if (strcmp(event, "secret.reject") == 0) {
        timeline_add(timeline, "rejected", record->generation,
                     "the database refused it, and we said so");
    } else if (strcmp(event, "lease.lost") == 0 || strcmp(event, "lease.expire") == 0) {
        timeline_add(timeline, "lost", record->generation, record->reason);
    } else if (strcmp(record->outcome, "success") != 0) {
        snprintf(detail, sizeof(detail), "%s: %s", event, record->reason);
        timeline_add(timeline, "failed", 0, detail);
    } else if (strcmp(event, "auth.login") == 0) {
        snprintf(detail, sizeof(detail), "as %s",
                 record->principal[0] != '\0' ? record->principal : "this workload");
        timeline_add(timeline, "logged in", 0, detail);
    } else if (strcmp(event, "lease.acquire") == 0) {
        pthread_mutex_lock(&timeline->lock);
        timeline->created++;
        pthread_mutex_unlock(&timeline->lock);
        timeline_add_granted(timeline, "acquired", record);
    } else if (strcmp(event, "lease.renew") == 0) {
        timeline_add_granted(timeline, "renewed", record);
    } else if (strcmp(event, "lease.revoke") == 0 && atomic_load(&timeline->closing)) {
        timeline_add(timeline, "revoked", record->generation, "given back");
    } else if (strcmp(event, "auth.revoke") == 0) {
        timeline_add(timeline, "logged out", 0, "and all that was made with the login");
    }
    return 0;
}

static const char *timeline_colour(const struct timeline *timeline, const char *what)
{
    static const struct {
        const char *what, *colour;
    } table[] = {{"acquired", "\033[32m"},   {"renewed", "\033[36m"},
                 {"replaced", "\033[1;34m"}, {"rejected", "\033[33m"},
                 {"lost", "\033[33m"},       {"revoked", "\033[35m"},
                 {"failed", "\033[1;31m"}};

    for (size_t i = 0; timeline->colours && i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(table[i].what, what) == 0)
            return table[i].colour;
    }
    return "";
}

static void timeline_print(const struct timeline *timeline,
                           const struct timeline_entry *entry, const char *user)
{
    const char *colour = timeline_colour(timeline, entry->what);

    printf("%6.1f s  %s%-10s%s  ", (double)entry->at_ms / 1000, colour, entry->what,
           colour[0] != '\0' ? "\033[0m" : "");
    if (entry->generation != 0)
        printf("%-44s  ", user != NULL ? user : "?");
    printf("%s\n", entry->detail);
}

/* NULL: not known, or not yet. */
static const char *timeline_user(const struct timeline *timeline, uint64_t generation)
{
    size_t i = generation % TIMELINE_NAMES;

    return timeline->generation[i] == generation ? timeline->user[i] : NULL;
}

void timeline_flush(struct timeline *timeline, int all)
{
    size_t done = 0;
    int64_t now_ms = timeline_elapsed_ms(timeline);

    pthread_mutex_lock(&timeline->lock);
    while (done < timeline->pending) {
        const struct timeline_entry *entry = &timeline->entry[done];
        const char *user = timeline_user(timeline, entry->generation);

        if (!all && entry->generation != 0 && user == NULL &&
            now_ms - entry->at_ms < TIMELINE_PATIENCE_MS)
            break; /* in order: what follows waits too */
        timeline_print(timeline, entry, user);
        done++;
    }
    timeline->pending -= done;
    memmove(timeline->entry, timeline->entry + done,
            timeline->pending * sizeof(timeline->entry[0]));
    pthread_mutex_unlock(&timeline->lock);
    fflush(stdout);
}
