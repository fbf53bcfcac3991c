#include "engine/provider.h"
#include <stdarg.h>
#include <stdio.h>

static const int16_t provider_status[SRT_CLASS_COUNT] = {
    [SRT_CLASS_NONE] = SECRETRT_OK,
    [SRT_CLASS_GONE] = SECRETRT_ERR_UNAVAILABLE,
    [SRT_CLASS_NOT_RENEWABLE] = SECRETRT_ERR_UNAVAILABLE,
    [SRT_CLASS_BACKEND] = SECRETRT_ERR_UNAVAILABLE,
    [SRT_CLASS_AUTH] = SECRETRT_ERR_DENIED,
    [SRT_CLASS_DENIED] = SECRETRT_ERR_DENIED,
    [SRT_CLASS_LOGIN] = SECRETRT_ERR_LOGIN,
    [SRT_CLASS_NOT_FOUND] = SECRETRT_ERR_NOT_FOUND,
    [SRT_CLASS_THROTTLE] = SECRETRT_ERR_THROTTLED,
    [SRT_CLASS_CONSISTENCY] = SECRETRT_ERR_UNAVAILABLE,
    [SRT_CLASS_UNAVAILABLE] = SECRETRT_ERR_UNAVAILABLE,
    [SRT_CLASS_SERVER] = SECRETRT_ERR_UNAVAILABLE,
    [SRT_CLASS_CONFIG] = SECRETRT_ERR_CONFIG,
    [SRT_CLASS_ABSENT] = SECRETRT_ERR_CONFIG,
    [SRT_CLASS_PROTOCOL] = SECRETRT_ERR_PROTOCOL,
    [SRT_CLASS_INTEGRITY] = SECRETRT_ERR_INTEGRITY,
    [SRT_CLASS_SECURITY] = SECRETRT_ERR_LOGIN,
    [SRT_CLASS_NOMEM] = SECRETRT_ERR_NOMEM,
};

int srt_class_status(enum srt_class failure_class)
{
    if ((unsigned)failure_class >= SRT_CLASS_COUNT)
        return SECRETRT_ERR_PROTOCOL;
    return provider_status[failure_class];
}

/* What the reply adds to the message. */
static void provider_circumstances(struct srt_failure *failure,
                                   const struct srt_exchange *x)
{
    struct secretrt_error *error = &failure->error;

    if (error->provider[0] == '\0' && x->ref != NULL)
        srt_text_copy(error->provider, sizeof(error->provider), x->ref->scheme);
    if (x->reply == NULL)
        return;
    failure->retry_after_ms = x->reply->retry_after_ms;
    error->retry_after_ms = x->reply->retry_after_ms;
    error->http_status = x->reply->status;
    error->os_errno = x->reply->os_errno;
    srt_text_copy(error->request_id, sizeof(error->request_id), x->reply->request_id);
}

enum srt_step srt_step_fail(struct srt_exchange *x, enum srt_class failure_class,
                            const char *format, ...)
{
    struct srt_failure *failure = &x->failure;
    struct secretrt_error *error = &failure->error;
    va_list args;

    failure->failure_class = failure_class;
    failure->retry_after_ms = -1;
    if (error->message[0] == '\0') {
        char message[sizeof(error->message)];
        int n;

        va_start(args, format);
        n = vsnprintf(message, sizeof(message), format, args);
        va_end(args);
        srt_error_clear(error);
        (void)srt_fail(error, srt_class_status(failure_class), "%s",
                       n < 0 ? "" : message);
    }
    /* The class is what the engine acts on: the public status follows it, also where a
     * deeper message stays. */
    error->status = srt_class_status(failure_class);
    error->retryable = srt_status_retryable(error->status);
    error->retry_after_ms = -1;
    provider_circumstances(failure, x);
    return SRT_FAIL;
}

struct provider_outcome {
    enum srt_class failure_class;
    const char *text; /* after the store's name */
};

static const struct provider_outcome provider_outcomes[] = {
    [SRT_OUTCOME_NONE] = {SRT_CLASS_UNAVAILABLE, ": no answer"},
    [SRT_OUTCOME_ANSWERED] = {SRT_CLASS_PROTOCOL, ": unexpected answer"},
    [SRT_OUTCOME_UNREACHABLE] = {SRT_CLASS_UNAVAILABLE, " unreachable"},
    [SRT_OUTCOME_TIMEOUT] = {SRT_CLASS_UNAVAILABLE, " did not answer in time"},
    [SRT_OUTCOME_TLS] = {SRT_CLASS_INTEGRITY, ": the server's certificate could not be "
                                              "verified (check ca_file)"},
    [SRT_OUTCOME_TOO_LARGE] = {SRT_CLASS_PROTOCOL, ": the answer is too large"},
    [SRT_OUTCOME_TRUNCATED] = {SRT_CLASS_UNAVAILABLE, ": the answer was cut short"},
    [SRT_OUTCOME_ABSENT] = {SRT_CLASS_ABSENT, " is not there"},
    [SRT_OUTCOME_REFUSED] = {SRT_CLASS_CONFIG, " refused"},
    [SRT_OUTCOME_NOMEM] = {SRT_CLASS_NOMEM, ": out of memory"},
};

enum srt_step srt_step_unanswered(struct srt_exchange *x, const char *what)
{
    enum srt_outcome outcome = x->reply != NULL ? x->reply->outcome : SRT_OUTCOME_NONE;
    const char *detail = x->reply != NULL ? x->reply->detail : "";
    const char *address = x->address != NULL ? x->address : "";
    struct provider_outcome row = provider_outcomes[SRT_OUTCOME_ANSWERED];

    if ((size_t)outcome < sizeof(provider_outcomes) / sizeof(provider_outcomes[0]))
        row = provider_outcomes[outcome];
    if (outcome == SRT_OUTCOME_ABSENT && x->request.kind == SRT_REQUEST_HTTP)
        row = (struct provider_outcome){SRT_CLASS_NOT_FOUND, ": not found"};
    return srt_step_fail(x, row.failure_class, "%s%s%s%s%s%s", what,
                         address[0] != '\0' ? " at " : "", address, row.text,
                         detail[0] != '\0' ? ": " : "", detail);
}

void srt_grant_wipe(struct srt_grant *grant)
{
    srt_bundle_unref(grant->bundle);
    srt_buf_wipe(&grant->lease_id);
    *grant = (struct srt_grant){.bundle = NULL};
}

void srt_plan_wipe(struct srt_plan *plan)
{
    for (size_t i = 0; i < SRT_NEEDS_MAX; i++)
        srt_buf_wipe(&plan->need[i].ref);
    *plan = (struct srt_plan){.needs = 0};
}

void srt_exchange_wipe(struct srt_exchange *x)
{
    srt_request_wipe(&x->request);
    srt_grant_wipe(&x->grant);
    srt_secbuf_wipe(&x->scratch);
}
