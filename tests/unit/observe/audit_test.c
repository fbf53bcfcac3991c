#include "base/alloc.h"
#include "base/buf.h"
#include "codec/json.h"
#include "codec/utf8.h"
#include "crypto/hash.h"
#include "observe/audit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define AT_MS INT64_C(1795492885574) /* 2026-11-24T04:01:25.574Z */
#define ZEROS "sha256:0000000000000000000000000000000000000000000000000000000000000000"
#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define LEASE_ID "database/creds/app/CANARY-lease"
/* HMAC-SHA256 of LEASE_ID under key_one, made by another program. */
#define LEASE_HASH                                                                     \
    "hmac-sha256:9f219f7b28117f5f114431af333e6e382e1165ab05694bdae24123ee03e8130b"
#define LONG_LEN 10000

static const uint8_t key_one[32] = {1};
static const uint8_t key_two[32] = {2};

struct world {
    struct srt_audit *audit;
    struct srt_buf line; /* sealed last */
    struct srt_json *doc;
    char *big; /* LONG_LEN bytes */
};

static const struct srt_audit_identity identity = {
    "billing", "pod-7", "ip-10-0-3-7", "/usr/bin/app", "prod", 812, 0};

static const struct srt_record full = {.event = "lease.renew",
                                       .outcome = "failure",
                                       .reason = "db: vault 503",
                                       .name = "db",
                                       .source = "vault://database/creds/app?ttl=5m",
                                       .provider = "vault",
                                       .principal = "ns/prod:sa/billing",
                                       .version = "7",
                                       .lease_id = LEASE_ID,
                                       .request_id = "9f1c",
                                       .limited_by = "login",
                                       .actor = "jane",
                                       .purpose = "invoice",
                                       .traceparent = TRACE,
                                       .at_ms = AT_MS,
                                       .ttl_ms = 300999,
                                       .expires_at_ms = AT_MS + 300000,
                                       .latency_ms = 41,
                                       .generation = 5,
                                       .count = 3,
                                       .renewals = 2,
                                       .renewable = 1,
                                       .tier = 2,
                                       .weakest_tier = 4,
                                       .status = SECRETRT_ERR_UNAVAILABLE,
                                       .http_status = 503};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    if (w == NULL)
        return -1;
    *state = w;
    w->big = malloc(LONG_LEN + 1);
    return w->big != NULL ? srt_audit_new(&w->audit, &identity, key_one) : -1;
}

static int teardown(void **state)
{
    struct world *w = *state;

    srt_json_free(w->doc);
    srt_buf_wipe(&w->line);
    srt_audit_free(w->audit);
    free(w->big);
    free(w);
    return 0;
}

/* A text of LONG_LEN bytes that repeats a pattern. */
static const char *big(struct world *w, const char *pattern)
{
    size_t n = strlen(pattern);

    for (size_t i = 0; i < LONG_LEN; i++)
        w->big[i] = pattern[i % n];
    w->big[LONG_LEN] = '\0';
    return w->big;
}

/* Seals the record into w->line and w->doc: one line, valid UTF-8, valid JSON. */
static void seal(struct world *w, const struct srt_record *record)
{
    struct srt_audit_entry *entry;

    srt_buf_wipe(&w->line);
    srt_json_free(w->doc);
    w->doc = NULL;
    assert_int_equal(srt_audit_entry_new(&entry, w->audit, record), 0);
    assert_int_equal(srt_audit_seal(entry, w->audit, &w->line), 0);
    srt_audit_entry_free(entry);
    assert_true(w->line.len <= SECRETRT_AUDIT_LINE_MAX);
    assert_ptr_equal(strchr(w->line.data, '\n'), w->line.data + w->line.len - 1);
    assert_true(srt_utf8_valid(w->line.data, w->line.len));
    assert_int_equal(srt_json_parse(&w->doc, w->line.data, w->line.len, 0, NULL), 0);
}

static const char *text(const struct world *w, const char *path)
{
    const char *found =
        srt_json_text(w->doc, srt_json_path(w->doc, SRT_JSON_ROOT, path), NULL);

    return found != NULL ? found : "(absent)";
}

static int absent(const struct world *w, const char *path)
{
    return srt_json_path(w->doc, SRT_JSON_ROOT, path) == 0;
}

/* The link to a line without its newline. */
static const char *link_to(char out[80], const char *line, size_t len)
{
    uint8_t hash[SRT_SHA256_LEN];

    assert_int_equal(srt_sha256(hash, line, len - 1), 0);
    memcpy(out, "sha256:", 7);
    srt_hex(out + 7, hash, sizeof(hash));
    return out;
}

static void writes_every_member(void **state)
{
    static const char line[] =
        "{\"schema\":\"secretrt.audit/"
        "1\",\"ts\":\"2026-11-24T04:01:25.574Z\",\"seq\":1,"
        "\"client\":\"c8a6503fb61bd26d\","
        "\"event\":\"lease.renew\",\"outcome\":\"failure\",\"reason\":\"db: vault "
        "503\","
        "\"service\":{\"name\":\"billing\",\"instance\":\"pod-7\"},"
        "\"proc\":{\"pid\":812,\"uid\":0,\"exe\":\"/usr/bin/app\"},"
        "\"host\":\"ip-10-0-3-7\",\"pod_namespace\":\"prod\","
        "\"actor\":{\"principal\":\"ns/prod:sa/billing\"},"
        "\"caller\":{\"actor\":\"jane\",\"purpose\":\"invoice\"},"
        "\"secret\":{\"name\":\"db\",\"ref\":\"vault://database/creds/app?ttl=5m\","
        "\"provider\":\"vault\",\"tier\":2,\"weakest_tier\":4,\"version\":\"7\","
        "\"generation\":5},\"lease\":{\"id\":\"" LEASE_HASH "\",\"ttl_s\":300,"
        "\"renewable\":true,\"renewals\":2,"
        "\"expires_at\":\"2026-11-24T04:06:25.574Z\",\"limited_by\":\"login\"},"
        "\"count\":3,\"status\":\"unavailable\",\"http_status\":503,\"latency_ms\":41,"
        "\"request_id\":\"9f1c\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\","
        "\"span_id\":\"00f067aa0ba902b7\",\"prev\":\"" ZEROS "\","
        "\"lib\":\"" SECRETRT_VERSION "\"}\n";
    struct world *w = *state;

    seal(w, &full);
    assert_string_equal(w->line.data, line);
}

static void leaves_out_what_is_unknown(void **state)
{
    static const char *const names[] = {
        "reason",     "host",     "pod_namespace", "actor",       "caller",
        "secret",     "lease",    "status",        "http_status", "latency_ms",
        "request_id", "trace_id", "span_id",       "service",     "proc"};
    static const struct srt_audit_identity nobody = {.pid = 0, .uid = -1};
    const struct srt_record bare = {.event = "client.open",
                                    .outcome = "success",
                                    .at_ms = AT_MS,
                                    .ttl_ms = -1,
                                    .latency_ms = -1};
    struct world *w = *state;

    srt_audit_free(w->audit);
    assert_int_equal(srt_audit_new(&w->audit, &nobody, key_one), 0);
    seal(w, &bare);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_true(absent(w, names[i]));
    assert_string_equal(text(w, "count"), "1");
    assert_null(strstr(w->line.data, "null"));
}

static void links_a_hundred_lines(void **state)
{
    struct world *w = *state;
    char prev[80] = ZEROS;
    struct srt_record record = full;

    for (uint64_t i = 1; i <= 100; i++) {
        int64_t seq = 0;

        record.generation = i;
        seal(w, &record);
        assert_int_equal(srt_json_int(&seq, w->doc,
                                      srt_json_get(w->doc, SRT_JSON_ROOT, "seq"), 1,
                                      1000),
                         0);
        assert_int_equal(seq, i);
        assert_string_equal(text(w, "prev"), prev);
        srt_audit_commit(w->audit, w->line.data, w->line.len);
        link_to(prev, w->line.data, w->line.len);
    }
}

static void a_line_that_was_not_written_leaves_no_gap(void **state)
{
    struct world *w = *state;
    char prev[80];

    seal(w, &full);
    srt_audit_commit(w->audit, w->line.data, w->line.len);
    link_to(prev, w->line.data, w->line.len);
    for (int i = 0; i < 3; i++) { /* writes fail */
        seal(w, &full);
        assert_string_equal(text(w, "seq"), "2");
        assert_string_equal(text(w, "prev"), prev);
    }
    srt_audit_commit(w->audit, w->line.data, w->line.len);
    link_to(prev, w->line.data, w->line.len);
    seal(w, &full);
    assert_string_equal(text(w, "seq"), "3");
    assert_string_equal(text(w, "prev"), prev);
}

static void hashes_by_key(void **state)
{
    struct world *w = *state;
    struct srt_audit *other;
    char one[SRT_AUDIT_HASH_LEN];
    char again[SRT_AUDIT_HASH_LEN];
    char two[SRT_AUDIT_HASH_LEN];

    assert_int_equal(srt_audit_new(&other, &identity, key_two), 0);
    srt_audit_hash(one, w->audit, LEASE_ID);
    srt_audit_hash(again, w->audit, LEASE_ID);
    srt_audit_hash(two, other, LEASE_ID);
    assert_int_equal(strlen(one), strlen("hmac-sha256:") + 64);
    assert_int_equal(strncmp(one, "hmac-sha256:", 12), 0);
    assert_string_equal(one, again);
    assert_string_not_equal(one, two);
    seal(w, &full);
    assert_string_equal(text(w, "client"), "c8a6503fb61bd26d");
    srt_audit_free(w->audit);
    w->audit = other;
    seal(w, &full);
    assert_string_equal(text(w, "client"), "ee3d1e00d4e6529a");
    srt_audit_hash(one, w->audit, "");
    assert_string_equal(one, "");
}

static void a_name_can_not_forge_a_line(void **state)
{
    static const char evil[] =
        "a\n{\"seq\":9}\r\",\"outcome\":\"success\\\t\x01\x1b[2J";
    struct world *w = *state;
    struct srt_record record = full;

    record.name = evil;
    record.reason = evil;
    record.actor = evil;
    record.request_id = evil;
    record.event = evil;
    seal(w, &record);
    assert_string_equal(text(w, "outcome"), "failure");
    assert_string_equal(text(w, "secret.name"), evil);
    assert_string_equal(text(w, "request_id"), evil);
    assert_string_equal(text(w, "caller.actor"), evil);
    for (size_t i = 0; i + 1 < w->line.len; i++)
        assert_true((unsigned char)w->line.data[i] >= 0x20);
}

static void replaces_what_is_no_text(void **state)
{
    static const struct {
        const char *in;
        const char *out;
    } cases[] = {
        {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"}, /* overlong */
        {"a\xFFz", "a\xEF\xBF\xBDz"},
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* surrogate */
        {"\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD"},                 /* ends too early */
        {"\xC2\x9B"
         "2J",
         "\xEF\xBF\xBD"
         "2J"}, /* C1 drives terminals */
        {"\x7F", "\xEF\xBF\xBD"},
        {"\xE2\x80\xA8", "\xEF\xBF\xBD"}, /* line separator */
        {"\xE2\x80\xAE", "\xEF\xBF\xBD"}, /* right to left */
        {"\xE2\x81\xA6", "\xEF\xBF\xBD"},
        {"\xC3\xBC\xE2\x82\xAC\xF0\x9F\x94\x91",
         "\xC3\xBC\xE2\x82\xAC\xF0\x9F\x94\x91"},
    };
    struct world *w = *state;
    struct srt_record record = full;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        record.name = cases[i].in;
        seal(w, &record);
        assert_string_equal(text(w, "secret.name"), cases[i].out);
    }
}

static void cuts_at_a_character(void **state)
{
    static const char *const patterns[] = {"x",
                                           "\"",
                                           "\\",
                                           "\n",
                                           "\x01",
                                           "\xFF",
                                           "\xC3\xBC",
                                           "\xE2\x82\xAC",
                                           "\xF0\x9F\x94\x91",
                                           "a\xE2\x82\xAC",
                                           "ab\xF0\x9F\x94\x91\x01"};
    struct world *w = *state;
    struct srt_record record = full;

    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        const char *name;

        record.name = big(w, patterns[i]);
        seal(w, &record);
        name = text(w, "secret.name");
        assert_true(strlen(name) <= 200);
        assert_string_equal(name + strlen(name) - 3, "\xE2\x80\xA6");
        assert_false(absent(w, "proc.exe"));
    }
}

static void keeps_texts_up_to_their_ceiling(void **state)
{
    struct world *w = *state;
    struct srt_record record = full;
    char name[202];
    char ref[2049];

    memset(name, 'n', sizeof(name));
    name[200] = '\0';
    memset(ref, 'r', sizeof(ref));
    memcpy(ref, "vault://kv/x?a=%2B&b=", 21);
    ref[2048] = '\0';
    record.name = name;
    record.source = ref;
    seal(w, &record);
    assert_string_equal(text(w, "secret.name"), name);
    assert_string_equal(text(w, "secret.ref"), ref);
    name[200] = 'n';
    name[201] = '\0';
    seal(w, &record);
    assert_int_equal(strlen(text(w, "secret.name")), 200);
}

/* Every text at its ceiling, every number at its end. */
static struct srt_record largest(struct world *w, const char *pattern)
{
    struct srt_record record = full;

    record.event = record.outcome = record.reason = record.name = big(w, pattern);
    record.source = record.provider = record.principal = record.version = w->big;
    record.lease_id = record.request_id = record.limited_by = w->big;
    record.actor = record.purpose = w->big;
    record.at_ms = record.ttl_ms = record.latency_ms = INT64_MAX;
    record.expires_at_ms = INT64_MIN;
    record.generation = record.count = UINT64_MAX;
    record.renewals = UINT32_MAX;
    record.tier = record.weakest_tier = record.http_status = INT32_MAX;
    record.status = INT32_MIN;
    return record;
}

static void drops_the_least_when_a_line_is_too_long(void **state)
{
    static const char *const patterns[] = {"x", "\x01", "\"", "\xFF",
                                           "\xF0\x9F\x94\x91"};
    struct world *w = *state;
    struct srt_audit_identity who = {.pid = INT64_MAX, .uid = INT64_MAX};

    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        struct srt_record record = largest(w, patterns[i]);

        who.service = who.instance = who.host = who.exe = who.pod_namespace = w->big;
        srt_audit_free(w->audit);
        assert_int_equal(srt_audit_new(&w->audit, &who, key_one), 0);
        seal(w, &record);
        assert_true(absent(w, "proc.exe"));
        assert_true(absent(w, "service.instance"));
        assert_false(absent(w, "service.name"));
        assert_false(absent(w, "secret.ref"));
        assert_false(absent(w, "secret.name"));
        assert_false(absent(w, "caller.actor"));
        assert_false(absent(w, "lease.id"));
        assert_false(absent(w, "request_id"));
        assert_string_equal(text(w, "prev"), ZEROS);
    }
}

static void drops_no_more_than_it_must(void **state)
{
    struct world *w = *state;
    struct srt_record record = full;
    struct srt_audit_identity who = identity;

    who.exe = big(w, "e");
    srt_audit_free(w->audit);
    assert_int_equal(srt_audit_new(&w->audit, &who, key_one), 0);
    record.source = record.reason = record.actor = record.purpose = big(w, "x");
    record.name = w->big;
    seal(w, &record);
    assert_true(absent(w, "proc.exe"));
    assert_false(absent(w, "service.instance"));
    assert_false(absent(w, "reason"));
}

static void splits_only_a_valid_traceparent(void **state)
{
    static const char *const bad[] = {
        "",
        "00",
        "00-",
        "nonsense",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        TRACE "-extra",
        TRACE "0",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
        "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        "0\"-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"};
    struct world *w = *state;
    struct srt_record record = full;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        record.traceparent = bad[i];
        seal(w, &record);
        assert_true(absent(w, "trace_id"));
        assert_true(absent(w, "span_id"));
    }
    record.traceparent = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
    seal(w, &record);
    assert_string_equal(text(w, "span_id"), "00f067aa0ba902b7");
}

static void hands_a_hook_the_same_line(void **state)
{
    struct world *w = *state;
    struct srt_audit_entry *entry;
    const struct secretrt_audit_record *record;
    char buf[SECRETRT_AUDIT_LINE_MAX];
    size_t len;

    assert_int_equal(srt_audit_entry_new(&entry, w->audit, &full), 0);
    record = srt_audit_entry_public(entry);
    assert_int_equal(record->seq, 0);
    assert_int_equal(secretrt_audit_json(buf, sizeof(buf), record), 0);
    assert_null(strstr(buf, "\"seq\""));
    assert_null(strstr(buf, "\"prev\""));
    srt_buf_char(&w->line, '\n'); /* ends a torn line: seal adds behind it */
    assert_int_equal(srt_audit_seal(entry, w->audit, &w->line), 0);
    assert_int_equal(record->seq, 1);
    assert_string_equal(record->name, "db");
    assert_string_equal(record->traceparent, TRACE);
    assert_int_equal(record->status, SECRETRT_ERR_UNAVAILABLE);
    assert_int_equal(secretrt_audit_json(buf, sizeof(buf), record), 0);
    len = strlen(buf);
    assert_int_equal(len + 2, w->line.len);
    assert_memory_equal(buf, w->line.data + 1, len);
    assert_int_equal(secretrt_audit_json(buf, len + 1, record), 0);
    buf[0] = 'x';
    assert_int_equal(secretrt_audit_json(buf, len, record), SECRETRT_ERR_INVALID);
    assert_int_equal(buf[0], 'x');
    assert_int_equal(secretrt_audit_json(NULL, 0, record), SECRETRT_ERR_INVALID);
    assert_int_equal(secretrt_audit_json(buf, sizeof(buf), NULL), SECRETRT_ERR_INVALID);
    srt_audit_entry_free(entry);
}

struct faulty {
    long left; /* allocations that still succeed */
    long live;
};

static void *faulty_alloc(size_t len, void *data)
{
    struct faulty *faulty = data;

    if (faulty->left-- <= 0)
        return NULL;
    faulty->live++;
    return malloc(len);
}

static void faulty_release(void *ptr, void *data)
{
    struct faulty *faulty = data;

    faulty->live--;
    free(ptr);
}

/* 0 when all of it found memory. */
static int whole_life(void)
{
    struct srt_audit *audit = NULL;
    struct srt_audit_entry *entry = NULL;
    struct srt_buf line = {0};
    char buf[SECRETRT_AUDIT_LINE_MAX];
    int status = srt_audit_new(&audit, &identity, key_one);

    if (status == 0)
        status = srt_audit_entry_new(&entry, audit, &full);
    if (status == 0)
        status = srt_audit_seal(entry, audit, &line);
    if (status != 0)
        assert_int_equal(line.len, 0);
    if (status == 0)
        status = secretrt_audit_json(buf, sizeof(buf), srt_audit_entry_public(entry));
    srt_buf_wipe(&line);
    srt_audit_entry_free(entry);
    srt_audit_free(audit);
    return status;
}

static void survives_each_failed_allocation(void **state)
{
    struct faulty faulty = {0};
    struct srt_allocator allocator = {faulty_alloc, faulty_release, &faulty};
    int status = SECRETRT_ERR_NOMEM;
    long n;

    (void)state;
    srt_allocator_set(&allocator);
    for (n = 0; n < 100 && status != 0; n++) {
        faulty.left = n;
        status = whole_life();
        assert_true(status == 0 || status == SECRETRT_ERR_NOMEM);
        assert_int_equal(faulty.live, 0);
    }
    srt_allocator_set(NULL);
    assert_int_equal(status, 0);
    assert_true(n > 4);
}

static void a_failed_seal_changes_nothing(void **state)
{
    struct faulty faulty = {.left = 1};
    struct srt_allocator allocator = {faulty_alloc, faulty_release, &faulty};
    struct world *w = *state;
    struct srt_audit_entry *entry;
    struct srt_buf line = {0};

    assert_int_equal(srt_audit_entry_new(&entry, w->audit, &full), 0);
    srt_allocator_set(&allocator); /* nothing that is live now is freed under it */
    assert_int_equal(srt_audit_seal(entry, w->audit, &line), SECRETRT_ERR_NOMEM);
    assert_int_equal(srt_audit_entry_public(entry)->seq, 0);
    assert_int_equal(line.len, 0);
    srt_buf_wipe(&line);
    srt_allocator_set(NULL);
    srt_audit_entry_free(entry);
    seal(w, &full);
    assert_string_equal(text(w, "seq"), "1");
    assert_string_equal(text(w, "prev"), ZEROS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_every_member),
        TEST(leaves_out_what_is_unknown),
        TEST(links_a_hundred_lines),
        TEST(a_line_that_was_not_written_leaves_no_gap),
        TEST(hashes_by_key),
        TEST(a_name_can_not_forge_a_line),
        TEST(replaces_what_is_no_text),
        TEST(cuts_at_a_character),
        TEST(keeps_texts_up_to_their_ceiling),
        TEST(drops_the_least_when_a_line_is_too_long),
        TEST(drops_no_more_than_it_must),
        TEST(splits_only_a_valid_traceparent),
        TEST(hands_a_hook_the_same_line),
        TEST(a_failed_seal_changes_nothing),
        cmocka_unit_test(survives_each_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
