#include "target.h"

#include <libpq-fe.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TARGET_DEFAULT_PORT "5432"
/* libpq reads a line of a service file into 1 KiB. */
#define TARGET_LINE_MAX 1000

struct target_parts {
    const char *host;
    const char *address; /* hostaddr: what libpq looks up where there is no host */
    const char *port;
    const char *database;
};

static const char *target_first(const char *a, const char *b, const char *c)
{
    if (a != NULL && a[0] != '\0')
        return a;
    if (b != NULL && b[0] != '\0')
        return b;
    return c != NULL && c[0] != '\0' ? c : NULL;
}

static int target_is_conninfo(const char *text)
{
    return text != NULL &&
           (strchr(text, '=') != NULL || strncmp(text, "postgresql://", 13) == 0 ||
            strncmp(text, "postgres://", 11) == 0);
}

static int target_service_line(struct target *out, const char *key, const char *value)
{
    size_t used = strlen(out->service);
    int n;

    if (value == NULL)
        return 0;
    n = snprintf(out->service + used, sizeof(out->service) - used, "%s=%s\n", key,
                 value);
    if (strpbrk(value, "\r\n") != NULL || n < 0 || n > TARGET_LINE_MAX ||
        (size_t)n >= sizeof(out->service) - used) {
        options_complain("%s: too long for a service file, or more than one line", key);
        return -1;
    }
    return 0;
}

/* What a person may not give: the credential does. */
static int target_is_ours(const char *key)
{
    return strcmp(key, "user") == 0 || strcmp(key, "password") == 0 ||
           strcmp(key, "passfile") == 0 || strcmp(key, "service") == 0;
}

static int target_from_conninfo(struct target *out, struct target_parts *parts,
                                const PQconninfoOption *given)
{
    for (const PQconninfoOption *o = given; o->keyword != NULL; o++) {
        if (o->val == NULL || o->val[0] == '\0')
            continue;
        if (target_is_ours(o->keyword)) {
            options_complain("--dbname: %s comes from the secret: leave it out",
                             o->keyword);
            return -1;
        }
        if (strcmp(o->keyword, "host") == 0)
            parts->host = o->val;
        else if (strcmp(o->keyword, "hostaddr") == 0)
            parts->address = o->val;
        else if (strcmp(o->keyword, "port") == 0)
            parts->port = o->val;
        else if (strcmp(o->keyword, "dbname") == 0)
            parts->database = o->val;
        else if (target_service_line(out, o->keyword, o->val) != 0)
            return -1;
    }
    return 0;
}

/* Appends text to a place, with ':' and '\' escaped as a password file wants them. */
static int target_escape(char *place, const char *text, size_t len)
{
    size_t at = strlen(place);

    for (size_t i = 0; i < len; i++) {
        if (at + 3 >= TARGET_PLACE_LEN)
            return -1;
        if (text[i] == ':' || text[i] == '\\')
            place[at++] = '\\';
        place[at++] = text[i];
    }
    place[at++] = ':';
    place[at] = '\0';
    return 0;
}

static int target_add_place(struct target *out, const char *host, size_t host_len,
                            const char *port, size_t port_len, const char *database)
{
    char *place = out->place[out->places];

    if (out->places == TARGET_PLACES_MAX) {
        options_complain("more than %d hosts", TARGET_PLACES_MAX / 2);
        return -1;
    }
    place[0] = '\0';
    if (target_escape(place, host, host_len) != 0 ||
        target_escape(place, port, port_len) != 0 ||
        target_escape(place, database, strlen(database)) != 0) {
        options_complain("host, port and database are too long together");
        return -1;
    }
    out->places++;
    return 0;
}

static const char *target_next(const char *list)
{
    const char *comma = strchr(list, ',');

    return comma != NULL ? comma + 1 : NULL;
}

/* One line of the password file for each host of the list. libpq looks the default
 * socket directory up as "localhost", so a socket has two lines. */
static int target_places(struct target *out, const struct target_parts *parts, int any)
{
    const char *host = target_first(parts->host, parts->address, "localhost");
    const char *port = parts->port;
    const char *database = any ? "*" : parts->database;

    while (host != NULL) {
        size_t host_len = strcspn(host, ","), port_len = strcspn(port, ",");
        const char *the_port = port_len > 0 ? port : TARGET_DEFAULT_PORT;
        size_t the_port_len = port_len > 0 ? port_len : strlen(TARGET_DEFAULT_PORT);
        int local = host_len == 0 || host[0] == '/' || host[0] == '@';

        if (host_len > 0 && target_add_place(out, host, host_len, the_port,
                                             the_port_len, database) != 0)
            return -1;
        if (local && target_add_place(out, "localhost", strlen("localhost"), the_port,
                                      the_port_len, database) != 0)
            return -1;
        host = target_next(host);
        if (target_next(port) != NULL) /* one port serves all hosts */
            port = target_next(port);
    }
    return 0;
}

int target_read(struct target *out, const struct wrap_options *options)
{
    struct target_parts parts = {NULL, NULL, NULL, NULL};
    PQconninfoOption *given = NULL;
    char *why = NULL;
    int rc = -1;

    memset(out, 0, sizeof(*out));
    if (target_is_conninfo(options->database)) {
        given = PQconninfoParse(options->database, &why);
        if (given == NULL) {
            /* libpq's text may quote what was given: not repeated. */
            options_complain(
                "--dbname: not a connection string that libpq understands");
            goto done;
        }
        if (target_from_conninfo(out, &parts, given) != 0)
            goto done;
    } else {
        parts.database = options->database;
    }
    parts.host = target_first(options->host, parts.host, getenv("PGHOST"));
    parts.address = target_first(NULL, parts.address, getenv("PGHOSTADDR"));
    parts.port = target_first(options->port, parts.port, getenv("PGPORT"));
    parts.database = target_first(parts.database, NULL, getenv("PGDATABASE"));
    if (parts.database == NULL) {
        options_complain("no database: give -d NAME, or set PGDATABASE");
        goto done;
    }
    if (target_service_line(out, "host", parts.host) != 0 ||
        target_service_line(out, "hostaddr", parts.address) != 0 ||
        target_service_line(out, "port", parts.port) != 0 ||
        target_service_line(out, "dbname", parts.database) != 0)
        goto done;
    if (parts.port == NULL)
        parts.port = TARGET_DEFAULT_PORT;
    rc = target_places(out, &parts, options->any_database);
done:
    PQfreemem(why);
    PQconninfoFree(given);
    return rc;
}
