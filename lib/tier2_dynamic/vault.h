/* What the Vault and OpenBao files share: a request, the envelope of an answer, the
 * meaning of a failure, and the life of a token. Source: the HTTP API pages of both. */
#ifndef SRT_TIER2_VAULT_H
#define SRT_TIER2_VAULT_H

#include "codec/json.h"
#include "engine/provider.h"

/* What an exchange does, as a mask: the rows of the table of failures name several. */
enum srt_vault_op {
    SRT_VAULT_READ = 1,
    SRT_VAULT_RENEW = 2,
    SRT_VAULT_LOOKUP = 4,
    SRT_VAULT_REVOKE = 8,
    SRT_VAULT_LOGIN = 16,
    SRT_VAULT_GIVEN = 32, /* look-up of a token that we were given: it is our login */
    SRT_VAULT_TOKEN_RENEW = 64,
    SRT_VAULT_TOKEN_LOOKUP = 128,
    SRT_VAULT_TOKEN_REVOKE = 256,
    SRT_VAULT_UNWRAP = 512
};

/* A request is begun, completed (body, token, idempotent) and sent:
 * begin: SRT_SEND, or SRT_FAIL (ABSENT) when the store has no address. The path is
 * plain; each of its segments is percent-encoded. */
enum srt_step srt_vault_begin(struct srt_exchange *x, const char *method,
                              const char *path);
/* The token header: SRT_SEND, or SRT_FAIL when it can't be in a header. */
enum srt_step srt_vault_auth(struct srt_exchange *x, const char *token, size_t len);
/* The same with field "token" of a login; NULL fails. */
enum srt_step srt_vault_auth_login(struct srt_exchange *x,
                                   const struct srt_bundle *login);
/* Adds "name":"value" (an object's brace or a comma before it) to the body. */
void srt_vault_body_text(struct srt_exchange *x, const char *name, const char *value,
                         size_t len);
/* Adds "increment": x->increment_ms in seconds, rounded up. */
void srt_vault_body_increment(struct srt_exchange *x);
/* Closes the body's object, if there is one: SRT_SEND, or SRT_FAIL (NOMEM). */
enum srt_step srt_vault_send(struct srt_exchange *x);

/* Status 200 and JSON: SRT_DONE and the document (srt_json_free it). Else SRT_FAIL. */
enum srt_step srt_vault_answer(struct srt_json **out, struct srt_exchange *x,
                               enum srt_vault_op op);
/* Status 200 or 204: SRT_DONE. Else SRT_FAIL. */
enum srt_step srt_vault_accepted(struct srt_exchange *x, enum srt_vault_op op);
/* PROTOCOL: an answer that makes no sense; the text is ours. */
enum srt_step srt_vault_senseless(struct srt_exchange *x, enum srt_vault_op op,
                                  const char *text);
enum srt_step srt_vault_nomem(struct srt_exchange *x);
/* Names the store in a failure that was just made. */
enum srt_step srt_vault_failed(struct srt_exchange *x);
/* A number of seconds as ms: 0, or ERR_PROTOCOL (absent, no integer, negative, beyond
 * 64 bits). Beyond ten years it is ten years. */
int srt_vault_seconds(int64_t *out_ms, const struct srt_json *doc, srt_json_ref node);
/* 0 and the flag (absent: 0), or ERR_PROTOCOL when it is no bool. */
int srt_vault_flag(int32_t *out, const struct srt_json *doc, srt_json_ref node);
/* Cleaned text of a string node, "" for anything else. */
void srt_vault_text(char *out, size_t cap, const struct srt_json *doc,
                    srt_json_ref node);
/* A bundle of one field into the grant: SRT_DONE, or SRT_FAIL (NOMEM). */
enum srt_step srt_vault_field(struct srt_exchange *x, const char *name,
                              const char *value, size_t len);

int srt_vault_posts(const struct srt_ref *ref); /* 1: a read of it is a POST */
/* The envelope of a read as a grant: SRT_DONE or SRT_FAIL. */
enum srt_step srt_vault_grant(struct srt_exchange *x, const struct srt_json *doc);

/* Logins. The mount without slashes around it; at most cap-1 bytes. */
void srt_vault_mount(char *out, size_t cap, const struct srt_store_config *store,
                     const char *method);
/* Need 0 of a plan: scheme "://" and the absolute path of a file. */
int srt_vault_need_file(struct srt_plan *out, const char *scheme, const char *path,
                        struct secretrt_error *err);
/* Need 0 of a plan: scheme "://" and the store's name. */
int srt_vault_need_store(struct srt_plan *out, const char *scheme, const char *name,
                         struct secretrt_error *err);
/* POST auth/<mount>/login with the body {role?, jwt}; then the grant. */
enum srt_step srt_vault_login_jwt(struct srt_exchange *x, const char *method);
int srt_vault_plan_jwt(struct srt_plan *out, const struct srt_store_config *store,
                       const char *fallback_file, struct secretrt_error *err);
/* The answer of a login: "auth" as a grant. */
enum srt_step srt_vault_login_grant(struct srt_exchange *x, int32_t tier);
/* The answer of lookup-self: ttl and renewable. SRT_DONE or SRT_FAIL. */
enum srt_step srt_vault_token_life(struct srt_exchange *x, enum srt_vault_op op,
                                   const struct srt_json *doc);
/* auth/token/{renew-self,lookup-self,revoke-self} with the current token. */
enum srt_step srt_vault_token_renew(struct srt_exchange *x);
enum srt_step srt_vault_token_check(struct srt_exchange *x);
enum srt_step srt_vault_token_revoke(struct srt_exchange *x);

extern const struct srt_provider srt_provider_vault;
extern const struct srt_provider srt_provider_vault_login_token;
extern const struct srt_provider srt_provider_vault_login_kubernetes;
extern const struct srt_provider srt_provider_vault_login_jwt;
extern const struct srt_provider srt_provider_vault_login_approle;
extern const struct srt_provider srt_provider_vault_unwrap;

#endif
