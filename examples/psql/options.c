#include "options.h"

#include <secretrt/secretrt.h>

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_OVERLAP_MS 60000u
#define OPTIONS_OVERLAP_MAX_S 86400u

static const char options_usage[] =
    "usage: secretrt-psql [options] [NAME | reference] -- [psql arguments]\n";

static const char options_help[] =
    "\n"
    "Runs psql (or another libpq program) with a database credential that is kept\n"
    "alive, replaced in time and given back at the end. The password is in no\n"
    "argument, no environment variable and no file on disk. After a rotation, type\n"
    ":reconnect at the psql prompt.\n"
    "\n"
    "NAME is a name of the configuration (default: db); a reference is for example\n"
    "vault://database/creds/app. It must give the fields username and password.\n"
    "\n"
    "  -h, --host HOST         else in --dbname, else PGHOST; several: a,b\n"
    "  -p, --port PORT         else in --dbname, else PGPORT, else 5432\n"
    "  -d, --dbname DBNAME     a name, \"host=... dbname=... sslmode=...\", or\n"
    "                          postgresql://...; else PGDATABASE\n"
    "      --any-database      the password serves every database of the host\n"
    "      --config FILE       configuration of libsecretrt; else SECRETRT_CONFIG\n"
    "      --exec PROGRAM      run PROGRAM instead of psql\n"
    "      --overlap DURATION  how long a replaced credential goes on working: 45s,\n"
    "                          2m (default 60s, at most a fifth of the lease);\n"
    "                          0: as configured\n"
    "      --on-expiry ACTION  if a credential ends and none can be had:\n"
    "                          warn (default); term: end the program; \"exec CMD\":\n"
    "                          run CMD by /bin/sh\n"
    "      --keep-lease        do not give the credential back at the end\n"
    "      --print-refs        say what would be fetched and run; fetch nothing\n"
    "      --verbose           also what the library logs, and warnings without a tty\n"
    "      --help, --version\n"
    "\n"
    "Exit code: the program's own; 125 the wrapper failed and nothing was run, 126\n"
    "the program could not be executed, 127 it was not found. If a signal ended the\n"
    "program, the wrapper ends by the same signal.\n"
    "\n"
    "Examples:\n"
    "  export VAULT_ADDR=https://vault:8200\n"
    "  secretrt-psql -h db1 -d app vault://database/creds/app\n"
    "  secretrt-psql --config /etc/app.json -d \"host=db1 dbname=app "
    "sslmode=verify-full\" "
    "--\n"
    "  secretrt-psql -h db1 -d app db -- -c 'select session_user'\n"
    "  secretrt-psql -h db1 -d app --exec pg_dump db -- -Fc -f app.dump\n";

enum options_long {
    OPTIONS_HELP = 256,
    OPTIONS_ANY_DATABASE,
    OPTIONS_CONFIG,
    OPTIONS_EXEC,
    OPTIONS_OVERLAP,
    OPTIONS_ON_EXPIRY,
    OPTIONS_KEEP_LEASE,
    OPTIONS_PRINT_REFS,
    OPTIONS_VERBOSE,
    OPTIONS_VERSION
};

static const struct option options_table[] = {
    {"host", required_argument, NULL, 'h'},
    {"port", required_argument, NULL, 'p'},
    {"dbname", required_argument, NULL, 'd'},
    {"help", no_argument, NULL, OPTIONS_HELP},
    {"any-database", no_argument, NULL, OPTIONS_ANY_DATABASE},
    {"config", required_argument, NULL, OPTIONS_CONFIG},
    {"exec", required_argument, NULL, OPTIONS_EXEC},
    {"overlap", required_argument, NULL, OPTIONS_OVERLAP},
    {"on-expiry", required_argument, NULL, OPTIONS_ON_EXPIRY},
    {"keep-lease", no_argument, NULL, OPTIONS_KEEP_LEASE},
    {"print-refs", no_argument, NULL, OPTIONS_PRINT_REFS},
    {"verbose", no_argument, NULL, OPTIONS_VERBOSE},
    {"version", no_argument, NULL, OPTIONS_VERSION},
    {NULL, 0, NULL, 0}};

void options_complain(const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    fprintf(stderr, "secretrt-psql: %s\n", line);
}

/* "45s", "2m", "1500ms", "1h", "30" (seconds). */
static int options_duration(uint32_t *out_ms, const char *text)
{
    static const struct {
        const char *unit;
        unsigned long ms;
    } units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000}, {"h", 3600000}};
    char *end = NULL;
    unsigned long n;

    errno = 0;
    n = strtoul(text, &end, 10);
    if (errno != 0 || end == text || text[0] == '-' ||
        n > OPTIONS_OVERLAP_MAX_S * 1000u)
        return -1;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].unit) != 0)
            continue;
        if (n * units[i].ms > OPTIONS_OVERLAP_MAX_S * 1000u)
            return -1;
        *out_ms = (uint32_t)(n * units[i].ms);
        return 0;
    }
    return -1;
}

static int options_expiry(struct wrap_options *out, const char *text)
{
    if (strcmp(text, "warn") == 0) {
        out->on_expiry = WRAP_EXPIRY_WARN;
    } else if (strcmp(text, "term") == 0) {
        out->on_expiry = WRAP_EXPIRY_TERM;
    } else if (strncmp(text, "exec ", 5) == 0 && text[5] != '\0') {
        out->on_expiry = WRAP_EXPIRY_EXEC;
        out->expiry_command = text + 5;
    } else {
        options_complain("--on-expiry is warn, term or \"exec CMD\", not \"%.64s\"",
                         text);
        return -1;
    }
    return 0;
}

/* 0: go on; 1: end well; -1: bad. */
static int options_take(struct wrap_options *out, int option)
{
    switch (option) {
    case 'h':
        out->host = optarg;
        return 0;
    case 'p':
        out->port = optarg;
        return 0;
    case 'd':
        out->database = optarg;
        return 0;
    case OPTIONS_ANY_DATABASE:
        out->any_database = 1;
        return 0;
    case OPTIONS_CONFIG:
        out->config_file = optarg;
        return 0;
    case OPTIONS_EXEC:
        out->program = optarg;
        return 0;
    case OPTIONS_OVERLAP:
        if (options_duration(&out->overlap_ms, optarg) == 0)
            return 0;
        options_complain("--overlap is a duration as 45s or 2m, not \"%.64s\"", optarg);
        return -1;
    case OPTIONS_ON_EXPIRY:
        return options_expiry(out, optarg);
    case OPTIONS_KEEP_LEASE:
        out->keep_lease = 1;
        return 0;
    case OPTIONS_PRINT_REFS:
        out->print_refs = 1;
        return 0;
    case OPTIONS_VERBOSE:
        out->verbose = 1;
        return 0;
    case OPTIONS_HELP:
        printf("%s%s", options_usage, options_help);
        return 1;
    case OPTIONS_VERSION:
        printf("secretrt-psql %s, libsecretrt %s\n", SECRETRT_VERSION,
               secretrt_version());
        return 1;
    default: /* getopt has said it */
        fputs("Try: secretrt-psql --help\n", stderr);
        return -1;
    }
}

int options_read(struct wrap_options *out, int *exit_code, int argc, char **argv)
{
    int option, ended;

    memset(out, 0, sizeof(*out));
    out->secret = "db";
    out->program = "psql";
    out->overlap_ms = OPTIONS_OVERLAP_MS;
    *exit_code = WRAP_EXIT_FAILED;
    while ((option = getopt_long(argc, argv, "+h:p:d:", options_table, NULL)) != -1) {
        int taken = options_take(out, option);

        if (taken == 0)
            continue;
        if (taken > 0)
            *exit_code = 0;
        return -1;
    }
    ended = optind > 1 && strcmp(argv[optind - 1], "--") == 0;
    if (!ended && optind < argc) {
        out->secret = argv[optind++];
        if (optind < argc && strcmp(argv[optind], "--") != 0) {
            options_complain(
                "what belongs to %s comes after \"--\": ... %.64s -- %.64s",
                out->program, out->secret, argv[optind]);
            return -1;
        }
        if (optind < argc)
            optind++;
    }
    out->arguments = argv + optind;
    if (out->secret[0] == '\0' || out->program[0] == '\0') {
        options_complain("an empty name of a %s",
                         out->program[0] == '\0' ? "program" : "secret");
        return -1;
    }
    return 0;
}
