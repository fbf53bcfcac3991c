/* A value: one published generation of a secret. Its life (when it ends) is shared with
 * the lease behind it, so that a renewal moves the end of values already handed out. */
#ifndef SRT_ENGINE_VALUE_H
#define SRT_ENGINE_VALUE_H

#include "mem/bundle.h"
#include "mem/epoch.h"
#include <secretrt/secret.h>
#include <secretrt/value.h>
#include <stdatomic.h>
#include <stdint.h>

/* Deadlines of one lease, written by the engine, read by anybody. */
struct srt_life {
    _Atomic uint32_t refs;
    _Atomic int64_t end_ms; /* boot clock; SRT_NEVER: no end known */
    _Atomic int64_t
        end_wall_ms; /* the same as a coarse wall stamp; hot reads compare it */
    _Atomic int64_t drain_by_ms; /* once replaced; SRT_NEVER before */
};

struct srt_life *srt_life_new(void); /* NULL: out of memory */
struct srt_life *srt_life_ref(struct srt_life *life);
void srt_life_unref(struct srt_life *life);
void srt_life_set(struct srt_life *life, int64_t end_ms, int64_t boot_ms,
                  int64_t wall_ms);

struct secretrt_value {
    struct srt_retired retired;
    _Atomic uint32_t refs;
    _Atomic uint32_t current; /* 1 while a read would answer with it */
    uint32_t stamp;           /* srt_fork_stamp() at its making */
    struct srt_bundle *bundle;
    struct srt_life *life;
    char *field; /* selected by '#'; NULL: the only field */
    char *texts; /* behind info's strings */
    struct secretrt_info info;
};

/* What a value says of itself; texts are copied. */
struct srt_value_facts {
    const char *name;
    const char *source;
    const char *version;
    const char *lease_id;
    const char *request_id;
    const char *limited_by;
    const char *field; /* NULL: none selected */
    int32_t tier;
    int32_t weakest_tier;
    uint32_t flags;
    uint64_t generation;
    int64_t issued_at_ms;
    int64_t expires_at_ms;
};

/* One reference; takes its own of bundle and life. 0 or ERR_NOMEM. */
int srt_value_new(struct secretrt_value **out, struct srt_bundle *bundle,
                  struct srt_life *life, const struct srt_value_facts *facts);
/* A value with one field "" of text, sharing the facts of another (value_format). */
int srt_value_derive(struct secretrt_value **out, const struct secretrt_value *from,
                     struct srt_bundle *bundle);
struct secretrt_value *srt_value_hold(struct secretrt_value *value);
void srt_value_drop(struct secretrt_value *value);
/* 1: may still be used at boot_ms: neither past its end nor past its drain. */
int srt_value_live(const struct secretrt_value *value, int64_t boot_ms);

/* The place where a secret's live value is published. */
struct srt_cell {
    struct secretrt_value *_Atomic value;
    _Atomic uint64_t generation; /* the live generation, or 0 */
    uint32_t slot;
};

int srt_cell_init(struct srt_cell *cell); /* 0 or ERR_NOMEM */
void srt_cell_wipe(struct srt_cell *cell);
/* Takes over the caller's reference; value NULL: nothing live. The old one goes when no
 * reader can hold it. */
void srt_cell_publish(struct srt_cell *cell, struct secretrt_value *value);
/* In a forked child: forgets what the parent had published. */
void srt_cell_forget(struct srt_cell *cell);

/* The hot path. A pinned value that is live and counted, or NULL (not pinned): then the
 * slow path decides. */
const struct secretrt_value *srt_cell_borrow(struct srt_cell *cell, uint64_t count);
/* The slow path's end: pins the cell if `expected` is still what it holds, uncounted
 * (its read was counted); NULL: it has changed meanwhile. */
const struct secretrt_value *
srt_cell_borrow_slow(struct srt_cell *cell, const struct secretrt_value *expected);
void srt_cell_return(void);

#endif
