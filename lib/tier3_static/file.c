/* A secret in one regular file: one field, named as the file. The kind of mounted
 * secret that Docker, Kubernetes and systemd offer. */
#include "base/status.h"
#include "codec/text.h"
#include "engine/provider.h"
#include <string.h>

#define FILE_REFRESH_MS (5LL * 60 * 1000)
#define FILE_PATH_LEN 129

static int file_bad(struct secretrt_error *err, int status, const char *text,
                    const char *why)
{
    char clean[SRT_FOREIGN_MAX];

    srt_text_clean(clean, sizeof(clean), text, strlen(text));
    return srt_fail(err, status, "file: \"%s\" %s", clean, why);
}

static int file_plan(struct srt_plan *out, const struct srt_ref *ref,
                     const struct srt_store_config *store, struct secretrt_error *err)
{
    (void)store;
    if (ref->path[0] != '/')
        return file_bad(err, SECRETRT_ERR_INVALID, ref->path,
                        "is no absolute path: file:///path/to/secret");
    if (ref->path[strlen(ref->path) - 1] == '/')
        return file_bad(err, SECRETRT_ERR_CONFIG, ref->path,
                        "is a directory, which is not supported yet: name one file");
    out->refresh_ms = FILE_REFRESH_MS;
    out->tier = 3;
    for (size_t i = 0; i < ref->options; i++) {
        const struct srt_option *option = &ref->option[i];

        if (strcmp(option->name, "_overlap") == 0 ||
            strcmp(option->name, "_unique") == 0)
            continue;
        if (strcmp(option->name, "_refresh") != 0)
            return file_bad(err, SECRETRT_ERR_INVALID, option->name,
                            "is no option here (known: _refresh, _overlap, _unique)");
        if (srt_duration_parse(&out->refresh_ms, option->value) != 0 ||
            out->refresh_ms <= 0)
            return file_bad(err, SECRETRT_ERR_INVALID, option->value,
                            "is no duration, such as 30s or 5m, for _refresh");
    }
    return 0;
}

static enum srt_step file_refuse(struct srt_exchange *x, enum srt_class why,
                                 const char *text)
{
    char path[FILE_PATH_LEN];

    srt_text_clean(path, sizeof(path), x->ref->path, strlen(x->ref->path));
    return srt_step_fail(x, why, "file: %s %s", path, text);
}

static enum srt_step file_unanswered(struct srt_exchange *x)
{
    char what[FILE_PATH_LEN] = "file: ";
    size_t n = strlen(what);

    srt_text_clean(what + n, sizeof(what) - n, x->ref->path, strlen(x->ref->path));
    return srt_step_unanswered(x, what);
}

static enum srt_step file_grant(struct srt_exchange *x)
{
    const struct srt_reply *reply = x->reply;
    const char *slash = strrchr(x->ref->path, '/');
    const char *name = slash != NULL ? slash + 1 : x->ref->path;
    const char *text = srt_secbuf_text(&reply->body);
    size_t len = reply->body.len;
    struct srt_bundle *bundle = NULL;
    int status;

    len -= len > 0 && text[len - 1] == '\n';
    if (len == 0)
        return file_refuse(x, SRT_CLASS_CONFIG, "is empty: is it written yet?");
    status = srt_bundle_new(&bundle);
    if (status == 0)
        status = srt_bundle_add(bundle, name, strlen(name), text, len);
    if (status == 0)
        status = srt_bundle_seal(bundle);
    if (status != 0) {
        srt_bundle_unref(bundle);
        return status == SECRETRT_ERR_NOMEM
                   ? srt_step_fail(x, SRT_CLASS_NOMEM, "file: out of memory")
                   : file_refuse(x, SRT_CLASS_PROTOCOL, "is too large");
    }
    x->grant.bundle = bundle;
    x->grant.ttl_ms = -1;
    x->grant.tier = 3;
    return SRT_DONE;
}

static enum srt_step file_fetch(struct srt_exchange *x)
{
    if (x->step == 0) {
        x->request.kind = SRT_REQUEST_FILE;
        srt_buf_text_add(&x->request.target, x->ref->path);
        return x->request.target.status != 0
                   ? srt_step_fail(x, SRT_CLASS_NOMEM, "file: out of memory")
                   : SRT_SEND;
    }
    if (x->reply->outcome == SRT_OUTCOME_ABSENT)
        return file_refuse(x, SRT_CLASS_NOT_FOUND, "is not there");
    if (x->reply->outcome != SRT_OUTCOME_ANSWERED)
        return file_unanswered(x);
    return file_grant(x);
}

const struct srt_provider srt_provider_file = {
    .scheme = "file",
    .plan = file_plan,
    .fetch = file_fetch,
};
