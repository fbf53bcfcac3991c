/* What happens to the leases, as lines for people, fed by the audit hook. User names,
 * never passwords. */
#ifndef QUICKSTART_TIMELINE_H
#define QUICKSTART_TIMELINE_H

#include <secretrt/secretrt.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define TIMELINE_NAMES 64
#define TIMELINE_PENDING 256
#define TIMELINE_LINE 320

struct timeline_entry {
    int64_t at_ms; /* since the start */
    const char *what;
    uint64_t generation; /* whose user name the line shows; 0: none */
    char detail[TIMELINE_LINE];
};

struct timeline {
    pthread_mutex_t lock;
    int64_t start_ms;
    int colours;
    char user[TIMELINE_NAMES][64]; /* by generation, modulo */
    uint64_t generation[TIMELINE_NAMES];
    struct timeline_entry entry[TIMELINE_PENDING];
    size_t pending;
    atomic_int closing; /* before, the event DRAINED tells what was given back */
    uint64_t created;   /* lease.acquire */
    uint64_t lost;      /* lines that did not fit */
};

void timeline_init(struct timeline *timeline);
int64_t timeline_elapsed_ms(const struct timeline *timeline);

/* A secretrt_audit_fn; data is the timeline. */
int timeline_audit(const struct secretrt_audit_record *record, void *data);
/* Whose name a generation has: the audit does not tell. */
void timeline_learn(struct timeline *timeline, const struct secretrt_value *value);
/* A line of the program's own; generation: whose user name it shows, or 0. */
void timeline_note(struct timeline *timeline, const char *what, uint64_t generation,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Prints what is known by now; all: also lines whose name is not. One thread. */
void timeline_flush(struct timeline *timeline, int all);

#endif
