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
/** Writes a record as one line of schema secretrt.audit/1, without newline.
 *
 *  @param buf     out: NUL-terminated JSON
 *  @param cap     its bytes; SECRETRT_AUDIT_LINE_MAX always suffices
 *  @param record  the one that the hook was called with, not a copy
 *  @return 0; ERR_INVALID: cap is too small, or NULL; ERR_NOMEM
 *  @threads in a hook. Does not block. @since 0.1.0 */
SECRETRT_API SECRETRT_USE int
secretrt_audit_json(char *buf, size_t cap, const struct secretrt_audit_record *record);

/** Hardens the whole process: no core dumps, and not dumpable, so that ptrace and
 * /proc/PID/mem are refused to the same user. Debuggers and profilers are refused too.
 *
 *  @param err  NULL or filled
 *  @return 0; ERR_UNSUPPORTED with os_errno
 *  @threads any, at the start of main. Does not block. @since 0.1.0 */
SECRETRT_API int secretrt_harden(struct secretrt_error *err);
/** Zeroes a copy that you made; not optimised away.
 *
 *  @param data  NULL only with len 0
 *  @param len   bytes
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API void secretrt_wipe(void *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
