/* The engine's insides: what its own files share. Nodes make leases by tasks; secrets
 * publish what nodes hold; stores say when a task may go. */
#ifndef SRT_ENGINE_GRAPH_H
#define SRT_ENGINE_GRAPH_H

#include "base/heap.h"
#include "base/list.h"
#include "engine/engine.h"
#include "engine/provider.h"
#include "engine/timing.h"

/* ---- what is due ---- */

struct srt_due {
    struct srt_timer timer;
    void (*fire)(struct srt_engine *engine, struct srt_due *due);
};

struct srt_engine {
    const struct srt_config *config;
    const struct srt_env *env;
    const struct srt_listener *listener;
    struct srt_heap heap;
    size_t timers;          /* places reserved in it */
    struct srt_list stores; /* struct srt_store */
    struct srt_list nodes;  /* struct srt_node */
    struct srt_list secrets;
    int64_t now_ms; /* of this turn: one look at the clock */
    int64_t wall_ms;
    int64_t apart_ms; /* wall minus boot clock as stamps were made, to notice a jump */
    unsigned unreturned;
    int closing;
    int reap; /* a node may have lost its last user */
};

void srt_engine_look(struct srt_engine *engine); /* reads both clocks */
double srt_engine_chance(struct srt_engine *engine);
int srt_due_init(struct srt_engine *engine, struct srt_due *due,
                 void (*fire)(struct srt_engine *,
                              struct srt_due *)); /* 0 or ERR_NOMEM */
void srt_due_set(struct srt_engine *engine, struct srt_due *due, int64_t at_ms);
void srt_due_wipe(struct srt_engine *engine, struct srt_due *due);
void srt_engine_log(struct srt_engine *engine, int level, const char *format, ...)
    SRT_PRINTF(3, 4);

/* ---- stores: when a task may go ---- */

struct srt_store {
    struct srt_list link;
    struct srt_due due;
    const struct srt_store_config
        *config;           /* NULL: the local one (files, environment) */
    struct srt_heap queue; /* of tasks, most urgent first */
    size_t tasks;          /* places reserved in it */
    unsigned limit;
    unsigned in_flight;
    unsigned leases;         /* live ones made here */
    unsigned failures;       /* in a row */
    unsigned opened;         /* times in a row that the breaker opened */
    int64_t closed_ms;       /* since when breaker or throttle hold tasks back */
    int64_t closed_until_ms; /* nothing goes before */
    int64_t slow_until_ms;   /* throttled lately: half as many at once */
    int probing;    /* the one task that may go while it is open is on its way */
    size_t address; /* index of the one in use */
};

int srt_store_get(struct srt_store **out, struct srt_engine *engine,
                  const struct srt_store_config *config);
void srt_store_free(struct srt_engine *engine, struct srt_store *store);

/* ---- leases: one product of a node ---- */

enum srt_lease_state {
    SRT_LEASE_CANDIDATE = 1, /* waits for its records and verdicts */
    SRT_LEASE_LIVE,
    SRT_LEASE_DRAINING, /* replaced; its holders may still use it */
    SRT_LEASE_DEAD
};

struct srt_lease {
    struct srt_list link; /* in node->retired */
    struct srt_due due;
    struct srt_node *node;
    enum srt_lease_state state;
    uint64_t generation; /* of its node */
    struct srt_grant grant;
    struct srt_life *life;
    struct srt_terms terms;
    struct srt_lease *owner[SRT_NEEDS_MAX]; /* the credentials that made it */
    unsigned dependents; /* leases and tasks that hold it as their owner */
    unsigned refs;
    struct srt_task *task; /* shorten or revoke */
    unsigned attempts;     /* of revoking */
    unsigned renewals;
    unsigned records; /* answers still out for a candidate */
    unsigned verdicts;
    int overdue;           /* no verdict came in time: records alone decide */
    int refusal;           /* the first status that a ticket was refused with */
    int gone;              /* the store says that it does not exist any more */
    int last_breath;       /* may not be revoked: shortened to die now */
    int left;              /* "leave_lease": whoever still uses it outlives us */
    unsigned same;         /* in a row: read after its rotation, and unchanged */
    double chance;         /* of its present plan */
    int64_t child_lead_ms; /* a login: the longest of what was made with it */
    int64_t issued_ms;     /* before the request that made it was sent */
    int64_t first_ms; /* granted then, and asked for ever since: less would shrink it */
    int64_t requested_ms; /* the same of the latest that granted or renewed it */
    int64_t granted_ms;   /* what that one granted; SRT_NEVER: no end */
    int64_t not_after_ms;
    int64_t max_end_ms; /* SRT_NEVER until a grant fell short */
    int64_t renew_at_ms;
    int64_t rotate_at_ms;
    int64_t refresh_at_ms;
    int64_t check_at_ms;
    int64_t drain_by_ms;
    int64_t candidate_until_ms; /* published without its verdict then */
    int weakest_tier;
};

struct srt_task;
int srt_lease_new(struct srt_lease **out, struct srt_engine *engine,
                  struct srt_task *task);
void srt_lease_ref(struct srt_lease *lease);
void srt_lease_unref(struct srt_engine *engine, struct srt_lease *lease);
int64_t srt_lease_end(const struct srt_lease *lease, const char **limited_by);
/* Until when its holders may use it once it is replaced. */
int64_t srt_lease_drain_by(const struct srt_engine *engine,
                           const struct srt_lease *lease);
void srt_lease_restamp(struct srt_engine *engine, struct srt_lease *lease);
void srt_lease_reread(struct srt_lease *lease, const struct srt_task *task);
/* A grant extends it: 1 when it fell short of what was asked. */
int srt_lease_extend(struct srt_engine *engine, struct srt_lease *lease,
                     const struct srt_task *task);
void srt_lease_plan(struct srt_engine *engine, struct srt_lease *lease); /* its times */
/* Its login must be replaced so early that this one, too, can be made anew in time. */
void srt_lease_weigh(struct srt_engine *engine, const struct srt_lease *lease);
void srt_lease_retire(struct srt_engine *engine, struct srt_lease *lease);
void srt_lease_drain_now(struct srt_engine *engine, struct srt_lease *lease);
void srt_lease_task_done(struct srt_engine *engine, struct srt_task *task);
void srt_lease_dead(struct srt_engine *engine, struct srt_lease *lease);

/* ---- nodes ---- */

enum srt_op {
    SRT_OP_FETCH = 1,
    SRT_OP_RENEW,
    SRT_OP_CHECK,
    SRT_OP_SHORTEN,
    SRT_OP_REVOKE
};

/* SRT_NODE_STATES is the one list; machine.c has the table over it. */
#define SRT_NODE_STATES(X)                                                             \
    X(INIT)                                                                            \
    X(ACQUIRING)                                                                       \
    X(FRESH) X(RENEWING) X(DEGRADED) X(SUSPECT) X(ROTATING) X(EXPIRED) X(CLOSED)

enum srt_node_state {
#define X(name) SRT_NODE_##name,
    SRT_NODE_STATES(X)
#undef X
        SRT_NODE_STATE_COUNT
};

/* The formatter never settles on this one. */
/* clang-format off */
#define SRT_NODE_EVENTS(X)                                                             \
    X(WANT) X(RENEW_DUE) X(ROTATE_DUE) X(REFRESH_DUE) X(RETRY_DUE) X(LATE) X(END)      \
    X(GRANTED) X(SAME) X(RENEWED) X(TRUNCATED) X(ALIVE) X(GONE) X(FIXED) X(TRANSIENT)  \
    X(FINAL) X(SUSPECTED) X(REPLACE) X(CLOSE)
/* clang-format on */

enum srt_node_event {
#define X(name) SRT_EVENT_##name,
    SRT_NODE_EVENTS(X)
#undef X
        SRT_EVENT_COUNT
};

/* A node's need of a credential, listed at that credential's node. */
struct srt_edge {
    struct srt_list link;
    struct srt_node *child;
    size_t at; /* child->need[at] */
};

struct srt_node {
    struct srt_list link;
    struct srt_due due;
    char *key;
    uint64_t hash; /* of the key */
    struct srt_ref ref;
    const struct srt_provider *provider;
    const struct srt_store_config *config; /* NULL: no store of its own */
    struct srt_store *store;
    struct srt_plan plan;
    struct srt_node *need[SRT_NEEDS_MAX];
    struct srt_edge edge[SRT_NEEDS_MAX];
    struct srt_list children; /* struct srt_edge: who needs it */
    struct srt_list sources;  /* struct srt_source: secrets that may be served by it */
    int leave_lease;          /* of a secret on it */
    int64_t overlap_ms;
    int64_t refresh_ms; /* of the secrets on it; 0: the provider's */
    enum srt_node_state state;
    struct srt_lease *current;
    struct srt_lease *candidate;
    struct srt_list retired;
    struct srt_task *task;
    unsigned wanted;     /* secrets and nodes that want it live */
    unsigned users;      /* secrets and nodes that refer to it */
    uint64_t generation; /* of the latest lease */
    /* the acquisition in progress */
    int acquiring;    /* 1: begun; waits for its credentials, the budget, or its task */
    int64_t begun_ms; /* credentials marked reread must be newer */
    enum srt_op
        asked_login; /* this operation was refused: the login is being asked; 0: no */
    int starved;     /* its failure is that of a credential */
    int64_t retry_at_ms;
    unsigned attempts;
    int relogged; /* one immediate retry after a login was replaced */
    /* the acquisition budget */
    unsigned tokens;
    int64_t refilled_ms;
    int64_t acquired_ms; /* the last attempt; negative: never */
    int64_t life_ms;     /* of the last lease */
    /* rejection and inquiry */
    int rejected;       /* the application says that the value is refused */
    int64_t checked_ms; /* the last time that it was confirmed alive */
    int degraded_told;
    int expiring_told;
    struct srt_failure failure; /* the last one; class NONE after a success */
    int64_t failed_ms;
};

int srt_node_get(struct srt_node **out, struct srt_engine *engine,
                 const char *reference, struct secretrt_error *err);
void srt_node_release(struct srt_engine *engine,
                      struct srt_node *node); /* a user less */
void srt_node_want(struct srt_engine *engine, struct srt_node *node);
void srt_node_unwant(struct srt_engine *engine, struct srt_node *node);
void srt_node_free(struct srt_engine *engine, struct srt_node *node);
int srt_node_live(const struct srt_engine *engine,
                  const struct srt_node *node); /* 1: its lease may be used now */
void srt_node_schedule(struct srt_engine *engine, struct srt_node *node);
void srt_node_acquire(struct srt_engine *engine,
                      struct srt_node *node); /* begins, or goes on */
void srt_node_adopt(struct srt_engine *engine,
                    struct srt_node *node); /* the candidate is in force */
void srt_node_extended(struct srt_engine *engine, struct srt_node *node);
void srt_node_confirmed(struct srt_engine *engine, struct srt_node *node);
void srt_node_unchanged(struct srt_engine *engine, struct srt_node *node);
void srt_node_refund(struct srt_node *node); /* the last acquisition made nothing */
void srt_node_failed(struct srt_engine *engine,
                     struct srt_node *node); /* node->failure is set */
void srt_node_blame(struct srt_node *node, enum srt_class failure_class,
                    const char *message);
void srt_node_lost(struct srt_engine *engine, struct srt_node *node, int expired);
void srt_node_reject(struct srt_engine *engine, struct srt_node *node);
void srt_node_give_back(struct srt_engine *engine,
                        struct srt_node *node); /* nobody wants it */
enum srt_login_answer { SRT_LOGIN_ALIVE = 1, SRT_LOGIN_LOST, SRT_LOGIN_UNKNOWN };
void srt_node_wake(struct srt_engine *engine,
                   struct srt_node *need); /* who waits for this credential */
void srt_node_login_answer(struct srt_engine *engine, struct srt_node *login,
                           enum srt_login_answer answer);
void srt_node_task_done(struct srt_engine *engine, struct srt_task *task);

/* machine.c: feeds one event to a node. */
void srt_machine_feed(struct srt_engine *engine, struct srt_node *node,
                      enum srt_node_event event);
enum srt_node_event
srt_class_event(enum srt_class failure_class);     /* what it means for its node */
int srt_class_final(enum srt_class failure_class); /* 1: will not pass by itself */
const char *srt_node_state_name(enum srt_node_state state);

/* ---- tasks: one operation on its way ---- */

struct srt_task {
    struct srt_timer place; /* in the store's queue; at_ms is its urgency */
    struct srt_engine *engine;
    struct srt_node *node;
    struct srt_lease *lease; /* NULL: fetch */
    struct srt_lease *owner[SRT_NEEDS_MAX];
    enum srt_op op;
    int sent;           /* in the store's flight */
    int minted;         /* a request that makes something has left */
    int hops;           /* redirects followed */
    size_t address;     /* the store's, as it was sent */
    int64_t started_ms; /* before the request that counts was sent */
    int64_t asked_ms;   /* renew, shorten: the increment */
    enum srt_step result;
    struct srt_exchange x;
    struct srt_transfer transfer;
};

int srt_task_new(struct srt_task **out, struct srt_engine *engine,
                 struct srt_node *node, struct srt_lease *lease, enum srt_op op);
void srt_task_queue(struct srt_engine *engine, struct srt_task *task,
                    int64_t urgency_ms);
void srt_task_start(struct srt_engine *engine,
                    struct srt_task *task); /* by the store: its turn */
void srt_task_free(struct srt_engine *engine,
                   struct srt_task *task); /* wherever it is */

void srt_store_queue(struct srt_engine *engine, struct srt_store *store,
                     struct srt_task *task);
void srt_store_done(struct srt_engine *engine, struct srt_store *store,
                    struct srt_task *task);
void srt_store_forget(struct srt_engine *engine, struct srt_store *store,
                      struct srt_task *task);
void srt_store_pump(struct srt_engine *engine, struct srt_store *store);
/* The address in use; "" for one without. */
const char *srt_store_address(const struct srt_store *store);

/* ---- secrets ---- */

struct srt_source {
    struct srt_list link; /* in node->sources */
    struct srt_secret *secret;
    struct srt_node *node;
    char *field; /* selected by this source's reference; NULL: none */
    int wanted;
    int failed_policy; /* a status: never to be used */
    uint64_t admitted; /* the node's generation that passed the gate; 0: none */
    uint64_t refused;  /* the one that may not be published; 0: none */
};

#define SRT_PAST_MAX 4

struct srt_secret {
    struct srt_list link;
    struct srt_due due;
    const struct srt_spec *spec;
    void *data;
    struct srt_source *source; /* spec->config.sources of them */
    int active;                /* whose value is published; -1: none */
    struct srt_cell *cell;
    uint64_t generation;
    uint64_t counted[2];         /* reads already summarised, per cell */
    int64_t begun_ms;            /* since when nothing is live; SRT_NEVER otherwise */
    struct srt_gate *gate;       /* on its way into a lease that is in force already */
    struct srt_lease *published; /* behind the live value; a reference */
    struct {
        uint64_t generation;
        struct srt_lease *lease;
        int drained;      /* the application says so */
    } past[SRT_PAST_MAX]; /* replaced ones */
    int wanted;           /* 1: somebody wants it (not lazy any more) */
    int told_tier4;
};

void srt_secret_publish(struct srt_engine *engine, struct srt_secret *secret,
                        struct srt_node *node); /* its lease is in force */
void srt_secret_lost(struct srt_engine *engine, struct srt_secret *secret,
                     struct srt_node *node, int expired); /* its lease is no more */
void srt_secret_failed(struct srt_engine *engine, struct srt_secret *secret,
                       struct srt_node *node); /* node->failure */
void srt_secret_drained_notice(struct srt_engine *engine, struct srt_secret *secret,
                               uint64_t generation);
void srt_secret_settle(struct srt_engine *engine, struct srt_secret *secret,
                       enum srt_settled how, const struct secretrt_error *error);
int srt_secret_uses(const struct srt_secret *secret,
                    const struct srt_node *node); /* index, or -1 */
/* 1: it is served by this node now. */
int srt_secret_is_on(const struct srt_secret *secret, const struct srt_node *node);
void srt_secret_summarise(struct srt_engine *engine, struct srt_secret *secret);
void srt_secret_notice(struct srt_engine *engine, struct srt_secret *secret, int kind,
                       int status, int64_t until_ms, const char *message);
/* The value that a lease would be for this secret, as its next generation. */
int srt_secret_value(struct secretrt_value **out, struct srt_engine *engine,
                     struct srt_secret *secret, struct srt_lease *lease, int source);

/* sources.c: which source serves, which is next, which may not be used. */
void srt_sources_consider(struct srt_engine *engine, struct srt_secret *secret);
void srt_sources_release_lower(struct srt_engine *engine, struct srt_secret *secret);
/* 1: a grant of this source would be published. */
int srt_sources_would_use(const struct srt_engine *engine,
                          const struct srt_secret *secret, int source);
/* 1: what went wrong with it lets the next one be used. */
int srt_sources_falls(const struct srt_engine *engine, const struct srt_secret *secret,
                      size_t source);
/* May this lease be published? 0, ERR_POLICY, ERR_NO_FIELD. */
int srt_sources_admit(const struct srt_engine *engine, const struct srt_secret *secret,
                      const struct srt_lease *lease, struct secretrt_error *err);

/* gate.c: what stands between a grant and its publication: audit records, verdicts. */
void srt_gate_offer(struct srt_engine *engine, struct srt_node *node,
                    struct srt_lease *candidate);
void srt_gate_overdue(struct srt_engine *engine, struct srt_lease *candidate);
/* The same for a secret that joins a lease in force; ends in srt_secret_publish. */
void srt_gate_join(struct srt_engine *engine, struct srt_secret *secret, int source);
void srt_gate_leave(struct srt_engine *engine, struct srt_secret *secret);

/* record.c: the audit's view. */
void srt_record_lease(struct srt_record *out, const struct srt_engine *engine,
                      const struct srt_node *node, const struct srt_lease *lease,
                      const char *event);
void srt_record_failure(struct srt_record *record, const struct srt_failure *failure);
/* lease: what it is about, for the generation; NULL: the node as such. */
void srt_record_node(struct srt_engine *engine, struct srt_node *node,
                     const struct srt_lease *lease, struct srt_record *record);

#define SRT_EACH_SECRET_OF(node, secret, it, tmp)                                      \
    SRT_LIST_EACH(it, tmp, &(node)->sources)                                           \
    if (secret = SRT_CONTAINER(it, struct srt_source, link)->secret, 1)

/* Each node that needs this one; edge->at says as which of its credentials. */
#define SRT_EACH_CHILD_OF(node, edge, it, tmp)                                         \
    SRT_LIST_EACH(it, tmp, &(node)->children)                                          \
    if (edge = SRT_CONTAINER(it, struct srt_edge, link), 1)

#endif
