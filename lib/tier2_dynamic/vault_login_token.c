/* A token that we were given: from a file, BAO_TOKEN, VAULT_TOKEN or ~/.vault-token. It
 * is looked up, renewed, and never revoked. Source: /api-docs/auth/token. */
#include "base/status.h"
#include "tier2_dynamic/vault.h"
#include <string.h>
#include <sys/stat.h>

#define VAULT_LOGIN_TOKEN_SOURCES 3

struct vault_login_token_source {
    enum srt_request_kind kind;
    const char *name; /* a variable or a path */
};

/* The places to look at, best first; their number. */
static size_t vault_login_token_sources(
    struct vault_login_token_source out[VAULT_LOGIN_TOKEN_SOURCES],
    const struct srt_store_config *store)
{
    const char *file = srt_store_text(store, "auth.token_file");
    const char *home = srt_store_text(store, "auth.home_token_file");
    size_t n = 0;

    if (file != NULL) {
        out[n++] = (struct vault_login_token_source){SRT_REQUEST_FILE, file};
        return n;
    }
    out[n++] = (struct vault_login_token_source){SRT_REQUEST_ENVIRONMENT, "BAO_TOKEN"};
    out[n++] =
        (struct vault_login_token_source){SRT_REQUEST_ENVIRONMENT, "VAULT_TOKEN"};
    if (home != NULL)
        out[n++] = (struct vault_login_token_source){SRT_REQUEST_FILE, home};
    return n;
}

static int vault_login_token_plan(struct srt_plan *out, const struct srt_ref *ref,
                                  const struct srt_store_config *store,
                                  struct secretrt_error *err)
{
    (void)ref;
    (void)store;
    (void)err;
    out->login = 1;
    out->tier = 4;
    out->keyed_by_store = 1;
    return 0;
}

/* Scratch between the steps: which source is asked, then its token once it is known. */
static size_t vault_login_token_at(const struct srt_exchange *x)
{
    return x->scratch.len > 0 ? (size_t)(unsigned char)x->scratch.data[0] : 0;
}

static enum srt_step vault_login_token_ask(struct srt_exchange *x, size_t at)
{
    struct vault_login_token_source source[VAULT_LOGIN_TOKEN_SOURCES];
    size_t n = vault_login_token_sources(source, x->store);

    if (at >= n) {
        (void)srt_step_fail(x, SRT_CLASS_ABSENT,
                            "vault: no token: set BAO_TOKEN, or configure \"auth\"");
        return srt_vault_failed(x);
    }
    srt_secbuf_wipe(&x->scratch);
    srt_secbuf_char(&x->scratch, (char)at);
    srt_request_wipe(&x->request);
    x->request.kind = source[at].kind;
    srt_buf_text_add(&x->request.target, source[at].name);
    if (x->scratch.status != 0)
        return srt_vault_nomem(x);
    return srt_vault_send(x);
}

static enum srt_step vault_login_token_bad(struct srt_exchange *x, const char *name,
                                           const char *why)
{
    char clean[SRT_FOREIGN_MAX];

    srt_text_clean(clean, sizeof(clean), name, strlen(name));
    (void)srt_step_fail(x, SRT_CLASS_CONFIG, "vault: the token from %s %s", clean, why);
    return srt_vault_failed(x);
}

static enum srt_step vault_login_token_unanswered(struct srt_exchange *x,
                                                  const char *name)
{
    char what[SRT_FOREIGN_MAX + 32] = "vault: the token from ";
    size_t n = strlen(what);

    srt_text_clean(what + n, sizeof(what) - n, name, strlen(name));
    (void)srt_step_unanswered(x, what);
    return srt_vault_failed(x);
}

/* The reply of a source: on to the next, or to the look-up of what it said. */
static enum srt_step vault_login_token_found(struct srt_exchange *x)
{
    struct vault_login_token_source source[VAULT_LOGIN_TOKEN_SOURCES];
    size_t n = vault_login_token_sources(source, x->store);
    size_t at = vault_login_token_at(x);
    const struct srt_reply *reply = x->reply;
    const char *text = srt_secbuf_text(&reply->body);
    size_t len = reply->body.len;
    enum srt_step step;

    if (at >= n)
        return srt_vault_senseless(x, SRT_VAULT_GIVEN, "there is no such source");
    if (reply->outcome == SRT_OUTCOME_ABSENT &&
        srt_store_text(x->store, "auth.token_file") != NULL)
        return vault_login_token_bad(x, source[at].name,
                                     "is not there: is what writes the file running?");
    if (reply->outcome == SRT_OUTCOME_ABSENT ||
        (reply->outcome == SRT_OUTCOME_ANSWERED && len == 0 &&
         source[at].kind == SRT_REQUEST_ENVIRONMENT))
        return vault_login_token_ask(x, at + 1);
    if (reply->outcome != SRT_OUTCOME_ANSWERED)
        return vault_login_token_unanswered(x, source[at].name);
    if (source[at].kind == SRT_REQUEST_FILE && (reply->file_mode & S_IWOTH) != 0)
        return vault_login_token_bad(x, source[at].name,
                                     "is refused: everybody may write the file");
    len -= len > 0 && text[len - 1] == '\n';
    len -= len > 0 && text[len - 1] == '\r';
    for (size_t i = 0; i < len; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7F)
            return vault_login_token_bad(
                x, source[at].name, "holds white space or a byte that no token has");
    if (len == 0)
        return vault_login_token_bad(x, source[at].name, "is empty");
    step = srt_vault_begin(x, "GET", "auth/token/lookup-self");
    x->request.idempotent = 1;
    srt_secbuf_add(&x->scratch, text, len);
    if (x->scratch.status != 0)
        return srt_vault_nomem(x);
    if (step == SRT_SEND)
        step = srt_vault_auth(x, text, len);
    return step == SRT_SEND ? srt_vault_send(x) : step;
}

static enum srt_step vault_login_token_grant(struct srt_exchange *x)
{
    struct vault_login_token_source source[VAULT_LOGIN_TOKEN_SOURCES];
    size_t n = vault_login_token_sources(source, x->store);
    size_t at = vault_login_token_at(x);
    struct srt_json *doc = NULL;
    struct srt_grant *grant = &x->grant;
    char text[SRT_FOREIGN_MAX];
    enum srt_step step;

    if (x->reply->outcome == SRT_OUTCOME_ANSWERED &&
        (x->reply->status == 401 || x->reply->status == 403)) {
        srt_text_clean(text, sizeof(text), at < n ? source[at].name : "",
                       at < n ? strlen(source[at].name) : 0);
        (void)srt_step_fail(
            x, SRT_CLASS_LOGIN,
            "vault %d: the token from %s is not valid (any more): get a "
            "new one",
            x->reply->status, text);
        return srt_vault_failed(x);
    }
    step = srt_vault_answer(&doc, x, SRT_VAULT_GIVEN);
    if (step == SRT_DONE)
        step = srt_vault_token_life(x, SRT_VAULT_GIVEN, doc);
    if (step == SRT_DONE) {
        grant->tier = 4;
        srt_vault_text(text, sizeof(text), doc,
                       srt_json_path(doc, SRT_JSON_ROOT, "data.display_name"));
        srt_text_copy(grant->principal, sizeof(grant->principal), text);
        srt_vault_text(text, sizeof(text), doc,
                       srt_json_path(doc, SRT_JSON_ROOT, "data.accessor"));
        srt_buf_text_add(&grant->lease_id, text);
        step =
            grant->lease_id.status != 0
                ? srt_vault_nomem(x)
                : srt_vault_field(x, "token", x->scratch.data + 1, x->scratch.len - 1);
    }
    srt_json_free(doc);
    return step;
}

static enum srt_step vault_login_token_fetch(struct srt_exchange *x)
{
    enum srt_step step;

    if (x->step == 0) {
        step = srt_vault_begin(x, "GET", ""); /* has the store an address? */
        return step == SRT_SEND ? vault_login_token_ask(x, 0) : step;
    }
    return x->scratch.len > 1 ? vault_login_token_grant(x) : vault_login_token_found(x);
}

const struct srt_provider srt_provider_vault_login_token = {
    .scheme = "vault-login-token",
    .plan = vault_login_token_plan,
    .fetch = vault_login_token_fetch,
    .renew = srt_vault_token_renew,
    .check = srt_vault_token_check,
    .internal = 1,
};
