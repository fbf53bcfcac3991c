/* What happens to the credential while the program runs. */
#include "session.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WATCH_RENEWED_SLACK_MS 1500

static const int watch_thresholds[] = {50, 20,
                                       5}; /* percent of the credential's life */

static const char *watch_user(const struct secretrt_value *value)
{
    const char *user =
        value != NULL ? secretrt_value_field(value, "username", NULL) : NULL;

    return user != NULL ? user : "?";
}

static int watch_may_warn(const struct session *session)
{
    return session->options->verbose || isatty(STDERR_FILENO);
}

static void watch_recovered(struct session *session)
{
    if (session->warned_percent != 0 && watch_may_warn(session))
        session_say(session, "%s is renewed again", session->options->secret);
    session->failing = 0;
    session->warned_percent = 0;
    session->expired = 0;
}

/* A new credential is published: into the memory files with it. */
static void watch_rotated(struct session *session)
{
    struct secretrt_value *fresh = NULL;
    struct secretrt_error e;
    int rc = secretrt_secret_read(&fresh, session->secret, &e);

    if (rc == 0 && secretrt_value_info(fresh)->generation ==
                       secretrt_value_info(session->value)->generation) {
        secretrt_value_unref(fresh);
        return;
    }
    if (rc == 0)
        rc = handover_publish(&session->handover, fresh, &e);
    if (rc != 0) {
        if (rc != SECRETRT_ERR_PENDING)
            session_say(session, "warning: the new credential is not in use: %s",
                        e.message);
        secretrt_value_unref(fresh);
        return;
    }
    session_say(session, "credentials rotated (%s → %s); %s",
                watch_user(session->value), watch_user(fresh),
                session->program.is_psql ? "type :reconnect"
                                         : "new connections have the new ones");
    secretrt_value_unref(session->value);
    session->value = fresh;
    session->failing = 0;
    session->warned_percent = 0;
    session->expired = 0;
}

static void watch_expired(struct session *session)
{
    if (session->expired)
        return;
    session->expired = 1;
    session_say(session, "warning: %s has ended and no other could be had%s%s",
                watch_user(session->value), session->reason[0] != '\0' ? ": " : "",
                session->reason);
    if (session->options->on_expiry == WRAP_EXPIRY_TERM)
        session_end_program(session);
    else if (session->options->on_expiry == WRAP_EXPIRY_EXEC)
        session_run_command(session, session->options->expiry_command);
}

/* More is left than could be if nothing had been renewed since the failure. */
static int watch_is_renewed(const struct session *session, int64_t left_ms)
{
    int64_t since_ms = session_now_ms() - session->failing_at_ms;

    return left_ms > session->failing_left_ms - since_ms + WATCH_RENEWED_SLACK_MS;
}

static void watch_failed(struct session *session, const struct secretrt_event *event)
{
    int64_t left_ms = secretrt_value_left_ms(session->value);

    if (event->kind == SECRETRT_EVENT_FAILED)
        snprintf(session->reason, sizeof(session->reason), "%s", event->message);
    if (!session->failing || watch_is_renewed(session, left_ms))
        session->warned_percent = 0;
    session->failing = 1;
    session->failing_left_ms = left_ms;
    session->failing_at_ms = session_now_ms();
    if (session->options->verbose)
        session_say(session, "%s", event->message);
}

void watch_events(struct session *session)
{
    struct secretrt_event event = SECRETRT_EVENT_INIT;

    while (secretrt_event_next(&event, session->client, 0) == 0) {
        if (event.kind == SECRETRT_EVENT_RELOAD || event.kind == SECRETRT_EVENT_READY)
            watch_rotated(session);
        else if (event.kind == SECRETRT_EVENT_DRAINED)
            handover_retire(&session->handover, event.old_generation);
        else if (event.kind == SECRETRT_EVENT_FAILED ||
                 event.kind == SECRETRT_EVENT_EXPIRING)
            watch_failed(session, &event);
        else if (event.kind == SECRETRT_EVENT_EXPIRED)
            watch_expired(session);
        else if (event.kind == SECRETRT_EVENT_TIER ||
                 event.kind == SECRETRT_EVENT_WARNING)
            session_say(session, "%s", event.message);
    }
}

/* The credential's life in ms, as it was granted. */
static int64_t watch_life_ms(const struct session *session)
{
    const struct secretrt_info *info = secretrt_value_info(session->value);
    int64_t life_ms = info->expires_at_ms - info->issued_at_ms;

    return info->expires_at_ms > 0 && life_ms > 0 ? life_ms : 0;
}

static void watch_warn(struct session *session, int64_t left_ms, int64_t life_ms)
{
    session_say(session, "warning: %s can't be renewed, %lld s left (%lld %%)%s%s",
                watch_user(session->value), (long long)((left_ms + 500) / 1000),
                (long long)((left_ms * 100 + life_ms / 2) / life_ms),
                session->reason[0] != '\0' ? ": " : "", session->reason);
}

int64_t watch_due(struct session *session)
{
    int64_t left_ms, life_ms;

    if (!session->failing)
        return -1;
    left_ms = secretrt_value_left_ms(session->value);
    life_ms = watch_life_ms(session);
    if (watch_is_renewed(session, left_ms)) {
        watch_recovered(session);
        return -1;
    }
    if (life_ms == 0 || left_ms <= 0 || !watch_may_warn(session))
        return -1;
    for (size_t i = sizeof(watch_thresholds) / sizeof(watch_thresholds[0]); i-- > 0;) {
        int percent = watch_thresholds[i];

        if (left_ms > life_ms * percent / 100)
            continue;
        if (session->warned_percent == 0 || percent < session->warned_percent) {
            watch_warn(session, left_ms, life_ms);
            session->warned_percent = percent;
        }
        break;
    }
    for (size_t i = 0; i < sizeof(watch_thresholds) / sizeof(watch_thresholds[0]);
         i++) {
        int64_t at_ms = life_ms * watch_thresholds[i] / 100;

        if (left_ms > at_ms)
            return left_ms - at_ms + 1;
    }
    return -1;
}
