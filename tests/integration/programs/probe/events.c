/* What the library says by itself: events, callbacks, audit records, log lines. */
#include "probe.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS_MAX 4096

struct audit_copy {
    char event[32];
    char outcome[16];
    char reason[128];
    char name[64];
    char source[128];
    char request_id[64];
    char actor[32];
    uint64_t seq;
    uint64_t generation;
    uint64_t count;
    int32_t tier;
    int32_t status;
};

struct log_copy {
    int level;
    char message[320];
};

struct event_copy {
    struct secretrt_event event;
    int64_t at_ms;
    char name[64];
    char message[320];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct audit_copy audits[RECORDS_MAX];
static struct log_copy logs[RECORDS_MAX];
static struct event_copy callbacks[RECORDS_MAX];
static size_t audit_n, log_n, callback_n;

#define COPY(to, from) snprintf((to), sizeof(to), "%s", (from) != NULL ? (from) : "")

void record_reset(void)
{
    pthread_mutex_lock(&lock);
    audit_n = log_n = callback_n = 0;
    pthread_mutex_unlock(&lock);
}

int record_audit(const struct secretrt_audit_record *record, void *data)
{
    const struct probe *p = data;

    if (p->audit_sleep_ms > 0)
        sleep_ms(p->audit_sleep_ms);
    pthread_mutex_lock(&lock);
    if (audit_n < RECORDS_MAX) {
        struct audit_copy *to = &audits[audit_n++];

        COPY(to->event, record->event);
        COPY(to->outcome, record->outcome);
        COPY(to->reason, record->reason);
        COPY(to->name, record->name);
        COPY(to->source, record->source);
        COPY(to->request_id, record->request_id);
        COPY(to->actor, record->actor);
        to->seq = record->seq;
        to->generation = record->generation;
        to->count = record->count;
        to->tier = record->tier;
        to->status = record->status;
    }
    pthread_mutex_unlock(&lock);
    return p->audit_fails;
}

void record_log(int level, const char *message, void *data)
{
    (void)data;
    pthread_mutex_lock(&lock);
    if (log_n < RECORDS_MAX) {
        logs[log_n].level = level;
        COPY(logs[log_n].message, message);
        log_n++;
    }
    pthread_mutex_unlock(&lock);
}

int record_event(const struct secretrt_event *event, void *data)
{
    const struct probe *p = data;

    pthread_mutex_lock(&lock);
    if (callback_n < RECORDS_MAX) {
        struct event_copy *to = &callbacks[callback_n++];

        to->event = *event;
        to->at_ms = now_ms();
        COPY(to->name, event->name);
        COPY(to->message, event->message);
        to->event.name = to->name;
        to->event.message = to->message;
    }
    pthread_mutex_unlock(&lock);
    if (p->event_sleep_ms > 0)
        sleep_ms(p->event_sleep_ms);
    return 0;
}

void out_event(const struct secretrt_event *event, int64_t at_ms)
{
    out_open(NULL, '{');
    out_text("kind", secretrt_event_name(event->kind));
    out_text("status", secretrt_status_name(event->status));
    out_number("tier", event->tier);
    out_number("merged", event->merged);
    out_number("generation", (int64_t)event->generation);
    out_number("old_generation", (int64_t)event->old_generation);
    out_number("left_ms", event->left_ms);
    out_text("name", event->name);
    out_text("message", event->message);
    out_number("at_ms", at_ms);
    out_close('}');
}

static int drain(struct probe *p, int64_t wait_ms, int only_one)
{
    struct secretrt_event event = SECRETRT_EVENT_INIT;
    int64_t end = now_ms() + wait_ms;
    int status;

    out_open("events", '[');
    do {
        int64_t left = end - now_ms();

        status = secretrt_event_next(&event, p->client, left > 0 ? (int)left : 0);
        if (status == 0)
            out_event(&event, now_ms());
    } while (status == 0 && !only_one);
    out_close(']');
    return status == SECRETRT_ERR_TIMEOUT ? 0 : status;
}

/* events MS: all that wait or come within that time. */
void cmd_events(struct probe *p, char *arguments)
{
    out_status(drain(p, strtoll(arguments, NULL, 10), 0));
}

/* next MS: none or one. */
void cmd_next(struct probe *p, char *arguments)
{
    out_status(drain(p, strtoll(arguments, NULL, 10), 1));
}

/* callbacks: what on_event was given, and when each began. */
void cmd_callbacks(struct probe *p, char *arguments)
{
    (void)p;
    (void)arguments;
    out_status(0);
    out_number("now_ms", now_ms());
    out_open("events", '[');
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < callback_n; i++)
        out_event(&callbacks[i].event, callbacks[i].at_ms);
    pthread_mutex_unlock(&lock);
    out_close(']');
}

void cmd_audits(struct probe *p, char *arguments)
{
    (void)p;
    (void)arguments;
    out_status(0);
    out_open("records", '[');
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < audit_n; i++) {
        const struct audit_copy *a = &audits[i];

        out_open(NULL, '{');
        out_text("event", a->event);
        out_text("outcome", a->outcome);
        out_text("reason", a->reason);
        out_text("name", a->name);
        out_text("source", a->source);
        out_text("request_id", a->request_id);
        out_text("actor", a->actor);
        out_number("seq", (int64_t)a->seq);
        out_number("generation", (int64_t)a->generation);
        out_number("count", (int64_t)a->count);
        out_number("tier", a->tier);
        out_text("status", secretrt_status_name(a->status));
        out_close('}');
    }
    pthread_mutex_unlock(&lock);
    out_close(']');
}

void cmd_logs(struct probe *p, char *arguments)
{
    (void)p;
    (void)arguments;
    out_status(0);
    out_open("lines", '[');
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < log_n; i++) {
        out_open(NULL, '{');
        out_number("level", logs[i].level);
        out_text("message", logs[i].message);
        out_close('}');
    }
    pthread_mutex_unlock(&lock);
    out_close(']');
}
