/* Audit records as JSON Lines of schema secretrt.audit/1: identity of the process, a
 * gapless sequence, a hash chain. Formats only: who writes the lines is api/'s matter.
 */
#ifndef SRT_OBSERVE_AUDIT_H
#define SRT_OBSERVE_AUDIT_H

#include "base/buf.h"
#include "engine/record.h"
#include <secretrt/audit.h>
#include <stddef.h>

struct srt_audit;

/* Who speaks; texts are copied, NULL ok. */
struct srt_audit_identity {
    const char *service;  /* name in audit and metrics */
    const char *instance; /* pod or host instance */
    const char *host;
    const char *exe;
    const char *pod_namespace;
    int64_t pid;
    int64_t uid;
};

/* key: 32 random bytes for the keyed hashes of lease IDs, the client's own. */
int srt_audit_new(struct srt_audit **out, const struct srt_audit_identity *identity,
                  const uint8_t key[32]);
void srt_audit_free(struct srt_audit *audit);

/* The keyed hash of a lease ID as the audit writes it: "hmac-sha256:<hex>". out of
 * SRT_AUDIT_HASH_LEN. "" for "". Thread-safe. */
#define SRT_AUDIT_HASH_LEN 80
void srt_audit_hash(char out[SRT_AUDIT_HASH_LEN], const struct srt_audit *audit,
                    const char *text);

/* A record with its place in the sequence, ready for a hook and for JSON. The public
 * part comes first: secretrt_audit_json finds the rest behind it. Strings are its own.
 */
struct srt_audit_entry;
/* Copies the record, its texts made valid UTF-8 and cut to their ceilings ("…" stands
 * where one was cut): 0 or ERR_NOMEM. Any thread; audit must outlive the entry. seq is
 * given by srt_audit_seal. */
int srt_audit_entry_new(struct srt_audit_entry **out, const struct srt_audit *audit,
                        const struct srt_record *record);
void srt_audit_entry_free(struct srt_audit_entry *entry);
const struct secretrt_audit_record *
srt_audit_entry_public(const struct srt_audit_entry *entry);
/* Gives the next sequence number and the chain's link, and adds the line (with its
 * newline, at most SECRETRT_AUDIT_LINE_MAX bytes) to out. One thread per audit. The
 * sequence and the chain move on only with srt_audit_commit, after the line was written
 * somewhere: a line that was not gives its number to the next. 0 or ERR_NOMEM. */
int srt_audit_seal(struct srt_audit_entry *entry, struct srt_audit *audit,
                   struct srt_buf *out);
void srt_audit_commit(struct srt_audit *audit, const char *line, size_t len);

#endif
