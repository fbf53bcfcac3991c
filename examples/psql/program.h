/* The program that runs under the wrapper: found, started, ended. */
#ifndef WRAP_PROGRAM_H
#define WRAP_PROGRAM_H

#include "handover.h"

#include <signal.h>
#include <sys/types.h>

#define PROGRAM_PATH_LEN 4096

struct program {
    char path[PROGRAM_PATH_LEN];
    int is_psql;
    pid_t pid;  /* 0: not running */
    int status; /* as waitpid(2) gives it, once it has ended */
};

/* Looks it up in PATH. 0, WRAP_EXIT_CANNOT_RUN or WRAP_EXIT_NOT_FOUND, with one line on
 * stderr. */
int program_find(struct program *out, const char *name);

/* Starts it with the memory files, in our process group, with `mask`. Answers as
 * program_find; WRAP_EXIT_FAILED if the system has no room for it. */
int program_start(struct program *program, const struct wrap_options *options,
                  const struct handover *handover, const struct secretrt_value *value,
                  const sigset_t *mask);

/* Ends this process as the program ended: its exit code, or its signal. at_once: no
 * exit handlers, so that nothing is given back. */
_Noreturn void program_end_alike(int status, int at_once);
/* Ends this process by the signal. */
_Noreturn void program_end_by(int number);

#endif
