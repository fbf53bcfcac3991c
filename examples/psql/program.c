#include "program.h"
#include "environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM_RECONNECT "reconnect=\\c service=secretrt"
#define PROGRAM_DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

static int program_try(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return errno == EACCES ? EACCES : ENOENT;
    if (!S_ISREG(st.st_mode) || access(path, X_OK) != 0)
        return EACCES;
    return 0;
}

static int program_search(struct program *out, const char *name)
{
    const char *path = getenv("PATH");
    int worst = ENOENT;

    if (path == NULL || path[0] == '\0')
        path = PROGRAM_DEFAULT_PATH;
    for (;;) {
        size_t len = strcspn(path, ":");
        int n = snprintf(out->path, sizeof(out->path), "%.*s%s%s", (int)len, path,
                         len > 0 ? "/" : "./", name);
        int rc =
            n > 0 && (size_t)n < sizeof(out->path) ? program_try(out->path) : ENOENT;

        if (rc == 0)
            return 0;
        if (rc == EACCES)
            worst = EACCES;
        if (path[len] == '\0')
            return worst;
        path += len + 1;
    }
}

static int program_cannot(const char *name, int why)
{
    if (why == ENOENT) {
        options_complain("%.200s: not found", name);
        return WRAP_EXIT_NOT_FOUND;
    }
    options_complain("%.200s: cannot be executed: %s", name, strerror(why));
    return WRAP_EXIT_CANNOT_RUN;
}

int program_find(struct program *out, const char *name)
{
    const char *base = strrchr(name, '/');
    int rc;

    memset(out, 0, sizeof(*out));
    if (base != NULL) {
        int n = snprintf(out->path, sizeof(out->path), "%s", name);

        rc = n > 0 && (size_t)n < sizeof(out->path) ? program_try(out->path) : ENOENT;
    } else {
        rc = program_search(out, name);
    }
    out->is_psql = strcmp(base != NULL ? base + 1 : name, "psql") == 0;
    return rc == 0 ? 0 : program_cannot(name, rc);
}

/* psql knows ":reconnect"; other programs get their own arguments only. */
static char **program_arguments(const struct program *program,
                                const struct wrap_options *options)
{
    static char reconnect_option[] = "-v", reconnect[] = PROGRAM_RECONNECT;
    size_t count = 0, n = 0;
    char **made = NULL;

    while (options->arguments[count] != NULL)
        count++;
    made = calloc(count + 4, sizeof(*made));
    if (made == NULL)
        return NULL;
    made[n] = strdup(options->program);
    if (made[n++] == NULL) {
        free(made);
        return NULL;
    }
    if (program->is_psql) {
        made[n++] = reconnect_option;
        made[n++] = reconnect;
    }
    for (size_t i = 0; i < count; i++)
        made[n++] = options->arguments[i];
    return made;
}

/* In the child, between fork and exec: system calls only. */
static _Noreturn void program_become(const struct program *program, char **arguments,
                                     char **environment,
                                     const struct handover *handover,
                                     const sigset_t *mask, pid_t parent, int report)
{
    int why = 0;

    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
        why = errno;
    if (getppid() != parent) /* it died before we asked */
        _exit(WRAP_EXIT_FAILED);
    if (why == 0 && (fcntl(handover->password_ro, F_SETFD, 0) != 0 ||
                     fcntl(handover->service_ro, F_SETFD, 0) != 0 ||
                     sigprocmask(SIG_SETMASK, mask, NULL) != 0))
        why = errno;
    if (why == 0) {
        execve(program->path, arguments, environment);
        why = errno;
    }
    if (write(report, &why, sizeof(why)) != (ssize_t)sizeof(why))
        _exit(WRAP_EXIT_FAILED);
    _exit(why == ENOENT ? WRAP_EXIT_NOT_FOUND : WRAP_EXIT_CANNOT_RUN);
}

/* The pipe closes at exec, or brings the reason why there was none. */
static int program_await_exec(struct program *program, int report, const char *name)
{
    int why = 0;
    ssize_t n;

    do {
        n = read(report, &why, sizeof(why));
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(why))
        return 0;
    while (waitpid(program->pid, &program->status, 0) < 0 && errno == EINTR)
        continue;
    program->pid = 0;
    return program_cannot(name, why);
}

int program_start(struct program *program, const struct wrap_options *options,
                  const struct handover *handover, const struct secretrt_value *value,
                  const sigset_t *mask)
{
    char **arguments = program_arguments(program, options);
    char **environment = environment_make(handover, value);
    int report[2] = {-1, -1}, rc = WRAP_EXIT_FAILED;
    pid_t parent = getpid();

    if (arguments == NULL || environment == NULL || pipe2(report, O_CLOEXEC) != 0) {
        options_complain("%.200s can't be started: %s", options->program,
                         strerror(errno));
        goto done;
    }
    program->pid = fork();
    if (program->pid == 0)
        program_become(program, arguments, environment, handover, mask, parent,
                       report[1]);
    close(report[1]);
    report[1] = -1;
    if (program->pid < 0) {
        program->pid = 0;
        options_complain("fork: %s", strerror(errno));
        goto done;
    }
    rc = program_await_exec(program, report[0], options->program);
done:
    if (report[0] >= 0)
        close(report[0]);
    if (report[1] >= 0)
        close(report[1]);
    environment_free(environment);
    if (arguments != NULL)
        free(arguments[0]);
    free(arguments);
    return rc;
}

void program_end_by(int number)
{
    sigset_t one;

    fflush(NULL);
    signal(number, SIG_DFL);
    sigemptyset(&one);
    sigaddset(&one, number);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    _exit(128 + number); /* a signal that does not end a process */
}

void program_end_alike(int status, int at_once)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : WRAP_EXIT_FAILED;

    if (WIFSIGNALED(status))
        program_end_by(WTERMSIG(status));
    fflush(NULL);
    if (at_once)
        _exit(code);
    exit(code);
}
