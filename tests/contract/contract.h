/* The contract that every provider keeps, run over scripted replies: no network, no
 * clock. A test gives a script that ends well; the suite then spoils its last reply in
 * every way and lets memory end at every allocation. */
#ifndef TESTS_CONTRACT_CONTRACT_H
#define TESTS_CONTRACT_CONTRACT_H

#include "engine/config.h"
#include "engine/provider.h"

/* Stands for every secret in the scripts: no part of it may reach a message. */
#define CONTRACT_CANARY "CANARY-q7x"
#define CONTRACT_REPLIES_MAX 8

enum contract_op {
    CONTRACT_FETCH = 0,
    CONTRACT_RENEW,
    CONTRACT_CHECK,
    CONTRACT_REVOKE
};

struct contract_reply {
    int status;               /* HTTP; 0: a file or a variable */
    const char *body;         /* NULL: none */
    size_t len;               /* 0: strlen(body) */
    enum srt_outcome outcome; /* NONE: ANSWERED */
    const char *content_type; /* NULL: application/json */
    int64_t retry_after_ms;   /* 0: none */
    uint32_t file_mode;
};

/* What is asked of a provider, and what it is told. */
struct contract {
    const struct srt_provider *provider;
    const char *ref;
    const char *config;     /* JSON; NULL: none */
    const char *credential; /* of field "token"; NULL: none */
    const char *current;    /* of field "token"; NULL: none */
    enum contract_op op;
    const char *lease_id;
    int64_t increment_ms;
    int64_t wall_ms;
    const char *traceparent; /* NULL: none */
    struct contract_reply reply[CONTRACT_REPLIES_MAX];
    size_t replies;
};

/* How it went. The log holds one line a request: "GET /v1/kv/app", "FILE /run/token",
 * "ENV DB_USER"; headers and the body of the last HTTP request stand beside it. */
struct contract_run {
    enum srt_step step;
    struct srt_exchange x;
    size_t sent;
    char log[1024];
    char headers[512];
    char secret_header[256];
    char body[512];
    int idempotent;
    char ca_file[64];
    /* what the exchange borrows */
    struct srt_ref ref;
    struct srt_config *config;
    struct srt_bundle *credential;
    struct srt_bundle *current;
    struct srt_reply last;
};

/* Runs it and looks after what holds for all: a failure has a class, a status that
 * follows it, one line of text without a byte of the canary. End it. */
void contract_run(struct contract_run *run, const struct contract *c);
void contract_end(struct contract_run *run);

/* plan: its status; needs as "ref reread\n" lines. */
int contract_plan(struct srt_plan *out, const struct srt_provider *provider,
                  const char *ref, const char *config, struct secretrt_error *err);

/* Field of the grant equals; text NULL: it is not there. */
void contract_field(const struct contract_run *run, const char *name, const char *text);

/* The last reply replaced: the class of what follows, SRT_CLASS_NONE for no failure. */
enum srt_class contract_spoiled(const struct contract *c, struct contract_reply reply);
/* The last reply with its body's first `from` replaced by `to`. */
enum srt_class contract_changed(const struct contract *c, const char *from,
                                const char *to);

/* Each of these fails the test where the contract is not kept. */
void contract_http(const struct contract *c); /* statuses and bodies that are wrong */
void contract_outcomes(const struct contract *c);                 /* no answer at all */
void contract_cut(const struct contract *c, int every_cut_fails); /* at every byte */
void contract_memory(const struct contract *c); /* ends at every allocation */

/* CMocka's group setup: the heap that can fail. */
int contract_setup(void **state);

#endif
