/* A provider says how one kind of node is exchanged, as pure step functions. It does no
 * I/O, takes no lock, starts no thread, reads no clock, keeps nothing between
 * exchanges. */
#ifndef SRT_ENGINE_PROVIDER_H
#define SRT_ENGINE_PROVIDER_H

#include "engine/config.h"
#include "engine/reference.h"
#include "engine/wire.h"
#include "mem/bundle.h"

enum srt_step {
    SRT_SEND = 1,  /* x->request is filled: execute it and come again with x->reply */
    SRT_DONE,      /* x->grant is filled */
    SRT_UNCHANGED, /* check: it is alive and as it was; x->grant.ttl_ms says how long */
    SRT_FAIL       /* x->failure is filled */
};

/* What an answer means (the table of failure classes); the engine knows only these. */
enum srt_class {
    SRT_CLASS_NONE = 0,
    SRT_CLASS_GONE,          /* the lease is not there any more: acquire now */
    SRT_CLASS_NOT_RENEWABLE, /* it lives on, but can't be extended */
    SRT_CLASS_BACKEND, /* the store is fine, what is behind it is not: keep, back off */
    SRT_CLASS_AUTH,    /* 401, 403: ask whether the login is alive */
    SRT_CLASS_DENIED,  /* the login is alive, access is refused */
    SRT_CLASS_LOGIN,   /* the login itself was refused */
    SRT_CLASS_NOT_FOUND,
    SRT_CLASS_THROTTLE,
    SRT_CLASS_CONSISTENCY, /* not replicated yet: again in 50 to 200 ms, three times */
    SRT_CLASS_UNAVAILABLE, /* unreachable, sealed, standby without a leader */
    SRT_CLASS_SERVER,      /* 500: the store is ill */
    SRT_CLASS_CONFIG,      /* will not pass by itself: no fast retry */
    SRT_CLASS_ABSENT,    /* this source is not configured here: the next one at once */
    SRT_CLASS_PROTOCOL,  /* the answer makes no sense */
    SRT_CLASS_INTEGRITY, /* TLS verification, checksum */
    SRT_CLASS_SECURITY,  /* a wrapping token was used by somebody else: no retry */
    SRT_CLASS_NOMEM,
    SRT_CLASS_COUNT
};

struct srt_failure {
    enum srt_class failure_class;
    int64_t retry_after_ms; /* -1: none */
    struct secretrt_error error;
};

/* What an exchange produced. Owned by the exchange until the engine takes it. */
struct srt_grant {
    struct srt_bundle *bundle; /* fetch: the fields; NULL for renew */
    struct srt_buf lease_id;   /* what renew, check and revoke name; "" if none */
    int64_t ttl_ms;            /* counted from before the request; -1: no end known */
    int64_t not_after_wall_ms; /* an end as a Unix time (JWT, certificate); 0: none */
    int64_t refresh_ms;        /* ask again after; 0: the plan's */
    int32_t rotates;           /* 1: it changes then, not before: asked just after */
    int32_t renewable;
    int32_t tier;      /* what the answer proves */
    int32_t revocable; /* 1: ours to give back */
    int32_t sweeps;    /* 1: giving it back takes all that was made with it along */
    char version[64];
    char request_id[64];
    char principal[128]; /* who the store says we are */
};

#define SRT_NEEDS_MAX 2

/* What a node is, before any exchange: pure, from reference and configuration. */
struct srt_plan {
    struct {
        struct srt_buf ref; /* a credential's reference */
        int reread;         /* 1: exchange it anew before each use (a token file) */
    } need[SRT_NEEDS_MAX];
    size_t needs;
    int64_t refresh_ms; /* polled values; 0: not polled */
    int32_t mints;      /* 1: a fetch makes something new: never repeated silently */
    int32_t login;      /* 1: others are made with it; its loss is diagnosed by check */
    int32_t tier;       /* expected, for policy before any exchange; 0: unknown */
    int32_t keyed_by_store; /* 1: the node's key holds the store's name */
};

struct srt_exchange {
    /* in */
    const struct srt_ref *ref;
    const struct srt_store_config *store; /* NULL: the provider has no settings */
    const struct srt_bundle *credential[SRT_NEEDS_MAX]; /* in the order of the plan */
    int step;                         /* 0, 1, 2 … within this exchange */
    const struct srt_reply *reply;    /* of the request before; NULL at step 0 */
    const char *lease_id;             /* renew, check, revoke */
    const struct srt_bundle *current; /* renew, check, revoke: the live fields */
    int64_t increment_ms;             /* renew: asked for */
    int64_t wall_ms;
    const char *address;     /* that the last HTTP request went to; "" */
    const char *traceparent; /* "" if none */
    uint8_t random[16];
    /* out */
    struct srt_request request;
    struct srt_grant grant;
    struct srt_failure failure;
    /* between the steps of one exchange; wiped at its end */
    struct srt_secbuf scratch;
};

struct srt_provider {
    const char *scheme;
    const struct srt_setting
        *settings; /* ended by a NULL name; NULL: it has no store */
    /* Fills out (zeroed). 0, ERR_INVALID or ERR_CONFIG, ERR_NOMEM. */
    int (*plan)(struct srt_plan *out, const struct srt_ref *ref,
                const struct srt_store_config *store, struct secretrt_error *err);
    enum srt_step (*fetch)(struct srt_exchange *x);
    enum srt_step (*renew)(struct srt_exchange *x);  /* NULL: fetch */
    enum srt_step (*check)(struct srt_exchange *x);  /* NULL: fetch */
    enum srt_step (*revoke)(struct srt_exchange *x); /* NULL: nothing to give back */
    int internal; /* 1: not for references of users (a login): the path names its store
                   */
};

/* Fills x->failure and answers SRT_FAIL. Fixed formats only. */
enum srt_step srt_step_fail(struct srt_exchange *x, enum srt_class failure_class,
                            const char *format, ...) SRT_PRINTF(3, 4);
/* The failure of a reply that was not answered, by its outcome. `what` as "vault". */
enum srt_step srt_step_unanswered(struct srt_exchange *x, const char *what);
int srt_class_status(enum srt_class failure_class); /* the public status of a class */

void srt_grant_wipe(struct srt_grant *grant);
void srt_plan_wipe(struct srt_plan *plan);
void srt_exchange_wipe(struct srt_exchange *x); /* request, grant, scratch */

#endif
