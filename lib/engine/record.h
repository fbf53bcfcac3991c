/* What the engine says of one act, for the audit. Strings are borrowed for the call,
 * "" or NULL when unknown; never a secret byte. */
#ifndef SRT_ENGINE_RECORD_H
#define SRT_ENGINE_RECORD_H

#include <stdint.h>

struct srt_record {
    const char *event;    /* "lease.acquire", "secret.read", … */
    const char *outcome;  /* "success" "failure" "denied" */
    const char *reason;   /* one line on failure */
    const char *name;     /* the secret's, as opened; "" for a login */
    const char *source;   /* the reference */
    const char *provider; /* scheme */
    const char *principal;
    const char *version;
    const char *lease_id; /* raw: the audit writes only its keyed hash */
    const char *request_id;
    const char *limited_by;
    const char *actor;
    const char *purpose;
    const char *traceparent;
    int64_t at_ms;         /* Unix */
    int64_t ttl_ms;        /* of the lease; -1: none */
    int64_t expires_at_ms; /* Unix; 0: no end known */
    int64_t latency_ms;    /* of the exchange; -1: none */
    uint64_t generation;   /* 0: none */
    uint64_t count;        /* accesses it stands for; at least 1 */
    uint32_t renewals;
    int32_t renewable;
    int32_t tier;
    int32_t weakest_tier;
    int32_t status;      /* enum secretrt_status */
    int32_t http_status; /* 0: none */
};

#endif
