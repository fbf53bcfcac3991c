/* secretrt-psql: psql under a credential that is kept current. */
#include "session.h"

#include <secretrt/secretrt.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* session_give_back has waited already. */
#define MAIN_CLOSE_MS 100

/* The library's log, for --verbose. Never a secret byte. */
static void main_log(int level, const char *message, void *data)
{
    (void)data;
    if (level <= 6)
        fprintf(stderr, "secretrt: %s\n", message);
}

/* No core dump, no debugger, no /proc/PID/mem of the same user. */
static void main_harden(void)
{
    const struct rlimit none = {0, 0};

    if (secretrt_harden(NULL) == 0)
        return;
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int main_open(struct session *session)
{
    struct secretrt_options options = SECRETRT_OPTIONS_INIT;
    struct secretrt_secret_options secret = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_error e;

    options.flags = SECRETRT_OPEN_NOWAIT; /* Ctrl-C works while we wait */
    options.config_file = session->options->config_file;
    options.service = "secretrt-psql";
    options.close_timeout_ms = MAIN_CLOSE_MS;
    if (session->options->verbose)
        options.log = main_log;
    secret.fields = "username password";
    secret.overlap_ms = session->options->overlap_ms;
    if (session->options->print_refs)
        secret.flags = SECRETRT_SECRET_LAZY;
    if (secretrt_open(&session->client, &options, &e) == 0 &&
        secretrt_secret_open_with(&session->secret, session->client,
                                  session->options->secret, &secret, &e) == 0)
        return 0;
    options_complain("%s", e.message);
    return -1;
}

/* The sources of a name, out of the report of the configuration. */
static void main_print_sources(const char *config, const char *name)
{
    const char *at = strstr(config, "\"secrets\":{");
    char key[128];
    int n = snprintf(key, sizeof(key), "\"%s\":{\"sources\":[", name);

    at = at != NULL && n > 0 && (size_t)n < sizeof(key) ? strstr(at, key) : NULL;
    if (at == NULL)
        return;
    at += n;
    while (*at == '"') {
        size_t len = strcspn(at + 1, "\"");

        printf("source   %.*s\n", (int)len, at + 1);
        at += len + 1;
        at += strspn(at, "\",");
        if (*at == ']')
            break;
        at--;
    }
}

static int main_print_refs(struct session *session, const struct target *target)
{
    const char *name = session->options->secret;
    struct secretrt_error e;
    char *config = NULL;

    if (secretrt_report(&config, session->client, SECRETRT_REPORT_CONFIG_JSON, &e) !=
        0) {
        options_complain("%s", e.message);
        return WRAP_EXIT_FAILED;
    }
    printf("secret   %s\n", name);
    if (strstr(name, "://") != NULL)
        printf("source   %s\n", name);
    else
        main_print_sources(config, name);
    printf("program  %s\n", session->program.path);
    for (const char *at = target->service; *at != '\0';) {
        size_t len = strcspn(at, "\n");

        printf("service  %.*s\n", (int)len, at);
        at += len + (at[len] == '\n');
    }
    for (size_t i = 0; i < target->places; i++)
        printf("passfile %s(username):(password)\n", target->place[i]);
    if (session->options->verbose)
        printf("config   %s\n", config);
    secretrt_text_free(config);
    return 0;
}

/* Everything up to the running program: 0, or the exit code after one line. */
static int main_start(struct session *session, const struct target *target)
{
    struct secretrt_error e;

    if (session_acquire(session) != 0)
        return WRAP_EXIT_FAILED;
    if (handover_open(&session->handover, target) != 0)
        return WRAP_EXIT_FAILED;
    if (handover_publish(&session->handover, session->value, &e) != 0) {
        options_complain("%s", e.message);
        return WRAP_EXIT_FAILED;
    }
    if (session->options->verbose)
        session_say(session, "%s from %s",
                    secretrt_value_field(session->value, "username", NULL),
                    secretrt_value_info(session->value)->source);
    return program_start(&session->program, session->options, &session->handover,
                         session->value, &session->old_mask);
}

int main(int argc, char **argv)
{
    struct wrap_options options;
    struct target target;
    struct session session;
    int code = WRAP_EXIT_FAILED, ran = 0;

    if (options_read(&options, &code, argc, argv) != 0)
        return code;
    memset(&session, 0, sizeof(session));
    session.options = &options;
    session.handover.password_fd = session.handover.service_fd = -1;
    session.handover.password_ro = session.handover.service_ro = -1;
    if (target_read(&target, &options) != 0)
        return WRAP_EXIT_FAILED;
    code = program_find(&session.program, options.program);
    if (code != 0)
        return code;
    main_harden();
    code = WRAP_EXIT_FAILED;
    if (session_signals(&session) == 0 && main_open(&session) == 0) {
        if (options.print_refs) {
            code = main_print_refs(&session, &target);
        } else {
            code = main_start(&session, &target);
            ran = code == 0;
        }
    }
    if (ran)
        session_run(&session);
    handover_close(&session.handover);
    session_give_back(&session);
    if (session.ended_by != 0)
        program_end_by(session.ended_by);
    if (ran)
        program_end_alike(session.program.status, options.keep_lease);
    return code;
}
