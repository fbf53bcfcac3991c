#include "support/world.h"
#include "base/alloc.h"
#include "base/heap.h"
#include "engine/provider.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SRT_PROVIDER(name) extern const struct srt_provider srt_provider_##name;
#include "api/providers.def"
#undef SRT_PROVIDER

static const struct srt_provider *const world_registry[] = {
#define SRT_PROVIDER(name) &srt_provider_##name,
#include "api/providers.def"
#undef SRT_PROVIDER
    NULL};

struct world_sent {
    struct world_sent *next;
    struct srt_transfer *transfer;
    struct world_reply reply;
    int64_t due_ms;
};

static int64_t world_boot_ms(void *self)
{
    return ((struct world *)self)->boot_ms;
}

static int64_t world_wall_ms(void *self)
{
    return ((struct world *)self)->wall_ms;
}

static void world_random(void *self, void *out, size_t len)
{
    struct world *w = self;
    uint32_t bits = (uint32_t)(w->chance * 4294967296.0);

    if (w->seed != 0) {
        w->seed = w->seed * 6364136223846793005U + 1442695040888963407U;
        bits = (uint32_t)(w->seed >> 32);
    }
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = ((const uint8_t *)&bits)[i % 4];
}

static void world_line(char *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void world_line(char *text, const char *format, ...)
{
    size_t len = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + len, WORLD_TEXT - len, format, args);
    va_end(args);
}

/* The answer to a request: the server's, or the first of the script that fits. */
static void world_script(struct world *w, const char *key,
                         const struct srt_request *request, struct world_reply *out)
{
    size_t i;

    memset(out, 0, sizeof(*out));
    out->outcome = SRT_OUTCOME_ANSWERED;
    out->retry_after_ms = -1;
    if (w->server != NULL && w->server(w, key, request, out))
        return;
    for (i = 0; i < w->replies && strcmp(w->reply[i].key, key) != 0; i++)
        ;
    if (i == w->replies)
        fail_msg("no answer is scripted for %s at %lld ms\n%s", key,
                 (long long)w->boot_ms, w->trace);
    *out = w->reply[i];
    if (w->reply[i].always)
        return;
    memmove(&w->reply[i], &w->reply[i + 1], (w->replies - i - 1) * sizeof(*w->reply));
    w->replies--;
}

static void world_key(char *out, size_t cap, const struct srt_request *request)
{
    if (request->kind == SRT_REQUEST_HTTP)
        snprintf(out, cap, "%s %s", request->method, srt_buf_text(&request->target));
    else
        snprintf(out, cap, "%s %s", request->kind == SRT_REQUEST_FILE ? "FILE" : "ENV",
                 srt_buf_text(&request->target));
}

static int world_send(void *self, struct srt_transfer *transfer)
{
    struct world *w = self;
    struct world_sent *sent = calloc(1, sizeof(*sent)), **tail = &w->sent;
    char key[160];

    world_key(key, sizeof(key), &transfer->request);
    snprintf(w->last_secret_header, sizeof(w->last_secret_header), "%s",
             srt_secbuf_text(&transfer->request.secret_header));
    world_line(w->trace, "%lld %s @%s %s\n", (long long)w->boot_ms, key,
               srt_buf_text(&transfer->request.base), w->last_secret_header);
    w->requests++;
    if (transfer->request.body.len > 0)
        snprintf(w->last_body, sizeof(w->last_body), "%s",
                 srt_secbuf_text(&transfer->request.body));
    world_script(w, key, &transfer->request, &sent->reply);
    sent->transfer = transfer;
    sent->due_ms = w->boot_ms + sent->reply.delay_ms;
    if (transfer->request.kind == SRT_REQUEST_HTTP && ++w->flying > w->flying_most)
        w->flying_most = w->flying;
    while (*tail != NULL)
        tail = &(*tail)->next;
    *tail = sent;
    transfer->io = sent;
    return 0;
}

static void world_unlink(struct world *w, struct world_sent *sent)
{
    struct world_sent **at = &w->sent;

    while (*at != sent)
        at = &(*at)->next;
    *at = sent->next;
    w->flying -= sent->transfer->request.kind == SRT_REQUEST_HTTP;
}

static void world_abort(void *self, struct srt_transfer *transfer)
{
    struct world_sent *sent = transfer->io;

    world_unlink(self, sent);
    free(sent);
    transfer->io = NULL;
}

static int world_deliver(struct world *w)
{
    struct world_sent *sent = w->sent;
    struct srt_reply *reply;
    struct srt_transfer *transfer;

    while (sent != NULL && sent->due_ms > w->boot_ms)
        sent = sent->next;
    if (sent == NULL)
        return 0;
    transfer = sent->transfer;
    world_unlink(w, sent);
    reply = &transfer->reply;
    reply->outcome = sent->reply.outcome;
    reply->sent = transfer->request.kind == SRT_REQUEST_HTTP &&
                  sent->reply.outcome != SRT_OUTCOME_UNREACHABLE;
    reply->status = sent->reply.status;
    reply->retry_after_ms = sent->reply.retry_after_ms;
    if (sent->reply.location[0] != '\0')
        srt_buf_text_add(&reply->location, sent->reply.location);
    reply->file_mode = 0100600;
    srt_text_copy(reply->content_type, sizeof(reply->content_type), "application/json");
    srt_secbuf_text_add(&reply->body, sent->reply.body);
    if (reply->body.status != 0 || reply->location.status != 0)
        reply->outcome = SRT_OUTCOME_NOMEM;
    transfer->io = NULL;
    free(sent);
    transfer->done(transfer);
    return 1;
}

/* ---- listener ---- */

static void world_settled(void *self, struct srt_secret *secret, enum srt_settled how,
                          const struct secretrt_error *error)
{
    struct world_secret *s = srt_secret_data(secret);

    (void)self;
    s->settled = how;
    s->settles++;
    if (error != NULL)
        s->error = *error;
}

static void world_notice(void *self, struct srt_secret *secret,
                         const struct srt_notice *notice)
{
    struct world *w = self;
    static const char *const kinds[] = {"",         "ready",   "reload", "verify",
                                        "expiring", "expired", "failed", "drained",
                                        "tier",     "warning"};

    world_line(w->events, "%lld %s %s %llu old=%llu status=%d left=%lld tier=%d\n",
               (long long)w->boot_ms, srt_secret_spec(secret)->name,
               kinds[notice->kind], (unsigned long long)notice->generation,
               (unsigned long long)notice->old_generation, (int)notice->status,
               notice->until_ms == SRT_NEVER
                   ? -1LL
                   : (long long)(notice->until_ms - w->boot_ms),
               (int)notice->tier);
}

static int world_record(void *self, const struct srt_record *record,
                        struct srt_ticket *ticket)
{
    struct world *w = self;

    world_line(w->records, "%s %s %s %llu %llu\n", record->event, record->outcome,
               record->name, (unsigned long long)record->generation,
               (unsigned long long)record->count);
    if (record->reason != NULL)
        world_line(w->reasons, "%s %s\n", record->event, record->reason);
    if (ticket == NULL || !w->record_later)
        return ticket == NULL ? 0 : w->record_status;
    assert_true(w->tickets < 64);
    w->ticket[w->tickets++] = ticket;
    return SRT_TICKET_LATER;
}

static int world_verify(void *self, struct srt_secret *secret,
                        struct secretrt_value *candidate, struct srt_ticket *ticket)
{
    struct world *w = self;

    (void)secret;
    (void)candidate;
    w->verifications++;
    if (!w->verify_later)
        return w->verify_status;
    w->ticket[w->tickets++] = ticket;
    return SRT_TICKET_LATER;
}

static void world_log(void *self, int level, const char *message)
{
    world_line(((struct world *)self)->logs, "%d %s\n", level, message);
}

static const char *world_getenv(const char *name, void *data)
{
    const char *const *pair = data;

    for (; pair != NULL && pair[0] != NULL; pair += 2)
        if (strcmp(pair[0], name) == 0)
            return pair[1];
    return NULL;
}

struct world *world_new(const char *config)
{
    struct world *w = calloc(1, sizeof(*w));
    const struct srt_lookup lookup = {world_getenv, NULL};
    struct secretrt_error err;

    if (config == NULL)
        config = WORLD_VAULT;
    if (srt_config_read(&w->config, config, strlen(config), world_registry, &lookup,
                        &err) != 0)
        fail_msg("%s", err.message);
    w->boot_ms = 1000000;
    w->wall_ms = 1790000000000;
    w->reply = calloc(256, sizeof(*w->reply));
    w->secret = calloc(WORLD_SECRETS, sizeof(*w->secret));
    w->env = (struct srt_env){w,          world_boot_ms, world_wall_ms, world_random,
                              world_send, world_abort};
    w->listener = (struct srt_listener){
        w, world_settled, world_notice, world_record, world_verify, world_log, NULL};
    assert_int_equal(srt_engine_new(&w->engine, w->config, &w->env, &w->listener), 0);
    return w;
}

void world_free(struct world *w)
{
    srt_engine_free(w->engine);
    assert_null(w->sent);
    for (size_t i = 0; i < w->secrets; i++) {
        srt_cell_wipe(&w->secret[i].cell);
        srt_spec_free(w->secret[i].spec);
    }
    while (srt_epoch_collect() > 0)
        ;
    srt_config_free(w->config);
    free(w->reply);
    free(w->secret);
    free(w);
}

/* ---- script ---- */

struct world_reply *net_reply(struct world *w, const char *key, int status,
                              const char *body)
{
    struct world_reply *reply = &w->reply[w->replies++];

    assert_true(w->replies < 256);
    memset(reply, 0, sizeof(*reply));
    snprintf(reply->key, sizeof(reply->key), "%s", key);
    reply->outcome = SRT_OUTCOME_ANSWERED;
    reply->status = status;
    reply->retry_after_ms = -1;
    snprintf(reply->body, sizeof(reply->body), "%s", body);
    return reply;
}

struct world_reply *net_always(struct world *w, const char *key, int status,
                               const char *body)
{
    struct world_reply *reply = net_reply(w, key, status, body);

    reply->always = 1;
    return reply;
}

struct world_reply *net_fails(struct world *w, const char *key,
                              enum srt_outcome outcome)
{
    struct world_reply *reply = net_reply(w, key, 0, "");

    reply->outcome = outcome;
    return reply;
}

void net_clear(struct world *w)
{
    w->replies = 0;
}

void net_expect_done(struct world *w)
{
    for (size_t i = 0; i < w->replies; i++)
        if (!w->reply[i].always)
            fail_msg("never asked: %s\n%s", w->reply[i].key, w->trace);
}

unsigned world_lines(const char *text, const char *needle)
{
    unsigned n = 0;

    for (const char *line = text; *line != '\0';) {
        const char *end = strchr(line, '\n');
        const char *hit = strstr(line, needle);

        n += hit != NULL && (end == NULL || hit < end);
        line = end == NULL ? line + strlen(line) : end + 1;
    }
    return n;
}

unsigned net_count(const struct world *w, const char *key)
{
    return world_lines(w->trace, key);
}

/* ---- acting ---- */

struct world_secret *open_with(struct world *w, const char *name,
                               const struct secretrt_secret_options *options)
{
    struct world_secret *s = &w->secret[w->secrets++];
    struct secretrt_error err;

    s->world = w;
    srt_error_clear(&err);
    if (srt_spec_new(&s->spec, w->config, name, options, &err) != 0 ||
        srt_cell_init(&s->cell) != 0 ||
        srt_secret_open(&s->secret, w->engine, s->spec, &s->cell, s, &err) != 0)
        fail_msg("%s", err.message);
    world_turn(w);
    return s;
}

struct world_secret *open_secret(struct world *w, const char *name)
{
    return open_with(w, name, NULL);
}

const char *field(struct world_secret *s, const char *name)
{
    struct secretrt_value *value =
        atomic_load_explicit(&s->cell.value, memory_order_acquire);

    if (value == NULL || !srt_value_live(value, s->world->boot_ms))
        return NULL;
    return srt_bundle_field(value->bundle, name, NULL);
}

uint64_t generation(struct world_secret *s)
{
    return atomic_load(&s->cell.generation);
}

void close_secret(struct world *w, struct world_secret *s)
{
    srt_secret_close(w->engine, s->secret);
    s->secret = NULL;
    world_turn(w);
}

static int64_t world_settle_now(struct world *w)
{
    int64_t next;

    do
        next = srt_engine_step(w->engine);
    while (world_deliver(w) || next <= w->boot_ms);
    for (const struct world_sent *sent = w->sent; sent != NULL; sent = sent->next)
        if (sent->due_ms < next)
            next = sent->due_ms;
    return next;
}

void world_turn(struct world *w)
{
    world_settle_now(w);
}

void clock_advance_ms(struct world *w, int64_t ms)
{
    int64_t until = w->boot_ms + ms;

    for (;;) {
        int64_t next = world_settle_now(w);

        if (next > until)
            next = until;
        w->wall_ms += next - w->boot_ms;
        w->boot_ms = next;
        if (next == until)
            break;
    }
    world_settle_now(w);
}

void world_answer(struct world *w, int status)
{
    size_t n = w->tickets;

    w->tickets = 0;
    for (size_t i = 0; i < n; i++)
        srt_engine_answered(w->engine, w->ticket[i], status);
    world_turn(w);
}

int64_t world_next_ms(struct world *w)
{
    return world_settle_now(w);
}

unsigned world_close(struct world *w, int64_t within_ms)
{
    int64_t until = w->boot_ms + within_ms;
    unsigned unreturned = 0;

    srt_engine_close(w->engine);
    world_turn(w);
    while (!srt_engine_closed(w->engine, &unreturned)) {
        int64_t next = world_settle_now(w);

        if (next > until)
            fail_msg("not closed within %lld ms\n%s", (long long)within_ms, w->trace);
        clock_advance_ms(w, next - w->boot_ms);
    }
    return unreturned;
}

int64_t net_time(const struct world *w, const char *key, unsigned nth)
{
    const char *line = w->trace;

    while (*line != '\0') {
        const char *end = strchr(line, '\n');
        const char *hit = strstr(line, key);

        if (hit != NULL && hit < end && --nth == 0)
            return strtoll(line, NULL, 10);
        line = end + 1;
    }
    return -1;
}

struct world_look {
    const char *name;
    const char *state;
};

static void world_look_at(const struct srt_status *status, void *data)
{
    struct world_look *look = data;

    if (strcmp(status->name, look->name) == 0)
        look->state = status->state;
}

const char *world_state(struct world *w, const struct world_secret *s)
{
    struct world_look look = {s->spec->name, ""};

    srt_engine_survey(w->engine, world_look_at, &look);
    return look.state;
}
