/* The engine: nodes that depend on nodes, kept alive. A function of (state, now,
 * reply): no thread, no lock, no clock, no network of its own. All calls are made by
 * one thread at a time: the renewal thread, or a test. */
#ifndef SRT_ENGINE_ENGINE_H
#define SRT_ENGINE_ENGINE_H

#include "base/env.h"
#include "engine/config.h"
#include "engine/record.h"
#include "engine/value.h"
#include <secretrt/error.h>
#include <secretrt/event.h>

struct srt_engine;
struct srt_secret;
struct srt_ticket;

/* How an acquisition or a rejection of a secret ended, for those who wait. */
enum srt_settled {
    SRT_SETTLED_PUBLISHED = 1, /* a new generation is live */
    SRT_SETTLED_TRYING,        /* it failed, and is tried again soon */
    SRT_SETTLED_FAILED,        /* it failed for a reason that will not pass by itself */
    SRT_SETTLED_UNCHANGED,     /* the store still holds the same value */
    SRT_SETTLED_CONFIRMED      /* asked: the value is alive as it is */
};

/* An event for the application; texts are borrowed for the call. */
struct srt_notice {
    int32_t kind; /* enum secretrt_event_kind */
    int32_t status;
    int32_t tier;
    uint64_t generation;
    uint64_t old_generation;
    int64_t until_ms; /* boot clock: what left_ms is counted to; SRT_NEVER: no end */
    const char *message;
};

/* What the engine tells the outside, on its own thread, with nothing locked. Calls back
 * into the engine only through srt_engine_* after returning. */
struct srt_listener {
    void *self;
    void (*settled)(
        void *self, struct srt_secret *secret, enum srt_settled how,
        const struct secretrt_error *error); /* error NULL unless it failed */
    void (*notice)(void *self, struct srt_secret *secret,
                   const struct srt_notice *notice);
    /* Writes an audit record. ticket NULL: nothing waits for it. Otherwise the answer
     * may come later, by srt_engine_answered: SRT_TICKET_LATER; 0: recorded; else
     * refused. */
    int (*record)(void *self, const struct srt_record *record,
                  struct srt_ticket *ticket);
    /* Asks the application to try a candidate: as record. `candidate` is borrowed. */
    int (*verify)(void *self, struct srt_secret *secret,
                  struct secretrt_value *candidate, struct srt_ticket *ticket);
    void (*log)(void *self, int level, const char *message);
    /* The keyed hash of a lease ID, as values and the audit show it. NULL: none. */
    void (*hash)(void *self, char *out, size_t cap, const char *lease_id);
};
#define SRT_TICKET_LATER 1

/* config, env and listener are borrowed until srt_engine_free. 0 or ERR_NOMEM. */
int srt_engine_new(struct srt_engine **out, const struct srt_config *config,
                   const struct srt_env *env, const struct srt_listener *listener);
/* Gives nothing back at any store: see srt_engine_close. */
void srt_engine_free(struct srt_engine *engine);

/* In a forked child: from here on it speaks to nobody. Its loop is abandoned next,
 * which lets go of its transfers; then it is freed. */
void srt_engine_mute(struct srt_engine *engine);

/* Does what is due and answers the next deadline on the boot clock. */
int64_t srt_engine_step(struct srt_engine *engine);

/* The answer to a ticket: 0, or the status it was refused with. */
void srt_engine_answered(struct srt_engine *engine, struct srt_ticket *ticket,
                         int status);

/* Begins to give everything back. srt_engine_closed: 1 once nothing is left to do;
 * *unreturned: what could not be given back. */
void srt_engine_close(struct srt_engine *engine);
int srt_engine_closed(const struct srt_engine *engine, unsigned *unreturned);

/* ---- secrets ---- */

/* What a secret is, from configuration and options: checked, immutable, shared. */
struct srt_spec {
    char *name;                      /* as opened, with "#field" */
    char *field;                     /* selected; NULL: none */
    struct srt_secret_config config; /* its own copy; `name` is the configured one */
};

/* Completes the configuration of a name, or of a reference, by options (NULL ok) and
 * checks it whole: schemes, plans, cycles. Pure; any thread. 0, ERR_INVALID,
 * ERR_CONFIG, ERR_POLICY, ERR_NOT_FOUND (no such name), ERR_NOMEM. */
int srt_spec_new(struct srt_spec **out, const struct srt_config *config,
                 const char *name, const struct secretrt_secret_options *options,
                 struct secretrt_error *err);
void srt_spec_free(struct srt_spec *spec);

/* Starts managing (unless lazy). spec and cell are the caller's and outlive the secret;
 * `data` is the listener's. 0 or a status. */
int srt_secret_open(struct srt_secret **out, struct srt_engine *engine,
                    const struct srt_spec *spec, struct srt_cell *cell, void *data,
                    struct secretrt_error *err);
/* Gives back what only this secret needed. The record is gone after the call. */
void srt_secret_close(struct srt_engine *engine, struct srt_secret *secret);
void *srt_secret_data(const struct srt_secret *secret);
const struct srt_spec *srt_secret_spec(const struct srt_secret *secret);

void srt_secret_want(struct srt_engine *engine,
                     struct srt_secret *secret); /* a reader waits */
/* Asks the store even though a value is live: ends in settled(). */
void srt_secret_refresh(struct srt_engine *engine, struct srt_secret *secret);
/* This generation was refused by the other side: ends in settled(), or a newer one is
 * live already and nothing is done. */
void srt_secret_reject(struct srt_engine *engine, struct srt_secret *secret,
                       uint64_t generation, int http_status);
/* No connection of this replaced generation is left. 0, or ERR_NOT_FOUND. */
int srt_secret_drained(struct srt_engine *engine, struct srt_secret *secret,
                       uint64_t generation);

/* One line per secret and per lease, for reports; texts are borrowed. */
struct srt_status {
    const char *name;
    const char *source;
    const char *state;
    int32_t tier;
    int32_t weakest_tier;
    uint64_t generation;
    uint64_t reads;
    int64_t left_ms; /* INT64_MAX: no end known; 0: nothing live */
    uint32_t renewals;
};
typedef void srt_status_fn(const struct srt_status *status, void *data);
void srt_engine_survey(struct srt_engine *engine, srt_status_fn *each, void *data);

#endif
