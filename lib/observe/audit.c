#include "observe/audit.h"
#include "base/alloc.h"
#include "codec/utf8.h"
#include "crypto/hash.h"
#include "mem/wipe.h"
#include "observe/audit_entry.h"
#include <string.h>

/* Ceilings of texts, in bytes as they stand in the line. Their sum may pass a line's
 * length: see the order of dropping in audit_json.c. */
#define AUDIT_WORD_MAX 48  /* event, outcome, provider, limited_by */
#define AUDIT_NAME_MAX 200 /* name, actor, purpose, instance, host */
#define AUDIT_ID_MAX 100   /* service, namespace, version, request ID, traceparent */
#define AUDIT_PRINCIPAL_MAX 160
#define AUDIT_EXE_MAX 256
#define AUDIT_REASON_MAX 400  /* an error's message is shorter */
#define AUDIT_SOURCE_MAX 2048 /* SRT_REF_MAX */

#define AUDIT_CLIENT_LABEL "secretrt.audit client"
#define AUDIT_HASH_PREFIX "hmac-sha256:"
#define AUDIT_MORE "\xE2\x80\xA6"     /* "…" stands where a text was cut */
#define AUDIT_REPLACED "\xEF\xBF\xBD" /* U+FFFD */
#define AUDIT_CHAR_MAX 4

/* One text to copy: cleaned and cut; the copies lie one behind the other. */
struct audit_text {
    const char **to;
    const char *from;
    size_t max;
};

/* 0 for what moves the terminal of a reader: DEL, C1, line separators, changes of
 * direction. C0 is not asked for: JSON escapes it. */
static int audit_is_tame(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;

    if (n == 1)
        return s[0] != 0x7F;
    if (n == 2)
        return s[0] != 0xC2 || s[1] >= 0xA0;
    if (n == 3 && s[0] == 0xE2 && s[1] == 0x80)
        return s[2] < 0xA8 || s[2] > 0xAE; /* U+2028 to U+202E */
    if (n == 3 && s[0] == 0xE2 && s[1] == 0x81)
        return s[2] < 0xA6 || s[2] > 0xA9; /* U+2066 to U+2069 */
    return n != 0;
}

/* What a character of n bytes takes in a line, at most. */
static size_t audit_width(char c, size_t n)
{
    if (c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t')
        return 2;
    return (unsigned char)c < 0x20 ? 6 : n;
}

/* Writes the text as valid UTF-8 that takes at most max bytes in a line; out NULL only
 * measures. Returns the length without the NUL. */
static size_t audit_clean(char *out, const char *text, size_t max)
{
    size_t len = 0;
    size_t width = 0;
    size_t fits = 0; /* len of what leaves room for AUDIT_MORE */

    while (*text != '\0') {
        size_t n = srt_utf8_len(text, strnlen(text, AUDIT_CHAR_MAX));
        int tame = audit_is_tame(text, n);
        const char *from = tame ? text : AUDIT_REPLACED;
        size_t add = tame ? n : strlen(AUDIT_REPLACED);

        if (width <= max - strlen(AUDIT_MORE))
            fits = len;
        width += audit_width(*from, add);
        if (width > max) {
            from = AUDIT_MORE;
            add = strlen(AUDIT_MORE);
            len = fits;
            text += strlen(text);
        } else {
            text += n != 0 ? n : 1;
        }
        if (out != NULL)
            memcpy(out + len, from, add);
        len += add;
    }
    if (out != NULL)
        out[len] = '\0';
    return len;
}

static size_t audit_texts_len(const struct audit_text *list, size_t n)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        if (list[i].from != NULL)
            len += audit_clean(NULL, list[i].from, list[i].max);
        len++; /* the NUL */
    }
    return len;
}

static void audit_texts_copy(const struct audit_text *list, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++) {
        *list[i].to = out;
        if (list[i].from != NULL)
            out += audit_clean(out, list[i].from, list[i].max);
        *out++ = '\0';
    }
}

/* Two clients of one process may write equal lines within one millisecond. */
static int audit_name_client(struct srt_audit *audit)
{
    uint8_t mac[SRT_SHA256_LEN];
    int status = srt_hmac_sha256(mac, audit->key, sizeof(audit->key),
                                 AUDIT_CLIENT_LABEL, strlen(AUDIT_CLIENT_LABEL));

    if (status == 0)
        srt_hex(audit->client, mac, SRT_AUDIT_CLIENT_LEN);
    return status;
}

int srt_audit_new(struct srt_audit **out, const struct srt_audit_identity *identity,
                  const uint8_t key[SRT_AUDIT_KEY_LEN])
{
    struct srt_audit head = {.pid = identity->pid, .uid = identity->uid};
    const struct audit_text text[] = {
        {&head.service, identity->service, AUDIT_ID_MAX},
        {&head.instance, identity->instance, AUDIT_NAME_MAX},
        {&head.host, identity->host, AUDIT_NAME_MAX},
        {&head.exe, identity->exe, AUDIT_EXE_MAX},
        {&head.pod_namespace, identity->pod_namespace, AUDIT_ID_MAX},
    };
    const size_t n = sizeof(text) / sizeof(text[0]);
    struct srt_audit *audit = srt_alloc(sizeof(*audit) + audit_texts_len(text, n));

    *out = NULL;
    if (audit == NULL)
        return SECRETRT_ERR_NOMEM;
    audit_texts_copy(text, n, (char *)(audit + 1));
    memcpy(audit, &head, sizeof(head));
    memcpy(audit->key, key, SRT_AUDIT_KEY_LEN);
    if (audit_name_client(audit) != 0) {
        srt_audit_free(audit);
        return SECRETRT_ERR_NOMEM;
    }
    *out = audit;
    return 0;
}

void srt_audit_free(struct srt_audit *audit)
{
    if (audit == NULL)
        return;
    srt_wipe(audit->key, sizeof(audit->key));
    srt_free(audit);
}

static int audit_keyed(char out[SRT_AUDIT_HASH_LEN], const struct srt_audit *audit,
                       const char *text)
{
    uint8_t mac[SRT_SHA256_LEN];
    int status;

    out[0] = '\0';
    if (text == NULL || text[0] == '\0')
        return 0;
    status = srt_hmac_sha256(mac, audit->key, sizeof(audit->key), text, strlen(text));
    if (status != 0)
        return status;
    memcpy(out, AUDIT_HASH_PREFIX, sizeof(AUDIT_HASH_PREFIX));
    srt_hex(out + sizeof(AUDIT_HASH_PREFIX) - 1, mac, sizeof(mac));
    return 0;
}

void srt_audit_hash(char out[SRT_AUDIT_HASH_LEN], const struct srt_audit *audit,
                    const char *text)
{
    if (audit_keyed(out, audit, text) != 0)
        out[0] = '\0';
}

static void audit_numbers(struct srt_audit_entry *entry,
                          const struct srt_record *record)
{
    entry->open.at_ms = record->at_ms;
    entry->open.generation = record->generation;
    entry->open.count = record->count > 0 ? record->count : 1;
    entry->open.tier = record->tier;
    entry->open.status = record->status;
    entry->ttl_ms = record->ttl_ms;
    entry->expires_at_ms = record->expires_at_ms;
    entry->latency_ms = record->latency_ms;
    entry->renewals = record->renewals;
    entry->renewable = record->renewable;
    entry->weakest_tier = record->weakest_tier;
    entry->http_status = record->http_status;
}

int srt_audit_entry_new(struct srt_audit_entry **out, const struct srt_audit *audit,
                        const struct srt_record *record)
{
    struct srt_audit_entry head = {.audit = audit};
    const struct audit_text text[] = {
        {&head.open.event, record->event, AUDIT_WORD_MAX},
        {&head.open.outcome, record->outcome, AUDIT_WORD_MAX},
        {&head.open.reason, record->reason, AUDIT_REASON_MAX},
        {&head.open.name, record->name, AUDIT_NAME_MAX},
        {&head.open.source, record->source, AUDIT_SOURCE_MAX},
        {&head.open.principal, record->principal, AUDIT_PRINCIPAL_MAX},
        {&head.open.actor, record->actor, AUDIT_NAME_MAX},
        {&head.open.purpose, record->purpose, AUDIT_NAME_MAX},
        {&head.open.traceparent, record->traceparent, AUDIT_ID_MAX},
        {&head.open.request_id, record->request_id, AUDIT_ID_MAX},
        {&head.provider, record->provider, AUDIT_WORD_MAX},
        {&head.version, record->version, AUDIT_ID_MAX},
        {&head.limited_by, record->limited_by, AUDIT_WORD_MAX},
    };
    const size_t n = sizeof(text) / sizeof(text[0]);
    struct srt_audit_entry *entry;

    *out = NULL;
    if (audit_keyed(head.lease, audit, record->lease_id) != 0)
        return SECRETRT_ERR_NOMEM;
    entry = srt_alloc(sizeof(*entry) + audit_texts_len(text, n));
    if (entry == NULL)
        return SECRETRT_ERR_NOMEM;
    audit_texts_copy(text, n, (char *)(entry + 1));
    audit_numbers(&head, record);
    memcpy(entry, &head, sizeof(head));
    *out = entry;
    return 0;
}

void srt_audit_entry_free(struct srt_audit_entry *entry)
{
    srt_free(entry);
}

const struct secretrt_audit_record *
srt_audit_entry_public(const struct srt_audit_entry *entry)
{
    return &entry->open;
}

int srt_audit_seal(struct srt_audit_entry *entry, struct srt_audit *audit,
                   struct srt_buf *out)
{
    const size_t start = out->len;

    entry->open.seq = audit->seq + 1;
    memcpy(entry->prev, audit->link, sizeof(entry->prev));
    if (srt_audit_render(out, entry) == 0)
        srt_buf_char(out, '\n');
    if (out->status != 0) {
        entry->open.seq = 0;
        srt_buf_truncate(out, start);
    }
    return out->status;
}

/* The link follows what was written. Without memory for a hash it starts again from
 * zeros: a gap that a verifier sees, not a false link. */
void srt_audit_commit(struct srt_audit *audit, const char *line, size_t len)
{
    if (len > 0 && line[len - 1] == '\n')
        len--;
    if (srt_sha256(audit->link, line, len) != 0)
        memset(audit->link, 0, sizeof(audit->link));
    audit->seq++;
}
