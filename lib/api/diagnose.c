/* Diagnosis: tries each source of a name by itself, says in words what came of it and
 * what to do, and gives back whatever was made for it. */
#include "api/client.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/status.h"
#include <secretrt/report.h>
#include <string.h>

#define DIAGNOSE_TIMEOUT_MS 5000

/* What to do next, by the kind of failure; the failure's own text says what it was. */
static const char *diagnose_advice(int status)
{
    switch (status) {
    case SECRETRT_ERR_UNAVAILABLE:
    case SECRETRT_ERR_TIMEOUT:
        return "check the address, the network and whether the store is unsealed";
    case SECRETRT_ERR_LOGIN:
        return "check the login's role, mount and token file at the store";
    case SECRETRT_ERR_DENIED:
        return "the login works: its policy has to allow this path";
    case SECRETRT_ERR_NOT_FOUND:
        return "check the path: mount, engine and role";
    case SECRETRT_ERR_INTEGRITY:
        return "check \"ca_file\" and the name in the server's certificate";
    case SECRETRT_ERR_THROTTLED:
        return "the store limits requests: ask for less, or wait";
    case SECRETRT_ERR_POLICY:
        return "our own policy refuses it: see \"policy\" in the configuration";
    case SECRETRT_ERR_NO_FIELD:
        return "the secret is there, but not in the shape that \"fields\" asks for";
    case SECRETRT_ERR_CONFIG:
        return "change the configuration as it says";
    default:
        return "see the message";
    }
}

static void diagnose_value(struct srt_buf *out, const struct secretrt_value *value)
{
    const struct secretrt_info *info = secretrt_value_info(value);
    int64_t left = secretrt_value_left_ms(value);

    srt_buf_format(out, "works: tier %d", (int)info->tier);
    if (info->weakest_tier > info->tier)
        srt_buf_format(out, ", by a credential of tier %d", (int)info->weakest_tier);
    if (left != INT64_MAX)
        srt_buf_format(out, ", %lld s left, limited by the %s",
                       (long long)(left / 1000), info->limited_by);
    if (info->flags & SECRETRT_VALUE_DEPRECATED)
        srt_buf_text_add(out, ", deprecated");
    srt_buf_char(out, '\n');
}

static int diagnose_source(struct srt_buf *out, struct secretrt_client *client,
                           const char *source, struct secretrt_call *call)
{
    struct secretrt_secret_options options = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_call own = SECRETRT_CALL_INIT;
    struct secretrt_secret *probe = NULL;
    struct secretrt_value *value = NULL;
    struct secretrt_error error;
    struct srt_buf name;
    int rc;

    own.timeout_ms = DIAGNOSE_TIMEOUT_MS;
    srt_buf_init(&name, 0);
    srt_buf_format(&name, "diagnose:%s", source);
    options.sources = source;
    srt_buf_format(out, "  %s\n    ", source);
    rc = secretrt_secret_open_with(&probe, client, srt_buf_text(&name), &options,
                                   &error);
    if (rc == 0)
        rc = secretrt_secret_read_with(&value, probe, call != NULL ? call : &own,
                                       &error);
    if (rc == 0)
        diagnose_value(out, value);
    else
        srt_buf_format(out, "%s: %s\n    to do: %s\n", secretrt_status_name(rc),
                       error.message, diagnose_advice(rc));
    secretrt_value_unref(value);
    secretrt_secret_close(probe);
    srt_buf_wipe(&name);
    return rc;
}

static int diagnose_name(struct srt_buf *out, struct secretrt_client *client,
                         const char *name, struct secretrt_call *call,
                         struct secretrt_error *err)
{
    struct srt_spec *spec = NULL;
    int rc = srt_spec_new(&spec, client->config, name, NULL, err);
    int works = 0;

    if (rc != 0)
        return rc;
    srt_buf_format(out, "%s\n", name);
    for (size_t i = 0; i < spec->config.sources && out->status == 0; i++)
        works =
            diagnose_source(out, client, spec->config.source[i], call) == 0 || works;
    srt_buf_format(out, "  %s\n",
                   works ? "a read is served by the first source that works"
                         : "no source works: a read fails");
    srt_spec_free(spec);
    return 0;
}

int secretrt_diagnose(char **out, struct secretrt_client *client, const char *name,
                      struct secretrt_call *call, struct secretrt_error *err)
{
    struct srt_buf text;
    int rc;

    srt_error_clear(err);
    if (out == NULL || client == NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "secretrt_diagnose: out or client is NULL");
    *out = NULL;
    rc = srt_call_check(call, err);
    if (rc == 0)
        rc = srt_client_ready(client, err);
    if (rc != 0)
        return rc;
    srt_buf_init(&text, 0);
    if (name != NULL)
        rc = diagnose_name(&text, client, name, call, err);
    for (size_t i = 0; name == NULL && rc == 0 && i < client->config->secrets; i++)
        rc = diagnose_name(&text, client, client->config->secret[i].name, call, err);
    if (rc == 0 && text.len == 0)
        srt_buf_text_add(&text, "no secret is configured\n");
    if (rc == 0) {
        *out = srt_buf_take(&text);
        if (*out == NULL)
            rc = srt_nomem(err);
    }
    srt_buf_wipe(&text);
    return rc;
}
