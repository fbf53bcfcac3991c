/* One run of the wrapper: the credential, the program, and what happens to either. */
#ifndef WRAP_SESSION_H
#define WRAP_SESSION_H

#include "handover.h"
#include "program.h"

#include <signal.h>

struct session {
    const struct wrap_options *options;
    struct handover handover;
    struct program program;
    struct secretrt_client *client;
    struct secretrt_secret *secret;
    struct secretrt_value *value; /* what the memory files hold; NULL: nothing yet */
    sigset_t old_mask;            /* as we were started, for the program */
    int signal_fd;
    int ended_by; /* a signal that came before there was a program; 0: none */
    /* what is being watched */
    int64_t kill_at_ms; /* monotonic; 0: not asked twice */
    int asked_to_end;   /* how often */
    int failing;        /* renewal fails: warn as the end comes near */
    int warned_percent; /* the last threshold that was said; 0: none */
    int64_t failing_left_ms, failing_at_ms; /* what was left when it was looked at */
    int expired;
    char reason[272]; /* why it fails */
};

/* From here on signals are read from a descriptor; the library's threads and ours have
 * them blocked. 0 or -1 with one line. */
int session_signals(struct session *session);
/* Waits for the first credential: 0; -1 after one line, or with ended_by set. */
int session_acquire(struct session *session);
/* Keeps it current until the program has ended. */
void session_run(struct session *session);
/* Gives the credential back, within 3 s. */
void session_give_back(struct session *session);

/* watch.c: the credential's side. */
void watch_events(struct session *session);
/* Warnings that are due; when to come again, in ms; -1: not by time. */
int64_t watch_due(struct session *session);

/* The parts of session.c that watch.c needs. */
int64_t session_now_ms(void);
void session_say(const struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void session_end_program(struct session *session);
void session_run_command(struct session *session, const char *command);

#endif
