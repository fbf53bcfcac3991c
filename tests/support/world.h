/* A world for the engine's tests: real engine, real providers, fake clocks, scripted
 * wire, a random source that answers a constant. Nothing sleeps, nothing is sent. */
#ifndef TESTS_SUPPORT_WORLD_H
#define TESTS_SUPPORT_WORLD_H

#include "engine/engine.h"
#include "engine/wire.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define WORLD_SECRETS 10240
#define WORLD_TEXT 65536

struct world_reply {
    char key[160]; /* "GET /v1/database/creds/app", "FILE /path", "ENV NAME" */
    enum srt_outcome outcome;
    int status;
    char body[4096];
    int64_t delay_ms;
    int64_t retry_after_ms;
    char location[128];
    int always; /* 1: never used up */
};

/* Answers a request in place of the script: 1: out is filled. */
struct world;
typedef int world_server_fn(struct world *w, const char *key,
                            const struct srt_request *request, struct world_reply *out);

struct world_secret {
    struct world *world;
    struct srt_secret *secret;
    struct srt_spec *spec;
    struct srt_cell cell;
    enum srt_settled settled; /* the last */
    unsigned settles;
    struct secretrt_error error;
};

struct world {
    struct srt_config *config;
    struct srt_engine *engine;
    struct srt_env env;
    struct srt_listener listener;
    int64_t boot_ms;
    int64_t wall_ms;
    double chance; /* what random numbers in [0, 1) are */
    uint64_t seed; /* not 0: they vary, from here */
    world_server_fn *server;
    void *data;           /* the server's */
    unsigned flying;      /* HTTP requests that are not answered yet */
    unsigned flying_most; /* at once, so far */
    struct world_reply *reply;
    size_t replies;
    struct world_sent *sent;  /* in flight */
    unsigned requests;        /* sent so far */
    char trace[WORLD_TEXT];   /* one line per request: "ms METHOD /path @base token" */
    char events[WORLD_TEXT];  /* one line per notice: "ms name kind generation
                                 old=generation status=n left=ms tier=n" */
    char records[WORLD_TEXT]; /* one line per record: "event outcome name generation
                                 count" */
    char logs[WORLD_TEXT];
    char reasons[WORLD_TEXT]; /* one line per record that has one: "event reason" */
    char last_secret_header[256];
    char last_body[1024];
    struct world_secret *secret;
    size_t secrets;
    int record_status; /* what gated records are answered with */
    int record_later;  /* 1: answered by world_answer */
    int verify_status;
    int verify_later;
    unsigned verifications; /* asked for so far */
    struct srt_ticket *ticket[64];
    size_t tickets;
    const char *const *environ; /* pairs, for conventions */
};

#define WORLD_VAULT                                                                    \
    "{\"vault\": {\"address\": \"https://vault:8200\", \"auth\": {\"method\": "        \
    "\"approle\", \"role_id\": \"r\"}}}"

/* A group fixture's insides: config NULL takes WORLD_VAULT. Ends the test on failure.
 */
struct world *world_new(const char *config);
void world_free(struct world *w); /* also asserts that nothing was lost in flight */

/* Scripts one answer; the first that fits the request's key is taken, in order. */
struct world_reply *net_reply(struct world *w, const char *key, int status,
                              const char *body);
struct world_reply *net_always(struct world *w, const char *key, int status,
                               const char *body);
struct world_reply *net_fails(struct world *w, const char *key,
                              enum srt_outcome outcome);
void net_clear(struct world *w);       /* forgets what was scripted and not used */
void net_expect_done(struct world *w); /* every scripted answer (but always) was used */
unsigned net_count(const struct world *w,
                   const char *key); /* requests with this key so far */

struct world_secret *open_secret(struct world *w, const char *name);
struct world_secret *open_with(struct world *w, const char *name,
                               const struct secretrt_secret_options *options);
/* What a read would give now: the field's text, or NULL when nothing is live. */
const char *field(struct world_secret *s, const char *name);
uint64_t generation(struct world_secret *s);
void clock_advance_ms(struct world *w, int64_t ms);
void world_turn(struct world *w); /* what is due now, and the answers to it */
void world_answer(struct world *w, int status); /* all tickets that wait */
void close_secret(struct world *w, struct world_secret *s);
/* Closes the engine and runs until it is closed; what could not be returned. */
unsigned world_close(struct world *w, int64_t within_ms);
/* When the engine wants its next turn; INT64_MAX: never. */
int64_t world_next_ms(struct world *w);
/* The nth request with this key, from 1: when it was sent; -1: there was none. */
int64_t net_time(const struct world *w, const char *key, unsigned nth);
/* The state of the node behind a secret, as a survey tells it. */
const char *world_state(struct world *w, const struct world_secret *s);
unsigned world_lines(const char *text, const char *needle); /* lines that hold needle */

/* Scripted bodies. */
#define LOGIN(token, seconds)                                                          \
    "{\"request_id\":\"q1\",\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":" \
    "0,"                                                                               \
    "\"data\":null,\"wrap_info\":null,\"warnings\":null,\"auth\":{\"client_token\":"   \
    "\"" token                                                                         \
    "\",\"accessor\":\"acc\",\"policies\":[\"default\"],\"metadata\":{\"role_name\":"  \
    "\"r\"},\"lease_duration\":" #seconds ",\"renewable\":true,\"token_type\":"        \
    "\"service\",\"orphan\":true,\"mfa_requirement\":null,\"num_uses\":0}}"
#define LEASE(id, seconds, user)                                                       \
    "{\"request_id\":\"q2\",\"lease_id\":\"database/creds/app/" id                     \
    "\",\"renewable\":true,\"lease_duration\":" #seconds                               \
    ",\"data\":{\"username\":\"" user "\",\"password\":\"CANARY-" user                 \
    "\"},\"wrap_info\":null,\"warnings\":null,"                                        \
    "\"auth\":null}"
#define RENEWED(id, seconds)                                                           \
    "{\"request_id\":\"q3\",\"lease_id\":\"database/creds/app/" id                     \
    "\",\"renewable\":true,\"lease_duration\":" #seconds ",\"data\":null,"             \
    "\"wrap_info\":null,\"warnings\":null,\"auth\":null}"
#define RENEWED_LOGIN(seconds)                                                         \
    "{\"request_id\":\"q4\",\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":" \
    "0,"                                                                               \
    "\"data\":null,\"auth\":{\"client_token\":\"CANARY-t\",\"accessor\":\"acc\","      \
    "\"policies\":[],"                                                                 \
    "\"lease_duration\":" #seconds ",\"renewable\":true,\"token_type\":\"service\","   \
    "\"mfa_requirement\":null}}"
#define ERRORS(text) "{\"errors\":[\"" text "\"]}"

#endif
