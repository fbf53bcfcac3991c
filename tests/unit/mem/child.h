/* What the tests of mem/ share: work in a forked child, under the fork handlers. */
#ifndef TEST_MEM_CHILD_H
#define TEST_MEM_CHILD_H

#include "mem/arena.h"
#include "mem/epoch.h"
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child's assert: CMocka's would go on in the parent's test. */
#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
            _exit(1);                                                                  \
        }                                                                              \
    } while (0)
#define CHILD_SKIPPED 77

/* Runs body in a child; returns its wait status: 0 when it returned. */
static inline int child_run(void (*body)(void *data), void *data)
{
    int status = -1;
    pid_t pid = -1;

    fflush(NULL);
    srt_epoch_fork_prepare();
    srt_arena_fork_prepare();
    pid = fork();
    if (pid == 0) {
        srt_arena_fork_child();
        srt_epoch_fork_child();
        (void)signal(SIGSEGV, SIG_DFL); /* a sanitizer's would make it an exit code */
        (void)alarm(100);
        body(data);
        _exit(0);
    }
    srt_arena_fork_parent();
    srt_epoch_fork_parent();
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return status;
}

static inline int child_crashed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static inline int child_skipped(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPPED;
}

#endif
