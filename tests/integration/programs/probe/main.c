/* Commands, one a line:
 *
 *   db HOST PORT DATABASE          where logins go
 *   option NAME VALUE              before open: weakest_tier fetch_timeout_ms
 *                                  close_timeout_ms nowait service audit_hook
 *                                  audit_sleep_ms audit_fails audit_fd;
 *                                  any time: loop_pause_ms event_sleep_ms
 *   open CONFIG-JSON | open        | open-file PATH
 *   secret NAME [lazy] [callback] [verify] [overlap MS] [refresh MS]
 *   close-secret | shutdown MS | close | exit | quit
 *   read [nowait] [fresh] [candidate] [timeout MS] [actor X] [purpose X]
 *   borrow | read-name NAME | reject [401|403] | value
 *   keep SLOT | use SLOT | forget  values put aside, taken up, all dropped
 *   drained GENERATION | verdict GENERATION RESULT | refresh [NAME]
 *   login | connect SLOT | query SLOT SQL | disconnect SLOT
 *   loop SECONDS THREADS [rescue]  | threads N reject|read [STATUS]
 *   fork N [close|exit|drop] [TOGETHER]
 *   events MS | next MS | callbacks | audits | logs | reset
 *   report KIND | diagnose NAME | format TEXT | redact | plant | harden | sleep MS
 *
 * Each answer has "status" (ok, or the name of the library's status, with its message)
 * and "ms". At the end of the input everything is closed. */
#include "probe.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void cmd_db(struct probe *p, char *arguments)
{
    int n = sscanf(arguments, "%255s %255s %255s", p->host, p->port, p->database);

    out_status(n == 3 ? 0 : SECRETRT_ERR_INVALID);
}

static void cmd_option(struct probe *p, char *arguments)
{
    char name[64] = "", value[PROBE_TEXT_MAX] = "";
    int64_t number;
    int status = 0;

    if (sscanf(arguments, "%63s %255s", name, value) != 2)
        status = SECRETRT_ERR_INVALID;
    number = strtoll(value, NULL, 10);
    if (strcmp(name, "weakest_tier") == 0) {
        p->options.weakest_tier = (int32_t)number;
    } else if (strcmp(name, "fetch_timeout_ms") == 0) {
        p->options.fetch_timeout_ms = (uint32_t)number;
    } else if (strcmp(name, "close_timeout_ms") == 0) {
        p->options.close_timeout_ms = (uint32_t)number;
    } else if (strcmp(name, "nowait") == 0) {
        p->options.flags = number ? SECRETRT_OPEN_NOWAIT : 0;
    } else if (strcmp(name, "audit_fd") == 0) {
        p->options.audit_fd = (int32_t)number;
    } else if (strcmp(name, "audit_hook") == 0) {
        p->options.audit = number ? record_audit : NULL;
    } else if (strcmp(name, "audit_sleep_ms") == 0) {
        p->audit_sleep_ms = number;
    } else if (strcmp(name, "audit_fails") == 0) {
        p->audit_fails = (int)number;
    } else if (strcmp(name, "loop_pause_ms") == 0) {
        p->loop_pause_ms = number;
    } else if (strcmp(name, "event_sleep_ms") == 0) {
        p->event_sleep_ms = number;
    } else if (strcmp(name, "service") == 0) {
        snprintf(p->service, sizeof(p->service), "%s", value);
        p->options.service = p->service;
    } else {
        status = SECRETRT_ERR_INVALID;
    }
    out_status(status);
}

static void open_with(struct probe *p, const char *text, const char *file)
{
    struct secretrt_options options = p->options;
    struct secretrt_error err;
    int status;

    options.config = text;
    options.config_file = file;
    options.audit_data = p;
    options.log = record_log;
    status = secretrt_open(&p->client, &options, &err);
    out_error(&err);
    out_flag("agrees", status == err.status && (status == 0) == (p->client != NULL));
}

static void cmd_open(struct probe *p, char *arguments)
{
    open_with(p, *arguments != '\0' ? arguments : NULL, NULL);
}

static void cmd_open_file(struct probe *p, char *arguments)
{
    open_with(p, NULL, arguments);
}

static void cmd_secret(struct probe *p, char *arguments)
{
    struct secretrt_secret_options options = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_secret *secret = NULL;
    struct secretrt_error err;
    char *save = NULL;
    char *name = strtok_r(arguments, " ", &save);

    options.data = p;
    for (char *word; (word = strtok_r(NULL, " ", &save)) != NULL;) {
        if (strcmp(word, "lazy") == 0)
            options.flags |= SECRETRT_SECRET_LAZY;
        else if (strcmp(word, "verify") == 0)
            options.flags |= SECRETRT_SECRET_VERIFY;
        else if (strcmp(word, "callback") == 0)
            options.on_event = record_event;
        else if (strcmp(word, "overlap") == 0 && (word = strtok_r(NULL, " ", &save)))
            options.overlap_ms = (uint32_t)strtoul(word, NULL, 10);
        else if (strcmp(word, "refresh") == 0 && (word = strtok_r(NULL, " ", &save)))
            options.refresh_ms = (uint32_t)strtoul(word, NULL, 10);
    }
    if (secretrt_secret_open_with(&secret, p->client, name, &options, &err) == 0) {
        secretrt_secret_close(p->secret);
        p->secret = secret;
    }
    out_error(&err);
}

static void cmd_close_secret(struct probe *p, char *arguments)
{
    (void)arguments;
    secretrt_secret_close(p->secret);
    p->secret = NULL;
    out_status(0);
}

static void cmd_shutdown(struct probe *p, char *arguments)
{
    struct secretrt_error err;

    memset(&err, 0, sizeof(err));
    err.status =
        secretrt_shutdown(p->client, (uint32_t)strtoul(arguments, NULL, 10), &err);
    out_error(&err);
}

static void cmd_close(struct probe *p, char *arguments)
{
    (void)arguments;
    for (size_t i = 0; i < PROBE_SLOTS; i++) {
        pg_close(p->session[i]);
        p->session[i] = NULL;
    }
    secretrt_secret_close(p->secret);
    secretrt_close(p->client);
    p->secret = NULL;
    p->client = NULL;
    out_status(0);
}

static void cmd_exit(struct probe *p, char *arguments)
{
    (void)p;
    (void)arguments;
    exit(0); /* without closing anything */
}

static void cmd_quit(struct probe *p, char *arguments)
{
    (void)arguments;
    p->done = 1;
    out_status(0);
}

static void cmd_drained(struct probe *p, char *arguments)
{
    out_status(secretrt_secret_drained(p->secret, strtoull(arguments, NULL, 10)));
}

static void cmd_verdict(struct probe *p, char *arguments)
{
    struct secretrt_error err;
    char *rest = arguments;
    uint64_t generation = strtoull(arguments, &rest, 10);

    memset(&err, 0, sizeof(err));
    err.status = secretrt_secret_verdict(p->secret, generation,
                                         (int)strtol(rest, NULL, 10), &err);
    out_error(&err);
}

static void cmd_refresh(struct probe *p, char *arguments)
{
    struct secretrt_error err;

    memset(&err, 0, sizeof(err));
    err.status =
        secretrt_refresh(p->client, *arguments != '\0' ? arguments : NULL, &err);
    out_error(&err);
}

static void cmd_report(struct probe *p, char *arguments)
{
    struct secretrt_error err;
    char *text = NULL;

    memset(&err, 0, sizeof(err));
    err.status = secretrt_report(&text, p->client, atoi(arguments), &err);
    out_error(&err);
    out_text("text", text);
    secretrt_text_free(text);
}

static void cmd_diagnose(struct probe *p, char *arguments)
{
    struct secretrt_error err;
    char *text = NULL;

    memset(&err, 0, sizeof(err));
    err.status = secretrt_diagnose(&text, p->client,
                                   *arguments != '\0' ? arguments : NULL, NULL, &err);
    out_error(&err);
    out_text("text", text);
    secretrt_text_free(text);
}

static void cmd_harden(struct probe *p, char *arguments)
{
    struct secretrt_error err;

    (void)p;
    (void)arguments;
    memset(&err, 0, sizeof(err));
    err.status = secretrt_harden(&err);
    out_error(&err);
}

static void cmd_sleep(struct probe *p, char *arguments)
{
    (void)p;
    sleep_ms(strtoll(arguments, NULL, 10));
    out_status(0);
}

static void cmd_reset(struct probe *p, char *arguments)
{
    (void)p;
    (void)arguments;
    record_reset();
    out_status(0);
}

struct command {
    const char *name;
    void (*run)(struct probe *p, char *arguments);
    int needs; /* 1: a client; 2: a secret; 3: a value too */
};

static const struct command commands[] = {
    {"db", cmd_db, 0},
    {"option", cmd_option, 0},
    {"open", cmd_open, 0},
    {"open-file", cmd_open_file, 0},
    {"secret", cmd_secret, 1},
    {"close-secret", cmd_close_secret, 2},
    {"shutdown", cmd_shutdown, 1},
    {"close", cmd_close, 0},
    {"exit", cmd_exit, 0},
    {"quit", cmd_quit, 0},
    {"read", cmd_read, 2},
    {"read-name", cmd_read_name, 1},
    {"borrow", cmd_borrow, 2},
    {"reject", cmd_reject, 3},
    {"value", cmd_value, 0},
    {"keep", cmd_keep, 0},
    {"use", cmd_use, 0},
    {"forget", cmd_forget, 0},
    {"drained", cmd_drained, 2},
    {"verdict", cmd_verdict, 2},
    {"refresh", cmd_refresh, 1},
    {"login", cmd_login, 3},
    {"connect", cmd_connect, 3},
    {"query", cmd_query, 0},
    {"disconnect", cmd_disconnect, 0},
    {"loop", cmd_loop, 2},
    {"threads", cmd_threads, 2},
    {"fork", cmd_fork, 2},
    {"events", cmd_events, 1},
    {"next", cmd_next, 1},
    {"callbacks", cmd_callbacks, 0},
    {"audits", cmd_audits, 0},
    {"logs", cmd_logs, 0},
    {"reset", cmd_reset, 0},
    {"report", cmd_report, 1},
    {"diagnose", cmd_diagnose, 1},
    {"format", cmd_format, 3},
    {"redact", cmd_redact, 3},
    {"plant", cmd_plant, 3},
    {"harden", cmd_harden, 0},
    {"sleep", cmd_sleep, 0},
};

static int has(const struct probe *p, int needs)
{
    if (needs >= 1 && p->client == NULL)
        return 0;
    if (needs >= 2 && p->secret == NULL)
        return 0;
    return needs < 3 || p->value != NULL;
}

static void run_line(struct probe *p, char *line)
{
    char *arguments = line + strcspn(line, " ");
    const struct command *command = NULL;
    int64_t start = now_ms();

    if (*arguments != '\0')
        *arguments++ = '\0';
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i].name, line) == 0)
            command = &commands[i];
    out_begin();
    out_text("cmd", line);
    if (command == NULL || !has(p, command->needs)) {
        out_text("status", "no_such_command");
        out_text("message",
                 command == NULL ? "unknown" : "open, secret or read comes first");
    } else {
        command->run(p, arguments);
    }
    out_number("ms", now_ms() - start);
    out_end();
}

int main(void)
{
    struct probe probe = {.options = SECRETRT_OPTIONS_INIT, .loop_pause_ms = 20};
    char *line = NULL;
    size_t room = 0;
    ssize_t len;

    while (!probe.done && (len = getline(&line, &room, stdin)) > 0) {
        if (line[len - 1] == '\n')
            line[len - 1] = '\0';
        run_line(&probe, line);
    }
    free(line);
    secretrt_value_unref(probe.value);
    for (size_t i = 0; i < PROBE_SLOTS; i++) {
        secretrt_value_unref(probe.slot[i]);
        pg_close(probe.session[i]);
    }
    secretrt_secret_close(probe.secret);
    secretrt_close(probe.client);
    return 0;
}
