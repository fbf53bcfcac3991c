/* Environment variables: the deprecated tier. env://NAME is one field "value";
 * env://?username=DB_USER&password=DB_PASSWORD names the fields. */
#include "base/status.h"
#include "engine/provider.h"
#include <string.h>

/* The nth variable and its field; 0 past the last. */
static int env_nth(const struct srt_ref *ref, size_t n, const char **field,
                   const char **variable)
{
    *field = "value";
    *variable = ref->path;
    if (ref->path[0] != '\0')
        return n == 0;
    for (size_t i = 0; i < ref->options; i++) {
        *field = ref->option[i].name;
        *variable = ref->option[i].value;
        if ((*field)[0] != '_' && n-- == 0)
            return 1;
    }
    return 0;
}

static int env_is_name(const char *text)
{
    return text[0] != '\0' && text[strcspn(text, "=/ ")] == '\0';
}

static int env_bad(struct secretrt_error *err, const char *text, const char *why)
{
    char clean[SRT_FOREIGN_MAX];

    srt_text_clean(clean, sizeof(clean), text, strlen(text));
    return srt_fail(err, SECRETRT_ERR_INVALID, "env: \"%s\" %s", clean, why);
}

static int env_plan(struct srt_plan *out, const struct srt_ref *ref,
                    const struct srt_store_config *store, struct secretrt_error *err)
{
    const char *field = NULL;
    const char *variable = NULL;
    size_t n = 0;

    (void)store;
    for (size_t i = 0; i < ref->options; i++) {
        const char *name = ref->option[i].name;

        if (name[0] != '_' && ref->path[0] != '\0')
            return env_bad(err, name,
                           "follows a variable: give either the name of one, "
                           "or fields (env://?username=DB_USER)");
        if (name[0] == '_' && strcmp(name, "_overlap") != 0 &&
            strcmp(name, "_unique") != 0)
            return env_bad(err, name, "is no option here (known: _overlap, _unique)");
    }
    for (; env_nth(ref, n, &field, &variable); n++)
        if (!env_is_name(variable))
            return env_bad(err, variable, "is no name of a variable");
    if (n == 0 || n > SRT_BUNDLE_FIELDS_MAX)
        return env_bad(err, ref->text,
                       n == 0 ? "names no variable: env://NAME or env://?field=NAME"
                              : "names too many variables");
    out->tier = 4;
    return 0;
}

static enum srt_step env_nomem(struct srt_exchange *x)
{
    return srt_step_fail(x, SRT_CLASS_NOMEM, "env: out of memory");
}

static enum srt_step env_ask(struct srt_exchange *x, const char *variable)
{
    srt_request_wipe(&x->request);
    x->request.kind = SRT_REQUEST_ENVIRONMENT;
    srt_buf_text_add(&x->request.target, variable);
    return x->request.target.status != 0 ? env_nomem(x) : SRT_SEND;
}

/* Scratch: each value's length, then its bytes, in the order of the fields. */
static enum srt_step env_keep(struct srt_exchange *x, const char *variable)
{
    const struct srt_reply *reply = x->reply;
    size_t len = reply->body.len;
    char clean[SRT_FOREIGN_MAX];

    srt_text_clean(clean, sizeof(clean), variable, strlen(variable));
    if (reply->outcome == SRT_OUTCOME_ABSENT)
        return srt_step_fail(x, SRT_CLASS_ABSENT, "env: %s is not set", clean);
    if (reply->outcome != SRT_OUTCOME_ANSWERED)
        return srt_step_unanswered(x, clean);
    if (len == 0)
        return srt_step_fail(x, SRT_CLASS_ABSENT, "env: %s is empty", clean);
    srt_secbuf_add(&x->scratch, &len, sizeof(len));
    srt_secbuf_add(&x->scratch, reply->body.data, len);
    if (x->scratch.status == 0)
        return SRT_DONE;
    return x->scratch.status == SECRETRT_ERR_NOMEM
               ? env_nomem(x)
               : srt_step_fail(x, SRT_CLASS_PROTOCOL, "env: the values are too large");
}

static enum srt_step env_grant(struct srt_exchange *x)
{
    struct srt_bundle *bundle = NULL;
    const char *field = NULL;
    const char *variable = NULL;
    size_t at = 0;
    size_t len = 0;
    int status = srt_bundle_new(&bundle);

    for (size_t n = 0; status == 0 && env_nth(x->ref, n, &field, &variable); n++) {
        memcpy(&len, x->scratch.data + at, sizeof(len));
        at += sizeof(len);
        status =
            srt_bundle_add(bundle, field, strlen(field), x->scratch.data + at, len);
        at += len;
    }
    if (status == 0)
        status = srt_bundle_seal(bundle);
    if (status != 0) {
        srt_bundle_unref(bundle);
        return status == SECRETRT_ERR_NOMEM
                   ? env_nomem(x)
                   : srt_step_fail(x, SRT_CLASS_PROTOCOL,
                                   "env: the values are too large");
    }
    x->grant.bundle = bundle;
    x->grant.ttl_ms = -1;
    x->grant.tier = 4;
    return SRT_DONE;
}

static enum srt_step env_fetch(struct srt_exchange *x)
{
    const char *field = NULL;
    const char *variable = NULL;
    enum srt_step step;

    if (x->step > 0) {
        if (!env_nth(x->ref, (size_t)x->step - 1, &field, &variable))
            return srt_step_fail(x, SRT_CLASS_PROTOCOL, "env: one reply too many");
        step = env_keep(x, variable);
        if (step != SRT_DONE)
            return step;
    }
    return env_nth(x->ref, (size_t)x->step, &field, &variable) ? env_ask(x, variable)
                                                               : env_grant(x);
}

const struct srt_provider srt_provider_env = {
    .scheme = "env",
    .plan = env_plan,
    .fetch = env_fetch,
};
