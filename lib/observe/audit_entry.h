/* What audit.c and audit_json.c share: the layout of an audit and of an entry. Their
 * texts are valid UTF-8, at their ceilings, and lie behind the struct. */
#ifndef SRT_OBSERVE_AUDIT_ENTRY_H
#define SRT_OBSERVE_AUDIT_ENTRY_H

#include "base/buf.h"
#include "crypto/hash.h"
#include "observe/audit.h"
#include <stddef.h>
#include <stdint.h>

#define SRT_AUDIT_KEY_LEN 32
#define SRT_AUDIT_CLIENT_LEN 8

/* Immutable but for seq and link, which belong to the thread that seals and commits. */
struct srt_audit {
    const char *service;
    const char *instance;
    const char *host;
    const char *exe;
    const char *pod_namespace;
    int64_t pid;
    int64_t uid;
    uint8_t key[SRT_AUDIT_KEY_LEN];
    char client[2 * SRT_AUDIT_CLIENT_LEN + 1]; /* tells chains in one file apart */
    uint64_t seq;                              /* of the line committed last; 0: none */
    uint8_t link[SRT_SHA256_LEN];              /* its hash; zeros: none */
};

struct srt_audit_entry {
    struct secretrt_audit_record open; /* first: a pointer to it is one to the entry */
    const struct srt_audit *audit;
    const char *provider;
    const char *version;
    const char *limited_by;
    char lease[SRT_AUDIT_HASH_LEN];
    int64_t ttl_ms;
    int64_t expires_at_ms;
    int64_t latency_ms;
    uint32_t renewals;
    int32_t renewable;
    int32_t weakest_tier;
    int32_t http_status;
    uint8_t prev[SRT_SHA256_LEN]; /* the chain's link; valid once seq is not 0 */
};

/* The entry as one line without newline, at most SECRETRT_AUDIT_LINE_MAX - 1 bytes,
 * added to out. 0 or ERR_NOMEM: out as it was, but for its status. */
int srt_audit_render(struct srt_buf *out, const struct srt_audit_entry *entry);

#endif
