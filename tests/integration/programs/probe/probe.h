/* A line-driven program over the library: tests send commands, it answers with one JSON
 * object a line. A password never leaves it: values are told by length and hash. */
#ifndef PROBE_H
#define PROBE_H

#include <secretrt/secretrt.h>
#include <stdint.h>

#define PROBE_SLOTS 16
#define PROBE_TEXT_MAX 256

struct pg_conn;

struct probe {
    struct secretrt_client *client;
    struct secretrt_secret *secret;
    struct secretrt_value *value; /* the current one: last read, borrowed or answered */
    struct secretrt_value *slot[PROBE_SLOTS];
    struct pg_conn *session[PROBE_SLOTS];
    struct secretrt_options options;
    char service[PROBE_TEXT_MAX];
    char host[PROBE_TEXT_MAX];
    char port[PROBE_TEXT_MAX];
    char database[PROBE_TEXT_MAX];
    int64_t loop_pause_ms;
    int64_t audit_sleep_ms;
    int64_t event_sleep_ms;
    int audit_fails;
    int done; /* end the program */
};

int64_t now_ms(void); /* CLOCK_MONOTONIC */
void sleep_ms(int64_t ms);

/* json.c: one answer at a time, from the main thread. */
void out_begin(void);
void out_open(const char *key, char bracket); /* key NULL inside an array */
void out_close(char bracket);
void out_text(const char *key, const char *text);
void out_bytes_len_hash(const char *key, const char *data, size_t len);
void out_number(const char *key, int64_t number);
void out_flag(const char *key, int flag);
void out_status(int status);
void out_error(const struct secretrt_error *err); /* status and all it says */
void out_end(void);                               /* prints the line */

/* values.c */
void out_value(const char *key, const struct secretrt_value *value);
void out_event(const struct secretrt_event *event, int64_t at_ms);
void keep_value(struct probe *p, struct secretrt_value *value); /* as the current one */
void cmd_read(struct probe *p, char *arguments);
void cmd_read_name(struct probe *p, char *arguments);
void cmd_borrow(struct probe *p, char *arguments);
void cmd_reject(struct probe *p, char *arguments);
void cmd_value(struct probe *p, char *arguments);
void cmd_keep(struct probe *p, char *arguments);
void cmd_use(struct probe *p, char *arguments);
void cmd_forget(struct probe *p, char *arguments);
void cmd_format(struct probe *p, char *arguments);
void cmd_redact(struct probe *p, char *arguments);
void cmd_plant(struct probe *p, char *arguments);

/* events.c: events, callbacks, audit hook, log */
void record_reset(void);
int record_audit(const struct secretrt_audit_record *record, void *data);
void record_log(int level, const char *message, void *data);
int record_event(const struct secretrt_event *event, void *data);
void cmd_events(struct probe *p, char *arguments);
void cmd_next(struct probe *p, char *arguments);
void cmd_callbacks(struct probe *p, char *arguments);
void cmd_audits(struct probe *p, char *arguments);
void cmd_logs(struct probe *p, char *arguments);

/* pg.c */
enum pg_outcome { PG_OK, PG_AUTH, PG_NETWORK, PG_OTHER };
/* NULL and *outcome on failure; text: libpq's message, one line. */
struct pg_conn *pg_open(const struct probe *p, const struct secretrt_value *value,
                        enum pg_outcome *outcome, char text[PROBE_TEXT_MAX]);
enum pg_outcome pg_query(struct pg_conn *conn, const char *sql,
                         char text[PROBE_TEXT_MAX]);
void pg_close(struct pg_conn *conn); /* NULL ok */
const char *pg_outcome_name(enum pg_outcome outcome);
void cmd_login(struct probe *p, char *arguments);
void cmd_connect(struct probe *p, char *arguments);
void cmd_query(struct probe *p, char *arguments);
void cmd_disconnect(struct probe *p, char *arguments);

/* loop.c */
void cmd_loop(struct probe *p, char *arguments);

/* crowd.c: many threads, many children */
void cmd_threads(struct probe *p, char *arguments);
void cmd_fork(struct probe *p, char *arguments);

#endif
