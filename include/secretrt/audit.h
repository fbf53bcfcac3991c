/** @file
 *  Audit records, and hardening of the process.
 */
#ifndef SECRETRT_AUDIT_H
#define SECRETRT_AUDIT_H

#include <secretrt/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Library-owned, valid in the hook only. Never a secret byte. Strings "" if unknown.
 * The JSON has more: host, pod, lease, chain. */
struct secretrt_audit_record {
    int64_t at_ms;
    uint64_t seq;        /**< gapless per client */
    const char *event;   /**< "secret.read" "lease.renew" "tier.fallback" ... */
    const char *outcome; /**< "success" "failure" "denied" */
    const char *reason;  /**< one line on failure */
    const char *name;
    const char *source;
    const char *principal; /**< the identity that the store saw */
    const char *actor;     /**< from struct secretrt_call, as the next two */
    const char *purpose;
    const char *traceparent;
    const char *request_id;
    uint64_t generation;
    uint64_t count; /**< accesses this record stands for, at least 1 */
    int32_t tier;
    int32_t status;
};
#define SECRETRT_AUDIT_LINE_MAX 4096
/** The record as one line of schema secretrt.audit/1, without newline. cap >=
 * SECRETRT_AUDIT_LINE_MAX always suffices, else ERR_INVALID. */
SECRETRT_API SECRETRT_USE int
secretrt_audit_json(char *buf, size_t cap, const struct secretrt_audit_record *record);

/** Opt-in for the whole process: no core dumps, not dumpable (same-user ptrace and
 * /proc/PID/mem refused). */
SECRETRT_API int secretrt_harden(struct secretrt_error *err);
/** Zeroes a copy that you made; not optimised away. */
SECRETRT_API void secretrt_wipe(void *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
