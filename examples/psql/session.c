#include "session.h"
#include "environment.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SESSION_FIRST_MS 12000 /* for the first credential */
#define SESSION_GRACE_MS 5000  /* from the second request to end until SIGKILL */
#define SESSION_GIVE_BACK_MS 3000

/* Read from the descriptor. INT and QUIT are the terminal's to the whole group: the
 * program has them already, and we go on. */
static const int session_watched[] = {SIGINT,  SIGQUIT,  SIGTERM, SIGHUP,  SIGUSR1,
                                      SIGUSR2, SIGWINCH, SIGCONT, SIGALRM, SIGCHLD};

int64_t session_now_ms(void)
{
    struct timespec now = {0, 0};

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A note between the lines of an interactive program: begins on a line of its own. */
void session_say(const struct session *session, const char *format, ...)
{
    char line[640];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    fprintf(stderr, "%ssecretrt: %s\n",
            session->program.pid != 0 && isatty(STDERR_FILENO) ? "\n" : "", line);
}

int session_signals(struct session *session)
{
    sigset_t set, blocked;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(session_watched) / sizeof(session_watched[0]); i++)
        sigaddset(&set, session_watched[i]);
    blocked = set;
    sigaddset(&blocked, SIGPIPE); /* a closed stderr is no reason to leave a lease */
    session->signal_fd = -1;
    if (sigprocmask(SIG_BLOCK, &blocked, &session->old_mask) == 0)
        session->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (session->signal_fd < 0)
        options_complain("signalfd: %s", strerror(errno));
    return session->signal_fd < 0 ? -1 : 0;
}

/* Nothing runs yet: a signal that ends programs ends the wait. */
static void session_signals_early(struct session *session)
{
    struct signalfd_siginfo info;

    while (read(session->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        int number = (int)info.ssi_signo;

        if (number != SIGCHLD && number != SIGWINCH && number != SIGCONT)
            session->ended_by = number;
    }
}

/* 0: there; 1: not yet; -1: failed. */
static int session_try(struct session *session)
{
    struct secretrt_error e;
    int rc = secretrt_secret_read(&session->value, session->secret, &e);

    if (rc == 0)
        return 0;
    if (rc == SECRETRT_ERR_PENDING)
        return 1;
    options_complain("%s", e.message);
    return -1;
}

/* The reason of a fetch that failed; there is no second try before the program runs. */
static int session_first_events(struct session *session)
{
    struct secretrt_event event = SECRETRT_EVENT_INIT;

    while (secretrt_event_next(&event, session->client, 0) == 0) {
        if (event.kind == SECRETRT_EVENT_FAILED) {
            options_complain("%s", event.message);
            return -1;
        }
        if (event.kind == SECRETRT_EVENT_WARNING || event.kind == SECRETRT_EVENT_TIER)
            session_say(session, "%s", event.message);
    }
    return 0;
}

int session_acquire(struct session *session)
{
    int64_t end_ms = session_now_ms() + SESSION_FIRST_MS;
    struct pollfd fds[2] = {
        {.fd = session->signal_fd, .events = POLLIN},
        {.fd = secretrt_event_fd(session->client), .events = POLLIN}};
    int rc;

    for (;;) {
        int64_t left_ms = end_ms - session_now_ms();

        rc = session_try(session);
        if (rc <= 0)
            return rc;
        if (left_ms <= 0) {
            options_complain("%.200s: no answer within %d s", session->options->secret,
                             SESSION_FIRST_MS / 1000);
            return -1;
        }
        if (poll(fds, 2, (int)left_ms) < 0 && errno != EINTR)
            return -1;
        session_signals_early(session);
        if (session->ended_by != 0 || session_first_events(session) != 0)
            return -1;
    }
}

/* The second time: the program has its grace, then it is killed. */
void session_end_program(struct session *session)
{
    if (session->program.pid == 0)
        return;
    kill(session->program.pid, SIGTERM);
    if (++session->asked_to_end == 2)
        session->kill_at_ms = session_now_ms() + SESSION_GRACE_MS;
}

/* The program sees what another process sent to us; what the terminal sent to the whole
 * group it has already. */
static void session_forward(struct session *session,
                            const struct signalfd_siginfo *info)
{
    int number = (int)info->ssi_signo;

    if (number == SIGINT || number == SIGQUIT || session->program.pid == 0)
        return;
    if (info->ssi_code > 0)
        return; /* the kernel's */
    if (number == SIGTERM)
        session_end_program(session);
    else
        kill(session->program.pid, number);
}

/* Collects the program, and commands of --on-expiry. */
static void session_reap(struct session *session)
{
    int status = 0;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != session->program.pid)
            continue;
        session->program.status = status;
        session->program.pid = 0;
    }
}

static void session_read_signals(struct session *session)
{
    struct signalfd_siginfo info;

    while (read(session->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            session_reap(session);
        else
            session_forward(session, &info);
    }
}

static int session_timeout_ms(struct session *session)
{
    int64_t now_ms = session_now_ms(), due_ms = watch_due(session);

    if (session->kill_at_ms != 0 && now_ms >= session->kill_at_ms) {
        kill(session->program.pid, SIGKILL);
        session->kill_at_ms = 0;
    }
    if (session->kill_at_ms != 0 &&
        (due_ms < 0 || session->kill_at_ms - now_ms < due_ms))
        due_ms = session->kill_at_ms - now_ms;
    if (due_ms > 3600 * 1000)
        due_ms = 3600 * 1000;
    return (int)due_ms;
}

void session_run(struct session *session)
{
    struct pollfd fds[2] = {
        {.fd = session->signal_fd, .events = POLLIN},
        {.fd = secretrt_event_fd(session->client), .events = POLLIN}};

    session_reap(session); /* its SIGCHLD may have merged with another */
    while (session->program.pid != 0) {
        int n = poll(fds, 2, session_timeout_ms(session));

        if (n < 0 && errno != EINTR)
            break; /* not to be expected: the program ends with us */
        session_read_signals(session);
        if (session->program.pid != 0)
            watch_events(session);
    }
}

void session_run_command(struct session *session, const char *command)
{
    char shell[] = "/bin/sh", flag[] = "-c";
    char **environment = environment_plain(session->value);
    char *copy = strdup(command);
    char *arguments[] = {shell, flag, copy, NULL};
    pid_t pid = environment != NULL && copy != NULL ? fork() : -1;

    if (pid == 0) {
        int null = open("/dev/null", O_RDONLY);

        if (null >= 0)
            dup2(null, STDIN_FILENO); /* the terminal is psql's */
        sigprocmask(SIG_SETMASK, &session->old_mask, NULL);
        execve(shell, arguments, environment);
        _exit(WRAP_EXIT_NOT_FOUND);
    }
    if (pid < 0)
        session_say(session, "--on-expiry: the command could not be started");
    free(copy);
    environment_free(environment);
}

void session_give_back(struct session *session)
{
    struct secretrt_error e;

    secretrt_value_unref(session->value);
    session->value = NULL;
    if (session->options->keep_lease)
        return;
    secretrt_secret_close(session->secret);
    session->secret = NULL;
    if (session->client != NULL &&
        secretrt_shutdown(session->client, SESSION_GIVE_BACK_MS, &e) != 0)
        session_say(session, "the credential was not given back: %s", e.message);
    secretrt_close(session->client);
    session->client = NULL;
}
