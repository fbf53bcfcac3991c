/** @file
 *  Audit records, reports, redaction, hardening.
 */
#ifndef SECRETRT_AUDIT_H
#define SECRETRT_AUDIT_H

#include <secretrt/call.h>

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

/** Which report; each is text, freed by secretrt_text_free. */
enum secretrt_report_kind {
    SECRETRT_REPORT_METRICS = 1,   /**< OpenMetrics */
    SECRETRT_REPORT_INVENTORY = 2, /**< a table for people */
    SECRETRT_REPORT_INVENTORY_JSON =
        3, /**< tiers, shares, targets, secrets, logged share */
    SECRETRT_REPORT_CONFIG_JSON =
        4 /**< in effect, and where each setting came from; no secrets */
};
SECRETRT_API SECRETRT_USE int secretrt_report(char **out,
                                              struct secretrt_client *client, int kind,
                                              struct secretrt_error *err);
/** Tries every source of a name (NULL: all) and says in words what is wrong and what to
 * do next. Leaves no lease behind. @blocks */
SECRETRT_API SECRETRT_USE int
secretrt_diagnose(char **out, struct secretrt_client *client, const char *name,
                  struct secretrt_call *call, struct secretrt_error *err);
SECRETRT_API void secretrt_text_free(char *text); /**< NULL ok */

/** Replaces each live or recently retired secret (4 bytes or more; also URL-encoded,
 * base64, JSON-escaped) in text[0..len) by "***", in place, never longer. Returns the
 * new length. */
SECRETRT_API size_t secretrt_redact(char *text, size_t len,
                                    struct secretrt_client *client);
/** Opt-in for the whole process: no core dumps, not dumpable (same-user ptrace and
 * /proc/PID/mem refused). */
SECRETRT_API int secretrt_harden(struct secretrt_error *err);
/** Zeroes a copy that you made; not optimised away. */
SECRETRT_API void secretrt_wipe(void *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
