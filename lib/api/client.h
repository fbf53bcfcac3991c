/* The client's insides: what the public functions share. Two threads meet here: callers
 * ask (bits in a managed secret, under `lock`), the renewal thread does (its turn).
 * Order of locks: the process's list of clients (fork.c), a loop's turn, `lock`, then
 * those of the pump and of workers, inside which nothing of this room is taken. */
#ifndef SRT_API_CLIENT_H
#define SRT_API_CLIENT_H

#include "base/list.h"
#include "base/lock.h"
#include "engine/engine.h"
#include "io/loop.h"
#include "io/worker.h"
#include <secretrt/secretrt.h>

/* ---- events waiting for a target: one slot a kind, so that nothing can overflow ----
 */

#define SRT_EVENT_KINDS 10
#define SRT_EVENT_MESSAGE_LEN 192

struct srt_pending {
    struct srt_list link; /* in the queue, or in the dispatcher's list */
    struct srt_target *target;
    struct srt_notice notice;
    uint32_t merged;
    char message[SRT_EVENT_MESSAGE_LEN];
    char handed[SRT_EVENT_MESSAGE_LEN]; /* what the consumer looks at: see event.h */
};

/* Who an event is for: a handle, a secret that is read by name, the client itself. */
struct srt_target {
    struct srt_pending slot[SRT_EVENT_KINDS];
    struct secretrt_secret *handle; /* NULL: by name, or client-wide */
    const char *name;
    secretrt_event_fn *on_event; /* NULL: the queue */
    void *data;
};

/* ---- one name ---- */

enum srt_ask {
    SRT_ASK_OPEN = 1,
    SRT_ASK_WANT = 2,
    SRT_ASK_REFRESH = 4,
    SRT_ASK_REJECT = 8,
    SRT_ASK_DRAINED = 16,
    SRT_ASK_CLOSE = 32
};

#define SRT_DRAINED_MAX 4
#define SRT_RECENT_MAX                                                                 \
    3 /* generations that redaction knows: the live one and two before */
#define SRT_RECENT_MAX                                                                 \
    3 /* generations that redaction knows: the live one and two before */

struct srt_managed {
    struct srt_list link;  /* client->managed */
    struct srt_list dirty; /* client->dirty, while `asks` is not 0 */
    struct secretrt_client *client;
    struct srt_spec *spec;
    struct srt_cell cell;
    struct srt_secret *record; /* the renewal thread's; NULL until it has opened it */
    struct srt_list handles;   /* struct secretrt_secret */
    struct srt_target target;  /* when it is read by name */
    int by_name;               /* 1: managed until the client closes */
    int opened;                /* the renewal thread has been told of it */
    unsigned callers;  /* calls and verifications that look at it: not freed before */
    unsigned asks;     /* enum srt_ask */
    uint64_t asked_at; /* the latest ask, and the latest that was taken up */
    uint64_t taken_at;
    uint64_t reject_generation;
    int reject_status;
    uint64_t drained[SRT_DRAINED_MAX];
    unsigned n_drained;
    /* what the renewal thread said last */
    uint64_t answered_at;          /* the last ask that it has answered */
    uint64_t unchanged_at;         /* the last that it has answered by: unchanged */
    struct secretrt_error failure; /* status 0: none since the last publication */
    int failure_final;
    int expired;         /* it was live once, and ended */
    uint64_t pending_at; /* the ask of a call that did not wait: it is owed an event */
    struct srt_bundle *recent[SRT_RECENT_MAX]; /* for redaction; the latest first */
    struct srt_answer *answer; /* its candidate waits for secretrt_secret_verdict */
};

/* A candidate on its way to a verdict, and the verdict on its way to the engine: one
 * block, so that no ticket is lost to want of memory. */
struct srt_answer {
    struct srt_job job;
    struct srt_managed *managed;
    struct secretrt_client *client;
    struct srt_ticket *ticket;
    struct secretrt_value *candidate;
    int status;
};

struct secretrt_secret {
    struct srt_list link; /* managed->handles */
    struct srt_managed *managed;
    struct srt_target target;
    secretrt_verify_fn *verify;
    int closed; /* closed in its own callback or verification: freed after it */
};

/* ---- the client ---- */

enum srt_client_state { SRT_CLIENT_OPEN = 1, SRT_CLIENT_CLOSING, SRT_CLIENT_CLOSED };

struct srt_pump;

struct secretrt_client {
    struct srt_list link; /* the process's list, for fork and exit */
    struct srt_lock lock;
    struct srt_cond changed; /* something that a caller may wait for */
    enum srt_client_state state;
    uint32_t stamp;   /* srt_fork_stamp() of the process that runs its thread */
    unsigned callers; /* inside a call that waits */
    uint64_t asked;   /* counts asks: each has its number */
    struct srt_config *config;
    struct srt_listener listener;
    struct srt_loop *loop;
    struct srt_engine *engine;
    struct srt_pump *pump;
    struct srt_list managed;
    struct srt_list dirty;
    uint32_t flags;
    uint32_t fetch_timeout_ms;
    uint32_t close_timeout_ms;
    unsigned unreturned;
    secretrt_log_fn *log;
    void *log_data;
    /* events */
    struct srt_target target; /* client-wide */
    struct srt_list queue;    /* struct srt_pending */
    struct srt_list callbacks;
    int event_fd;
    struct srt_worker *dispatcher;
    struct srt_worker *verifier;
    struct srt_job dispatch;
    int dispatching;                   /* the job is posted */
    struct secretrt_secret *running;   /* whose callback runs */
    struct secretrt_secret *verifying; /* whose verify function runs */
    int close_in_callback;
    int ending;    /* no callback begins any more */
    int abandoned; /* closed, but a callback did not end: its memory stays */
    int held;      /* by fork_prepare: its thread is ours */
};

/* client.c */
int srt_client_ready(struct secretrt_client *client,
                     struct secretrt_error *err); /* begins afresh in a forked child */
/* Lock held; the number of this ask. */
uint64_t srt_client_ask(struct secretrt_client *client, struct srt_managed *managed,
                        unsigned ask);
void srt_client_leave(struct secretrt_client *client); /* a caller less; lock held */
void srt_client_log(struct secretrt_client *client, int level, const char *message);
int srt_client_start(struct secretrt_client *client, struct secretrt_error *err);
/* After a callback, lock not held: closes the client if that is what it asked for. */
void srt_client_close_if_asked(struct secretrt_client *client);

/* managed.c; lock held but for turn */
int srt_managed_get(struct srt_managed **out, struct secretrt_client *client,
                    const char *name, const struct secretrt_secret_options *options,
                    struct secretrt_error *err);
void srt_managed_turn(
    struct secretrt_client *client); /* the renewal thread: what was asked */
void srt_managed_free(struct srt_managed *managed);
void srt_managed_forget_recent(struct srt_managed *managed);
void srt_managed_let_go(struct secretrt_client *client, struct secretrt_secret *handle);
void srt_managed_enter(struct srt_managed *managed);
void srt_managed_leave(struct srt_managed *managed);
int srt_managed_is_closed(const struct srt_managed *managed); /* no holder is left */

/* wait.c */
struct srt_wait {
    struct secretrt_call *call; /* NULL: the client's defaults */
    int64_t until_ms;
    uint64_t
        asked; /* the number under which the renewal thread was asked; 0: not yet */
};
int srt_wait_value(struct secretrt_value **out, struct srt_managed *managed,
                   struct srt_wait *wait, struct secretrt_error *err);
int srt_wait_reject(struct secretrt_value **out, struct srt_managed *managed,
                    const struct secretrt_value *refused, int http_status,
                    struct secretrt_call *call, struct secretrt_error *err);
int srt_call_check(const struct secretrt_call *call, struct secretrt_error *err);
unsigned srt_call_ask(const struct secretrt_call *call); /* enum srt_ask */
int64_t srt_call_deadline_ms(const struct secretrt_client *client,
                             const struct secretrt_call *call);

/* listen.c: what the engine says */
void srt_listen_init(struct secretrt_client *client);
void srt_listen_settle(struct srt_managed *managed, enum srt_settled how,
                       const struct secretrt_error *error);
void srt_listen_answers_drop(struct secretrt_client *client);
void srt_answer_free(struct srt_answer *answer);

/* events.c */
void srt_target_init(struct srt_target *target, const char *name);
void srt_event_push(struct secretrt_client *client, struct srt_target *target,
                    const struct srt_notice *notice); /* lock held */
void srt_event_forget(struct secretrt_client *client,
                      struct srt_target *target); /* lock held */
void srt_event_warning(struct secretrt_client *client, int status, const char *message);

/* audit_pump.c */
struct srt_record;
int srt_pump_new(struct srt_pump **out, struct secretrt_client *client,
                 const struct secretrt_options *options, struct secretrt_error *err);
/* As srt_listener.record. */
int srt_pump_record(struct srt_pump *pump, const struct srt_record *record,
                    struct srt_ticket *ticket);
/* A caller's own record: written when it returns. 0, or ERR_AUDIT where required. */
int srt_pump_record_now(struct srt_pump *pump, const struct srt_record *record);
int64_t
srt_pump_turn(struct srt_pump *pump,
              int64_t boot_ms); /* answers what waited too long; the next deadline */
void srt_pump_hash(const struct srt_pump *pump, char *out, size_t cap,
                   const char *lease_id);
void srt_pump_log(struct srt_pump *pump, int level, const char *message);
int srt_pump_flush(struct srt_pump *pump,
                   int64_t until_ms); /* ERR_TIMEOUT: a sink or hook is stuck */
void srt_pump_free(struct srt_pump *pump);
void srt_pump_hold(struct srt_pump *pump);
void srt_pump_release(struct srt_pump *pump);
int srt_pump_afresh(struct srt_pump *pump); /* in a forked child */

/* fork.c */
int srt_fork_enlist(struct secretrt_client *client); /* 0 or ERR_UNSUPPORTED */
void srt_fork_delist(struct secretrt_client *client);

#endif
