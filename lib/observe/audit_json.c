#include "base/buf.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "observe/audit_entry.h"
#include <assert.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#define AUDIT_JSON_SCHEMA "secretrt.audit/1"
#define AUDIT_JSON_LEN_MAX (SECRETRT_AUDIT_LINE_MAX - 1) /* without newline */

/* What a line that is too long does without, in this order. */
enum audit_json_optional {
    AUDIT_JSON_EXE = 1,
    AUDIT_JSON_INSTANCE,
    AUDIT_JSON_NAMESPACE,
    AUDIT_JSON_HOST,
    AUDIT_JSON_VERSION,
    AUDIT_JSON_PURPOSE,
    AUDIT_JSON_REASON,
    AUDIT_JSON_OPTIONALS = AUDIT_JSON_REASON
};

struct audit_json {
    struct srt_buf *out;
    int dropped; /* members up to this one are left out */
};

static void audit_json_key(struct audit_json *json, const char *key)
{
    if (json->out->len > 0 && json->out->data[json->out->len - 1] != '{')
        srt_buf_char(json->out, ',');
    srt_buf_char(json->out, '"');
    srt_buf_text_add(json->out, key);
    srt_buf_text_add(json->out, "\":");
}

static void audit_json_text(struct audit_json *json, const char *key, const char *text)
{
    if (text[0] == '\0')
        return;
    audit_json_key(json, key);
    srt_json_quote_plain(json->out, text, strlen(text));
}

static void audit_json_optional(struct audit_json *json, enum audit_json_optional which,
                                const char *key, const char *text)
{
    if ((int)which > json->dropped)
        audit_json_text(json, key, text);
}

/* A number from `least` on; what is below means unknown. */
static void audit_json_int(struct audit_json *json, const char *key, int64_t number,
                           int64_t least)
{
    if (number < least)
        return;
    audit_json_key(json, key);
    srt_buf_format(json->out, "%" PRId64, number);
}

static void audit_json_count(struct audit_json *json, const char *key, uint64_t number)
{
    if (number == 0)
        return;
    audit_json_key(json, key);
    srt_buf_format(json->out, "%" PRIu64, number);
}

static void audit_json_time(struct audit_json *json, const char *key, int64_t at_ms)
{
    char text[32];

    if (at_ms != 0)
        audit_json_text(json, key, srt_rfc3339_format(text, sizeof(text), at_ms));
}

/* Begins an object member; answers where, for close, which takes an empty one back. */
static size_t audit_json_open(struct audit_json *json, const char *key)
{
    const size_t start = json->out->len;

    audit_json_key(json, key);
    srt_buf_char(json->out, '{');
    return start;
}

static void audit_json_close(struct audit_json *json, size_t start)
{
    if (json->out->status == 0 && json->out->data[json->out->len - 1] == '{')
        srt_buf_truncate(json->out, start);
    else
        srt_buf_char(json->out, '}');
}

static void audit_json_identity(struct audit_json *json, const struct srt_audit *audit)
{
    size_t at = audit_json_open(json, "service");

    audit_json_text(json, "name", audit->service);
    audit_json_optional(json, AUDIT_JSON_INSTANCE, "instance", audit->instance);
    audit_json_close(json, at);
    at = audit_json_open(json, "proc");
    audit_json_int(json, "pid", audit->pid, 1);
    audit_json_int(json, "uid", audit->uid, 0);
    audit_json_optional(json, AUDIT_JSON_EXE, "exe", audit->exe);
    audit_json_close(json, at);
    audit_json_optional(json, AUDIT_JSON_HOST, "host", audit->host);
    audit_json_optional(json, AUDIT_JSON_NAMESPACE, "pod_namespace",
                        audit->pod_namespace);
}

static void audit_json_subject(struct audit_json *json,
                               const struct srt_audit_entry *entry)
{
    const struct secretrt_audit_record *open = &entry->open;
    size_t at = audit_json_open(json, "actor");

    audit_json_text(json, "principal", open->principal);
    audit_json_close(json, at);
    at = audit_json_open(json, "caller");
    audit_json_text(json, "actor", open->actor);
    audit_json_optional(json, AUDIT_JSON_PURPOSE, "purpose", open->purpose);
    audit_json_close(json, at);
    at = audit_json_open(json, "secret");
    audit_json_text(json, "name", open->name);
    audit_json_text(json, "ref", open->source);
    audit_json_text(json, "provider", entry->provider);
    audit_json_int(json, "tier", open->tier, 1);
    audit_json_int(json, "weakest_tier", entry->weakest_tier, 1);
    audit_json_optional(json, AUDIT_JSON_VERSION, "version", entry->version);
    audit_json_count(json, "generation", open->generation);
    audit_json_close(json, at);
}

static void audit_json_lease(struct audit_json *json,
                             const struct srt_audit_entry *entry)
{
    const size_t at = audit_json_open(json, "lease");

    audit_json_text(json, "id", entry->lease);
    if (entry->ttl_ms >= 0)
        audit_json_int(json, "ttl_s", entry->ttl_ms / 1000, 0);
    if (entry->lease[0] != '\0') {
        audit_json_key(json, "renewable");
        srt_buf_text_add(json->out, entry->renewable != 0 ? "true" : "false");
        audit_json_int(json, "renewals", entry->renewals, 0);
    }
    audit_json_time(json, "expires_at", entry->expires_at_ms);
    audit_json_text(json, "limited_by", entry->limited_by);
    audit_json_close(json, at);
}

/* len lower-case digits, not all of them 0. */
static int audit_json_trace_id(const char *text, size_t len)
{
    const size_t digits = strspn(text, "0123456789abcdef");
    const size_t zeros = strspn(text, "0");

    return digits == len && zeros < len;
}

/* W3C Trace Context, section 3.2: version "-" trace-id "-" parent-id "-" flags; a later
 * version may go on behind another "-". Invalid: left out. */
static void audit_json_trace(struct audit_json *json, const char *parent)
{
    char trace[33] = "";
    char span[17] = "";

    if (strlen(parent) < 55 || parent[2] != '-' || parent[35] != '-' ||
        parent[52] != '-' || strspn(parent, "0123456789abcdef") != 2 ||
        strspn(parent + 53, "0123456789abcdef") != 2 || strncmp(parent, "ff", 2) == 0)
        return;
    if (parent[55] != '\0' && (strncmp(parent, "00", 2) == 0 || parent[55] != '-'))
        return;
    memcpy(trace, parent + 3, 32);
    memcpy(span, parent + 36, 16);
    if (!audit_json_trace_id(trace, 32) || !audit_json_trace_id(span, 16))
        return;
    audit_json_text(json, "trace_id", trace);
    audit_json_text(json, "span_id", span);
}

static void audit_json_chain(struct audit_json *json,
                             const struct srt_audit_entry *entry)
{
    char link[SRT_SHA256_HEX];

    if (entry->open.seq == 0)
        return;
    srt_hex(link, entry->prev, sizeof(entry->prev));
    audit_json_key(json, "prev");
    srt_buf_format(json->out, "\"sha256:%s\"", link);
}

static void audit_json_line(struct srt_buf *out, const struct srt_audit_entry *entry,
                            int dropped)
{
    const struct secretrt_audit_record *open = &entry->open;
    struct audit_json json = {.out = out, .dropped = dropped};

    srt_buf_text_add(out, "{\"schema\":\"" AUDIT_JSON_SCHEMA "\"");
    audit_json_time(&json, "ts", open->at_ms);
    audit_json_count(&json, "seq", open->seq);
    audit_json_text(&json, "client", entry->audit->client);
    audit_json_text(&json, "event", open->event);
    audit_json_text(&json, "outcome", open->outcome);
    audit_json_optional(&json, AUDIT_JSON_REASON, "reason", open->reason);
    audit_json_identity(&json, entry->audit);
    audit_json_subject(&json, entry);
    audit_json_lease(&json, entry);
    audit_json_count(&json, "count", open->count);
    if (open->status != SECRETRT_OK)
        audit_json_text(&json, "status", secretrt_status_name(open->status));
    audit_json_int(&json, "http_status", entry->http_status, 1);
    audit_json_int(&json, "latency_ms", entry->latency_ms, 0);
    audit_json_text(&json, "request_id", open->request_id);
    audit_json_trace(&json, open->traceparent);
    audit_json_chain(&json, entry);
    audit_json_text(&json, "lib", SECRETRT_VERSION);
    srt_buf_char(out, '}');
}

int srt_audit_render(struct srt_buf *out, const struct srt_audit_entry *entry)
{
    const size_t start = out->len;
    int dropped = 0;

    audit_json_line(out, entry, dropped);
    while (out->status == 0 && out->len - start > AUDIT_JSON_LEN_MAX &&
           dropped < AUDIT_JSON_OPTIONALS) {
        srt_buf_truncate(out, start);
        audit_json_line(out, entry, ++dropped);
    }
    /* The ceilings in audit.c leave room for what is never dropped. */
    assert(out->status != 0 || out->len - start <= AUDIT_JSON_LEN_MAX);
    if (out->status != 0)
        srt_buf_truncate(out, start);
    return out->status;
}

int secretrt_audit_json(char *buf, size_t cap,
                        const struct secretrt_audit_record *record)
{
    struct srt_buf line;
    int status;

    if (buf == NULL || record == NULL)
        return SECRETRT_ERR_INVALID;
    srt_buf_init(&line, 0);
    status =
        srt_audit_render(&line, (const struct srt_audit_entry *)(const void *)record);
    if (status == 0 && line.len >= cap)
        status = SECRETRT_ERR_INVALID;
    if (status == 0)
        memcpy(buf, line.data, line.len + 1);
    srt_buf_wipe(&line);
    return status;
}
