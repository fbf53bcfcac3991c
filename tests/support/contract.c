#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/status.h"
#include "contract/contract.h"
#include "mem/arena.h"
#include "unit/base/fail_alloc.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define CONTRACT_WINDOW 4 /* so many bytes of the canary in a row are a leak */
#define CONTRACT_DEPTH 1000
#define CONTRACT_ALLOCATIONS_MAX 5000

#define SRT_PROVIDER(name) extern const struct srt_provider srt_provider_##name;
#include "api/providers.def"
#undef SRT_PROVIDER
#define SRT_PROVIDER(name) &srt_provider_##name,
static const struct srt_provider *const contract_registry[] = {
#include "api/providers.def"
    NULL};
#undef SRT_PROVIDER

static const char *contract_getenv(const char *name, void *data)
{
    (void)data;
    return strcmp(name, "HOME") == 0 ? "/home/app" : NULL;
}

int contract_setup(void **state)
{
    (void)state;
    fail_alloc_begin(0);
    return 0;
}

static void contract_config(struct srt_config **out, const char *text)
{
    const struct srt_lookup lookup = {contract_getenv, NULL};
    struct secretrt_error err;
    int status;

    srt_error_clear(&err);
    status = srt_config_read(out, text, text != NULL ? strlen(text) : 0,
                             contract_registry, &lookup, &err);
    if (status != 0)
        fail_msg("configuration: %s", err.message);
}

static struct srt_bundle *contract_bundle(const char *text)
{
    struct srt_bundle *bundle = NULL;

    if (text == NULL)
        return NULL;
    assert_int_equal(srt_bundle_new(&bundle), 0);
    assert_int_equal(srt_bundle_add(bundle, "token", 5, text, strlen(text)), 0);
    assert_int_equal(srt_bundle_seal(bundle), 0);
    return bundle;
}

/* A provider without settings has no store; the store of a login is "vault" here. */
static const struct srt_store_config *
contract_store(const struct srt_config *config, const struct srt_provider *provider)
{
    return provider->settings != NULL || provider->internal
               ? srt_config_store(config, "vault")
               : NULL;
}

int contract_plan(struct srt_plan *out, const struct srt_provider *provider,
                  const char *ref, const char *config, struct secretrt_error *err)
{
    struct srt_config *read = NULL;
    struct srt_ref parsed = {.text = NULL};
    int status;

    *out = (struct srt_plan){.needs = 0};
    srt_error_clear(err);
    contract_config(&read, config);
    assert_int_equal(srt_ref_parse(&parsed, ref, err), 0);
    status = provider->plan(out, &parsed, contract_store(read, provider), err);
    srt_ref_wipe(&parsed);
    srt_config_free(read);
    return status;
}

static void contract_answer(struct srt_reply *out, const struct contract_reply *reply)
{
    size_t len =
        reply->len != 0 || reply->body == NULL ? reply->len : strlen(reply->body);

    srt_reply_wipe(out);
    out->outcome = reply->outcome != 0 ? reply->outcome : SRT_OUTCOME_ANSWERED;
    out->status = reply->status;
    out->sent = 1;
    out->retry_after_ms = reply->retry_after_ms != 0 ? reply->retry_after_ms : -1;
    out->file_mode = reply->file_mode;
    if (out->outcome == SRT_OUTCOME_ANSWERED && reply->status != 0)
        srt_text_copy(out->content_type, sizeof(out->content_type),
                      reply->content_type != NULL ? reply->content_type
                                                  : "application/json");
    if (out->outcome == SRT_OUTCOME_ANSWERED && len > 0)
        srt_secbuf_add(&out->body, reply->body, len);
    assert_int_equal(out->body.status, 0);
}

static void contract_note(struct contract_run *run)
{
    struct srt_request *request = &run->x.request;
    size_t at = strlen(run->log);
    const char *what = request->method;

    if (request->kind == SRT_REQUEST_FILE)
        what = "FILE";
    else if (request->kind == SRT_REQUEST_ENVIRONMENT)
        what = "ENV";
    (void)snprintf(run->log + at, sizeof(run->log) - at, "%s %s\n", what,
                   srt_buf_text(&request->target));
    if (request->kind == SRT_REQUEST_HTTP) {
        srt_text_copy(run->headers, sizeof(run->headers),
                      srt_buf_text(&request->headers));
        srt_text_copy(run->secret_header, sizeof(run->secret_header),
                      srt_secbuf_text(&request->secret_header));
        srt_text_copy(run->body, sizeof(run->body), srt_secbuf_text(&request->body));
        srt_text_copy(run->ca_file, sizeof(run->ca_file), request->tls.ca_file);
        run->idempotent = request->idempotent;
    }
    /* As the engine: a request leaves the exchange when it is sent. */
    srt_request_wipe(request);
}

static enum srt_step contract_step(const struct contract *c, struct srt_exchange *x)
{
    switch (c->op) {
    case CONTRACT_RENEW:
        return c->provider->renew(x);
    case CONTRACT_CHECK:
        return c->provider->check(x);
    case CONTRACT_REVOKE:
        return c->provider->revoke(x);
    case CONTRACT_FETCH:
    default:
        return c->provider->fetch(x);
    }
}

static int contract_leaks(const char *text)
{
    char window[CONTRACT_WINDOW + 1] = "";

    for (size_t i = 0; i + CONTRACT_WINDOW <= strlen(CONTRACT_CANARY); i++) {
        memcpy(window, CONTRACT_CANARY + i, CONTRACT_WINDOW);
        if (strstr(text, window) != NULL)
            return 1;
    }
    return 0;
}

static void contract_look(const struct contract_run *run)
{
    const struct srt_failure *failure = &run->x.failure;
    const struct secretrt_error *error = &failure->error;

    if (run->step != SRT_FAIL)
        return;
    assert_true(failure->failure_class > SRT_CLASS_NONE &&
                failure->failure_class < SRT_CLASS_COUNT);
    assert_int_equal(error->status, srt_class_status(failure->failure_class));
    assert_true(error->message[0] != '\0');
    assert_null(strpbrk(error->message, "\r\n"));
    assert_null(run->x.grant.bundle);
    assert_int_equal(error->http_status, run->last.status);
    if (contract_leaks(error->message) || contract_leaks(error->request_id) ||
        contract_leaks(error->provider))
        fail_msg("a message holds a secret: %s", error->message);
}

/* What a run borrows is made before memory may end. */
static void contract_begin(struct contract_run *run, const struct contract *c)
{
    struct secretrt_error err;

    *run = (struct contract_run){.step = SRT_SEND};
    srt_error_clear(&err);
    contract_config(&run->config, c->config);
    assert_int_equal(srt_ref_parse(&run->ref, c->ref, &err), 0);
    run->credential = contract_bundle(c->credential);
    run->current = contract_bundle(c->current);
    run->x.ref = &run->ref;
    run->x.store = contract_store(run->config, c->provider);
    run->x.credential[0] = run->credential;
    run->x.current = run->current;
    run->x.lease_id = c->lease_id;
    run->x.increment_ms = c->increment_ms;
    run->x.wall_ms = c->wall_ms;
    run->x.traceparent = c->traceparent != NULL ? c->traceparent : "";
    run->x.grant.ttl_ms = -1;
}

/* Where memory ends: in which step, at which allocation of it. */
struct contract_fault {
    int step;
    size_t heap;  /* 0: never */
    size_t arena; /* 0: never */
};

/* Replies are made while memory lasts; only the provider's own step runs out of it. */
static void contract_exchange(struct contract_run *run, const struct contract *c,
                              const struct contract_fault *fault)
{
    for (;;) {
        int here = run->x.step == fault->step;

        fail_alloc_at(here ? fault->heap : 0);
        srt_arena_fail_after(here ? fault->arena : 0);
        run->step = contract_step(c, &run->x);
        fail_alloc_at(0);
        srt_arena_fail_after(0);
        if (run->step != SRT_SEND)
            break;
        contract_note(run);
        assert_true(run->sent < c->replies);
        contract_answer(&run->last, &c->reply[run->sent++]);
        run->x.reply = &run->last;
        run->x.step++;
    }
    contract_look(run);
}

void contract_run(struct contract_run *run, const struct contract *c)
{
    const struct contract_fault none = {.step = -1};

    contract_begin(run, c);
    contract_exchange(run, c, &none);
}

void contract_end(struct contract_run *run)
{
    srt_exchange_wipe(&run->x);
    srt_reply_wipe(&run->last);
    srt_bundle_unref(run->credential);
    srt_bundle_unref(run->current);
    srt_ref_wipe(&run->ref);
    srt_config_free(run->config);
    *run = (struct contract_run){.step = SRT_SEND};
}

void contract_field(const struct contract_run *run, const char *name, const char *text)
{
    size_t len = 0;
    const char *value;

    assert_non_null(run->x.grant.bundle);
    value = srt_bundle_field(run->x.grant.bundle, name, &len);
    if (text == NULL) {
        assert_null(value);
        return;
    }
    assert_non_null(value);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(value, text, len);
}

enum srt_class contract_spoiled(const struct contract *c, struct contract_reply reply)
{
    struct contract spoiled = *c;
    struct contract_run run;
    enum srt_class failure_class;

    spoiled.reply[c->replies - 1] = reply;
    contract_run(&run, &spoiled);
    failure_class = run.step == SRT_FAIL ? run.x.failure.failure_class : SRT_CLASS_NONE;
    if (failure_class != SRT_CLASS_NONE && reply.retry_after_ms != 0)
        assert_int_equal(run.x.failure.retry_after_ms, reply.retry_after_ms);
    contract_end(&run);
    return failure_class;
}

enum srt_class contract_changed(const struct contract *c, const char *from,
                                const char *to)
{
    struct contract_reply reply = c->reply[c->replies - 1];
    const char *at = strstr(reply.body, from);
    char body[4096];

    assert_non_null(at);
    (void)snprintf(body, sizeof(body), "%.*s%s%s", (int)(at - reply.body), reply.body,
                   to, at + strlen(from));
    reply.body = body;
    return contract_spoiled(c, reply);
}

static void contract_deep(const struct contract *c)
{
    char body[CONTRACT_DEPTH + 32] = "{\"data\":";

    memset(body + strlen(body), '[', CONTRACT_DEPTH);
    assert_int_equal(contract_spoiled(c, (struct contract_reply){200, .body = body}),
                     SRT_CLASS_PROTOCOL);
}

void contract_http(const struct contract *c)
{
    static const char echo[] = "{\"errors\":[\"" CONTRACT_CANARY " is refused: "
                               "\\n\\u0000 x\"]}";
    static const struct {
        int status;
        enum srt_class expected;
    } table[] = {
        {429, SRT_CLASS_THROTTLE},    {500, SRT_CLASS_SERVER},
        {501, SRT_CLASS_SERVER},      {502, SRT_CLASS_UNAVAILABLE},
        {503, SRT_CLASS_UNAVAILABLE}, {504, SRT_CLASS_UNAVAILABLE},
        {472, SRT_CLASS_UNAVAILABLE}, {473, SRT_CLASS_UNAVAILABLE},
        {412, SRT_CLASS_CONSISTENCY}, {405, SRT_CLASS_CONFIG},
        {415, SRT_CLASS_CONFIG},      {301, SRT_CLASS_UNAVAILABLE},
        {302, SRT_CLASS_UNAVAILABLE}, {307, SRT_CLASS_UNAVAILABLE},
        {308, SRT_CLASS_UNAVAILABLE}, {418, SRT_CLASS_PROTOCOL},
        {201, SRT_CLASS_PROTOCOL},    {0, SRT_CLASS_PROTOCOL},
    };
    static const char *const bad[] = {
        "",
        " ",
        "null",
        "[]",
        "\"" CONTRACT_CANARY "\"",
        "{}{}",
        "{\"a\":1,\"a\":2}",
        "{\"request_id\":\"" CONTRACT_CANARY "\",\"data\":{\"x\":\"\xff\"}}",
        "<html>",
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_int_equal(
            contract_spoiled(c, (struct contract_reply){table[i].status, .body = echo}),
            table[i].expected);
    assert_int_equal(
        contract_spoiled(
            c, (struct contract_reply){429, .body = echo, .retry_after_ms = 7000}),
        SRT_CLASS_THROTTLE);
    for (size_t i = 0; c->op != CONTRACT_REVOKE && i < sizeof(bad) / sizeof(bad[0]);
         i++)
        assert_int_equal(
            contract_spoiled(c, (struct contract_reply){200, .body = bad[i]}),
            SRT_CLASS_PROTOCOL);
    if (c->op == CONTRACT_REVOKE)
        return;
    assert_int_equal(contract_spoiled(c, (struct contract_reply){204, .body = NULL}),
                     SRT_CLASS_PROTOCOL);
    assert_int_equal(
        contract_spoiled(c,
                         (struct contract_reply){200, .body = "<html>" CONTRACT_CANARY,
                                                 .content_type = "text/html"}),
        SRT_CLASS_PROTOCOL);
    contract_deep(c);
}

void contract_outcomes(const struct contract *c)
{
    static const struct {
        enum srt_outcome outcome;
        enum srt_class expected;
    } table[] = {
        {SRT_OUTCOME_UNREACHABLE, SRT_CLASS_UNAVAILABLE},
        {SRT_OUTCOME_TIMEOUT, SRT_CLASS_UNAVAILABLE},
        {SRT_OUTCOME_TRUNCATED, SRT_CLASS_UNAVAILABLE},
        {SRT_OUTCOME_TLS, SRT_CLASS_INTEGRITY},
        {SRT_OUTCOME_TOO_LARGE, SRT_CLASS_PROTOCOL},
        {SRT_OUTCOME_REFUSED, SRT_CLASS_CONFIG},
        {SRT_OUTCOME_NOMEM, SRT_CLASS_NOMEM},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_int_equal(
            contract_spoiled(c, (struct contract_reply){.outcome = table[i].outcome}),
            table[i].expected);
}

void contract_cut(const struct contract *c, int every_cut_fails)
{
    struct contract_reply reply = c->reply[c->replies - 1];
    const size_t len = reply.len != 0 ? reply.len : strlen(reply.body);

    for (size_t n = 1; n < len; n++) {
        reply.len = n;
        if (contract_spoiled(c, reply) == SRT_CLASS_NONE && every_cut_fails)
            fail_msg("cut after %zu bytes, it is still believed", n);
    }
}

/* A step that overlooks a failed allocation sends or grants less than it should. */
static void contract_same(const struct contract_run *run,
                          const struct contract_run *good)
{
    assert_int_equal(run->step, good->step);
    assert_string_equal(run->log, good->log);
    assert_string_equal(run->headers, good->headers);
    assert_string_equal(run->secret_header, good->secret_header);
    assert_string_equal(run->body, good->body);
    assert_string_equal(srt_buf_text(&run->x.grant.lease_id),
                        srt_buf_text(&good->x.grant.lease_id));
    if (good->x.grant.bundle == NULL)
        assert_null(run->x.grant.bundle);
    else
        assert_true(srt_bundle_equal(run->x.grant.bundle, good->x.grant.bundle));
}

/* 1: it succeeded. */
static int contract_memory_of(const struct contract *c, const struct contract_run *good,
                              const struct contract_fault *fault)
{
    struct srt_arena_stats before;
    struct srt_arena_stats after;
    const size_t live = fail_alloc.live;
    struct contract_run run;
    int done;

    srt_arena_stats_get(&before);
    contract_begin(&run, c);
    contract_exchange(&run, c, fault);
    done = run.step != SRT_FAIL;
    if (done)
        contract_same(&run, good);
    else
        assert_int_equal(run.x.failure.failure_class, SRT_CLASS_NOMEM);
    contract_end(&run);
    srt_arena_stats_get(&after);
    assert_int_equal(after.used, before.used);
    assert_int_equal(after.large, before.large);
    assert_int_equal(fail_alloc.live, live);
    assert_int_equal(fail_alloc.canaries, 0);
    return done;
}

void contract_memory(const struct contract *c)
{
    struct contract_fault fault = {.step = -1};
    struct contract_run good;
    size_t failed = 0;

    contract_run(&good, c);
    assert_true(good.step != SRT_FAIL);
    for (fault.step = 0; fault.step <= good.x.step; fault.step++) {
        for (fault.heap = 1; !contract_memory_of(c, &good, &fault); fault.heap++)
            assert_true(++failed < CONTRACT_ALLOCATIONS_MAX);
        fault.heap = 0;
        for (fault.arena = 1; !contract_memory_of(c, &good, &fault); fault.arena++)
            assert_true(++failed < CONTRACT_ALLOCATIONS_MAX);
        fault.arena = 0;
    }
    assert_true(failed > 0);
    contract_end(&good);
}
