/* The workload's identity as a file: a projected service account token, a JWT-SVID, a
 * CI job's token. Its end is read from the token, which is not verified: the one it is
 * shown to does that. Source: RFC 7519. */
#include "base/status.h"
#include "codec/json.h"
#include "codec/text.h"
#include "engine/provider.h"
#include <string.h>
#include <sys/stat.h>

#define IDENTITY_PATH_LEN 129
#define IDENTITY_MAX_LEN (64U * 1024)
#define IDENTITY_REFRESH_MS (60LL * 1000) /* who projects it does so before its end */
#define IDENTITY_EXP_MAX_S 253402300799LL /* the year 9999 */

static int identity_bad(struct secretrt_error *err, const char *text, const char *why)
{
    char clean[SRT_FOREIGN_MAX];

    srt_text_clean(clean, sizeof(clean), text, strlen(text));
    return srt_fail(err, SECRETRT_ERR_INVALID, "identity: \"%s\" %s", clean, why);
}

static int identity_plan(struct srt_plan *out, const struct srt_ref *ref,
                         const struct srt_store_config *store,
                         struct secretrt_error *err)
{
    (void)store;
    if (ref->path[0] != '/' || ref->path[strlen(ref->path) - 1] == '/')
        return identity_bad(err, ref->path,
                            "is no absolute path of a file: identity:///path/to/token");
    out->refresh_ms = IDENTITY_REFRESH_MS;
    out->tier = 1;
    for (size_t i = 0; i < ref->options; i++) {
        const struct srt_option *option = &ref->option[i];

        if (strcmp(option->name, "_overlap") == 0 ||
            strcmp(option->name, "_unique") == 0)
            continue;
        if (strcmp(option->name, "_refresh") != 0)
            return identity_bad(
                err, option->name,
                "is no option here (known: _refresh, _overlap, _unique)");
        if (srt_duration_parse(&out->refresh_ms, option->value) != 0 ||
            out->refresh_ms <= 0)
            return identity_bad(err, option->value,
                                "is no duration, such as 30s or 5m, for _refresh");
    }
    return 0;
}

/* The failure of what is in the file, by its path. */
static enum srt_step identity_refuse(struct srt_exchange *x, enum srt_class why,
                                     const char *text)
{
    char path[IDENTITY_PATH_LEN];

    srt_text_clean(path, sizeof(path), x->ref->path, strlen(x->ref->path));
    return srt_step_fail(x, why, "identity: the token in %s %s", path, text);
}

static enum srt_step identity_unanswered(struct srt_exchange *x)
{
    char what[IDENTITY_PATH_LEN] = "identity: ";
    size_t n = strlen(what);

    srt_text_clean(what + n, sizeof(what) - n, x->ref->path, strlen(x->ref->path));
    return srt_step_unanswered(x, what);
}

static enum srt_step identity_not_jwt(struct srt_exchange *x)
{
    return identity_refuse(
        x, SRT_CLASS_CONFIG,
        "is not a JWT (three base64url parts between dots): is it the "
        "right file?");
}

/* The payload's bounds when there are three parts and nothing else. */
static const char *identity_payload(const char *text, size_t len, size_t *payload_len)
{
    const char *first = memchr(text, '.', len);
    const char *end = text + len;
    const char *second =
        first != NULL ? memchr(first + 1, '.', (size_t)(end - first) - 1) : NULL;

    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= '0' && text[i] <= '9') ||
              (text[i] >= 'A' && text[i] <= 'Z') ||
              (text[i] >= 'a' && text[i] <= 'z') || text[i] == '-' || text[i] == '_' ||
              text[i] == '.'))
            return NULL;
    if (second == NULL || memchr(second + 1, '.', (size_t)(end - second) - 1) != NULL ||
        first == text || second == first + 1 || second + 1 == end)
        return NULL;
    *payload_len = (size_t)(second - first) - 1;
    return first + 1;
}

/* A NumericDate as ms: 0 and 0 where it is absent; ERR_PROTOCOL. It may have a
 * fraction, which is dropped: the token ends a little earlier for us. */
static int identity_exp(int64_t *out_ms, const struct srt_json *claims)
{
    srt_json_ref exp = srt_json_get(claims, SRT_JSON_ROOT, "exp");
    const char *text = NULL;
    const char *point;
    int64_t seconds = 0;
    size_t len = 0;

    *out_ms = 0;
    if (exp == 0)
        return 0;
    if (srt_json_type(claims, exp) == SRT_JSON_NUMBER)
        text = srt_json_text(claims, exp, &len);
    if (text == NULL)
        return SECRETRT_ERR_PROTOCOL;
    point = memchr(text, '.', len);
    if (point != NULL && strspn(point + 1, "0123456789") + 1 == strlen(point))
        len = (size_t)(point - text);
    if (srt_decimal_parse(&seconds, text, len, 1, IDENTITY_EXP_MAX_S) != 0)
        return SECRETRT_ERR_PROTOCOL;
    *out_ms = seconds * 1000;
    return 0;
}

static enum srt_step identity_claims(struct srt_exchange *x,
                                     const struct srt_json *claims)
{
    srt_json_ref sub = srt_json_get(claims, SRT_JSON_ROOT, "sub");
    struct srt_grant *grant = &x->grant;
    char path[IDENTITY_PATH_LEN];
    char when[32];
    const char *text;
    size_t len = 0;

    if (srt_json_type(claims, SRT_JSON_ROOT) != SRT_JSON_OBJECT)
        return identity_not_jwt(x);
    if (identity_exp(&grant->not_after_wall_ms, claims) != 0)
        return identity_refuse(x, SRT_CLASS_CONFIG, "has an \"exp\" that is no time");
    if (grant->not_after_wall_ms != 0 && grant->not_after_wall_ms <= x->wall_ms) {
        srt_text_clean(path, sizeof(path), x->ref->path, strlen(x->ref->path));
        return srt_step_fail(
            x, SRT_CLASS_LOGIN,
            "identity: the token in %s expired at %s: is it projected anew?", path,
            srt_rfc3339_format(when, sizeof(when), grant->not_after_wall_ms));
    }
    if (srt_json_type(claims, sub) == SRT_JSON_STRING) {
        text = srt_json_text(claims, sub, &len);
        srt_text_clean(grant->principal, sizeof(grant->principal), text, len);
    }
    return SRT_DONE;
}

static enum srt_step identity_keep(struct srt_exchange *x, const char *text, size_t len)
{
    struct srt_bundle *bundle = NULL;
    int status = srt_bundle_new(&bundle);

    if (status == 0)
        status = srt_bundle_add(bundle, "token", strlen("token"), text, len);
    if (status == 0)
        status = srt_bundle_seal(bundle);
    if (status != 0) {
        srt_bundle_unref(bundle);
        return srt_step_fail(x, SRT_CLASS_NOMEM, "identity: out of memory");
    }
    x->grant.bundle = bundle;
    x->grant.ttl_ms = -1;
    x->grant.tier = 1;
    return SRT_DONE;
}

static enum srt_step identity_grant(struct srt_exchange *x, const char *text,
                                    size_t len)
{
    struct srt_json *claims = NULL;
    struct srt_secbuf payload;
    enum srt_step step;
    size_t n = 0;
    const char *encoded = identity_payload(text, len, &n);
    int status = SECRETRT_ERR_PROTOCOL;

    srt_secbuf_init(&payload, IDENTITY_MAX_LEN);
    if (encoded != NULL)
        status = srt_base64_decode(&payload, encoded, n);
    if (payload.status == SECRETRT_ERR_NOMEM)
        status = payload.status;
    if (status == 0)
        status =
            srt_json_parse(&claims, srt_secbuf_text(&payload), payload.len, 0, NULL);
    srt_secbuf_wipe(&payload);
    if (status == SECRETRT_ERR_NOMEM)
        step = srt_step_fail(x, SRT_CLASS_NOMEM, "identity: out of memory");
    else
        step = status != 0 ? identity_not_jwt(x) : identity_claims(x, claims);
    srt_json_free(claims);
    return step == SRT_DONE ? identity_keep(x, text, len) : step;
}

static enum srt_step identity_read(struct srt_exchange *x)
{
    const struct srt_reply *reply = x->reply;
    const char *text = srt_secbuf_text(&reply->body);
    size_t len = reply->body.len;

    if (reply->outcome == SRT_OUTCOME_ABSENT)
        return identity_refuse(x, SRT_CLASS_ABSENT,
                               "is not there: is it projected into this workload?");
    if (reply->outcome != SRT_OUTCOME_ANSWERED)
        return identity_unanswered(x);
    if ((reply->file_mode & S_IWOTH) != 0)
        return identity_refuse(x, SRT_CLASS_CONFIG,
                               "is refused: everybody may write the file (chmod o-w)");
    len -= len > 0 && text[len - 1] == '\n';
    len -= len > 0 && text[len - 1] == '\r';
    if (len == 0)
        return identity_refuse(x, SRT_CLASS_CONFIG, "is empty: is it written yet?");
    for (size_t i = 0; i < len; i++)
        if (text[i] == ' ' || (text[i] >= '\t' && text[i] <= '\r'))
            return identity_refuse(x, SRT_CLASS_CONFIG, "holds white space");
    return identity_grant(x, text, len);
}

static enum srt_step identity_fetch(struct srt_exchange *x)
{
    if (x->step > 0)
        return identity_read(x);
    x->request.kind = SRT_REQUEST_FILE;
    x->request.max_len = IDENTITY_MAX_LEN;
    srt_buf_text_add(&x->request.target, x->ref->path);
    return x->request.target.status != 0
               ? srt_step_fail(x, SRT_CLASS_NOMEM, "identity: out of memory")
               : SRT_SEND;
}

const struct srt_provider srt_provider_identity = {
    .scheme = "identity",
    .plan = identity_plan,
    .fetch = identity_fetch,
};
