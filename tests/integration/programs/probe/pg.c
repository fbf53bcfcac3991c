/* PostgreSQL sessions made with a value. */
#include "probe.h"
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pg_conn {
    PGconn *pg;
};

const char *pg_outcome_name(enum pg_outcome outcome)
{
    static const char *const name[] = {"ok", "auth", "network", "other"};

    return name[outcome];
}

static void one_line(char to[PROBE_TEXT_MAX], const char *from)
{
    size_t n = 0;

    for (; *from != '\0' && n < PROBE_TEXT_MAX - 1; from++)
        to[n++] = *from == '\n' ? ' ' : *from;
    while (n > 0 && to[n - 1] == ' ')
        n--;
    to[n] = '\0';
}

/* libpq gives no SQLSTATE for a failed connection; our servers speak English. */
static enum pg_outcome classify(const char *text)
{
    if (strstr(text, "password authentication failed") != NULL ||
        strstr(text, "does not exist") != NULL)
        return PG_AUTH;
    if (strstr(text, "refused") != NULL || strstr(text, "timeout") != NULL ||
        strstr(text, "closed the connection") != NULL)
        return PG_NETWORK;
    return PG_OTHER;
}

struct pg_conn *pg_open(const struct probe *p, const struct secretrt_value *value,
                        enum pg_outcome *outcome, char text[PROBE_TEXT_MAX])
{
    const char *keys[] = {"host",    "port",     "dbname",
                          "user",    "password", "connect_timeout",
                          "sslmode", NULL};
    const char *user = secretrt_value_field(value, "username", NULL);
    const char *password = secretrt_value_field(value, "password", NULL);
    const char *values[] = {p->host,  p->port, p->database, user,
                            password, "10",    "disable",   NULL};
    struct pg_conn *conn = calloc(1, sizeof(*conn));

    text[0] = '\0';
    *outcome = PG_OTHER;
    if (conn == NULL || user == NULL || password == NULL) {
        snprintf(text, PROBE_TEXT_MAX, "the value has no username or password");
        free(conn);
        return NULL;
    }
    conn->pg = PQconnectdbParams(keys, values, 0);
    if (PQstatus(conn->pg) == CONNECTION_OK) {
        *outcome = PG_OK;
        return conn;
    }
    one_line(text, PQerrorMessage(conn->pg));
    *outcome = classify(text);
    pg_close(conn);
    return NULL;
}

enum pg_outcome pg_query(struct pg_conn *conn, const char *sql,
                         char text[PROBE_TEXT_MAX])
{
    PGresult *result = PQexec(conn->pg, sql);
    enum pg_outcome outcome = PG_OK;

    text[0] = '\0';
    if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        one_line(text, PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    } else if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        one_line(text, PQerrorMessage(conn->pg));
        outcome = PQstatus(conn->pg) == CONNECTION_OK ? PG_OTHER : PG_NETWORK;
    }
    PQclear(result);
    return outcome;
}

void pg_close(struct pg_conn *conn)
{
    if (conn == NULL)
        return;
    PQfinish(conn->pg);
    free(conn);
}

/* login: a fresh session with the current value, one query, its end. */
void cmd_login(struct probe *p, char *arguments)
{
    char text[PROBE_TEXT_MAX];
    enum pg_outcome outcome;
    struct pg_conn *conn = pg_open(p, p->value, &outcome, text);

    (void)arguments;
    if (conn != NULL)
        outcome = pg_query(conn, "select session_user", text);
    pg_close(conn);
    out_status(0);
    out_text("login", pg_outcome_name(outcome));
    out_text("text", text);
}

/* connect SLOT: a session that stays. */
void cmd_connect(struct probe *p, char *arguments)
{
    size_t i = (size_t)strtoul(arguments, NULL, 10) % PROBE_SLOTS;
    char text[PROBE_TEXT_MAX];
    enum pg_outcome outcome;

    pg_close(p->session[i]);
    p->session[i] = pg_open(p, p->value, &outcome, text);
    out_status(0);
    out_text("login", pg_outcome_name(outcome));
    out_text("text", text);
}

/* query SLOT SQL */
void cmd_query(struct probe *p, char *arguments)
{
    char *sql = NULL;
    size_t i = (size_t)strtoul(arguments, &sql, 10) % PROBE_SLOTS;
    char text[PROBE_TEXT_MAX] = "not connected";
    enum pg_outcome outcome = PG_NETWORK;

    if (p->session[i] != NULL)
        outcome = pg_query(p->session[i], sql, text);
    out_status(0);
    out_text("query", pg_outcome_name(outcome));
    out_text("text", text);
}

void cmd_disconnect(struct probe *p, char *arguments)
{
    size_t i = (size_t)strtoul(arguments, NULL, 10) % PROBE_SLOTS;

    pg_close(p->session[i]);
    p->session[i] = NULL;
    out_status(0);
}
