/* The command line of secretrt-psql. */
#ifndef WRAP_OPTIONS_H
#define WRAP_OPTIONS_H

#include <stdint.h>

/* Exit codes of the wrapper itself, as env(1), timeout(1) and docker have them. */
enum wrap_exit {
    WRAP_EXIT_FAILED = 125,     /* nothing was run */
    WRAP_EXIT_CANNOT_RUN = 126, /* found, but not executable */
    WRAP_EXIT_NOT_FOUND = 127
};

enum wrap_expiry { WRAP_EXPIRY_WARN = 0, WRAP_EXPIRY_TERM, WRAP_EXPIRY_EXEC };

struct wrap_options {
    const char *secret;      /* configured name, or reference */
    const char *config_file; /* NULL: SECRETRT_CONFIG, then the stores' conventions */
    const char *host;        /* NULL: conninfo, then PGHOST */
    const char *port;
    const char *database;       /* a name, a conninfo or a URI */
    const char *program;        /* "psql" */
    char **arguments;           /* the program's, ended by NULL */
    const char *expiry_command; /* for WRAP_EXPIRY_EXEC */
    enum wrap_expiry on_expiry;
    uint32_t overlap_ms; /* 0: the configuration's */
    int keep_lease;
    int print_refs;
    int any_database;
    int verbose;
};

/* 0: run. Else the process ends with *exit_code; all that is to be said was said. */
int options_read(struct wrap_options *out, int *exit_code, int argc, char **argv);

/* One line on stderr, after "secretrt-psql: ". */
void options_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
