/* Reading, borrowing, rejecting; what a value says about itself. */
#include "probe.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void out_info(const struct secretrt_info *info)
{
    out_number("generation", (int64_t)info->generation);
    out_number("tier", info->tier);
    out_number("weakest_tier", info->weakest_tier);
    out_flag("deprecated", (info->flags & SECRETRT_VALUE_DEPRECATED) != 0);
    out_flag("fallback", (info->flags & SECRETRT_VALUE_FALLBACK) != 0);
    out_flag("renewable", (info->flags & SECRETRT_VALUE_RENEWABLE) != 0);
    out_number("issued_ago_ms", wall_ms() - info->issued_at_ms);
    out_number("expires_in_ms",
               info->expires_at_ms == 0 ? -1 : info->expires_at_ms - wall_ms());
    out_text("name", info->name);
    out_text("source", info->source);
    out_text("version", info->version);
    out_text("lease_id", info->lease_id);
    out_text("request_id", info->request_id);
    out_text("limited_by", info->limited_by);
}

void out_value(const char *key, const struct secretrt_value *value)
{
    struct secretrt_field field;

    if (value == NULL) {
        out_text(key, NULL);
        return;
    }
    out_open(key, '{');
    out_info(secretrt_value_info(value));
    out_flag("current", secretrt_value_is_current(value));
    out_number("left_ms", secretrt_value_left_ms(value));
    out_text("username", secretrt_value_field(value, "username", NULL));
    out_open("fields", '{');
    for (size_t i = 0; secretrt_value_at(&field, value, i) == 0; i++)
        out_bytes_len_hash(field.name, field.data, field.len);
    out_close('}');
    if (secretrt_value_text(value) != NULL)
        out_bytes_len_hash("text", secretrt_value_text(value),
                           strlen(secretrt_value_text(value)));
    out_close('}');
}

void keep_value(struct probe *p, struct secretrt_value *value)
{
    secretrt_value_unref(p->value);
    p->value = value;
}

static void answer(struct probe *p, int status, const struct secretrt_error *err,
                   struct secretrt_value *value)
{
    out_error(err);
    out_flag("agrees", status == err->status);
    if (status == 0)
        keep_value(p, value);
    out_value("value", status == 0 ? p->value : NULL);
}

/* read [nowait] [fresh] [candidate] [timeout MS] [actor TEXT] [purpose TEXT] */
static int parse_call(struct secretrt_call *call, char *arguments)
{
    char *save = NULL;
    int given = 0;

    for (char *word = strtok_r(arguments, " ", &save); word != NULL;
         word = strtok_r(NULL, " ", &save)) {
        given = 1;
        if (strcmp(word, "nowait") == 0)
            call->flags |= SECRETRT_CALL_NOWAIT;
        else if (strcmp(word, "fresh") == 0)
            call->flags |= SECRETRT_CALL_FRESH;
        else if (strcmp(word, "candidate") == 0)
            call->flags |= SECRETRT_CALL_CANDIDATE;
        else if (strcmp(word, "timeout") == 0 && (word = strtok_r(NULL, " ", &save)))
            call->timeout_ms = (uint32_t)strtoul(word, NULL, 10);
        else if (strcmp(word, "actor") == 0)
            call->actor = strtok_r(NULL, " ", &save);
        else if (strcmp(word, "purpose") == 0)
            call->purpose = strtok_r(NULL, " ", &save);
        else
            fprintf(stderr, "unknown word in a call: %s\n", word);
    }
    return given;
}

void cmd_read(struct probe *p, char *arguments)
{
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_value *value = NULL;
    struct secretrt_error err;
    int status;

    if (parse_call(&call, arguments))
        status = secretrt_secret_read_with(&value, p->secret, &call, &err);
    else
        status = secretrt_secret_read(&value, p->secret, &err);
    answer(p, status, &err, value);
}

void cmd_read_name(struct probe *p, char *arguments)
{
    struct secretrt_value *value = NULL;
    struct secretrt_error err;
    int status = secretrt_read(&value, p->client, arguments, &err);

    answer(p, status, &err, value);
}

void cmd_borrow(struct probe *p, char *arguments)
{
    const struct secretrt_value *borrowed = NULL;
    struct secretrt_value *value = NULL;
    struct secretrt_error err;
    int status = secretrt_secret_borrow(&borrowed, p->secret, &err);

    (void)arguments;
    if (status == 0)
        value = secretrt_value_ref(borrowed);
    secretrt_value_return(borrowed);
    answer(p, status, &err, value);
}

void cmd_reject(struct probe *p, char *arguments)
{
    struct secretrt_value *newer = NULL;
    struct secretrt_error err;
    int http_status = *arguments != '\0' ? atoi(arguments) : 401;
    int status = secretrt_secret_reject(&newer, p->secret, p->value, http_status, &err);

    answer(p, status, &err, newer);
}

void cmd_value(struct probe *p, char *arguments)
{
    (void)arguments;
    out_status(0);
    out_value("value", p->value);
}

static size_t slot_of(const char *arguments)
{
    return (size_t)strtoul(arguments, NULL, 10) % PROBE_SLOTS;
}

void cmd_keep(struct probe *p, char *arguments)
{
    size_t i = slot_of(arguments);

    secretrt_value_unref(p->slot[i]);
    p->slot[i] = p->value != NULL ? secretrt_value_ref(p->value) : NULL;
    out_status(0);
}

void cmd_use(struct probe *p, char *arguments)
{
    size_t i = slot_of(arguments);

    keep_value(p, p->slot[i] != NULL ? secretrt_value_ref(p->slot[i]) : NULL);
    out_status(0);
    out_value("value", p->value);
}

void cmd_forget(struct probe *p, char *arguments)
{
    (void)arguments;
    keep_value(p, NULL);
    for (size_t i = 0; i < PROBE_SLOTS; i++) {
        secretrt_value_unref(p->slot[i]);
        p->slot[i] = NULL;
    }
    out_status(0);
}

void cmd_format(struct probe *p, char *arguments)
{
    struct secretrt_value *made = NULL;
    struct secretrt_error err;
    int status = secretrt_value_format(&made, p->value, arguments, &err);

    out_error(&err);
    if (status == 0)
        out_bytes_len_hash("text", secretrt_value_text(made),
                           strlen(secretrt_value_text(made)));
    secretrt_value_unref(made);
}

/* A log line with the current password in it, redacted. */
void cmd_redact(struct probe *p, char *arguments)
{
    const char *password = secretrt_value_field(p->value, "password", NULL);
    char line[1024];
    size_t len;

    (void)arguments;
    snprintf(line, sizeof(line), "login with %s ended",
             password != NULL ? password : "");
    len = secretrt_redact(line, strlen(line), p->client);
    line[len] = '\0';
    out_status(0);
    out_flag("hidden", password != NULL && strstr(line, password) == NULL);
    if (password == NULL || strstr(line, password) == NULL)
        out_text("text", line);
}

/* A copy of the password on the heap, as a careless program makes: the positive control
 * of scanners. */
void cmd_plant(struct probe *p, char *arguments)
{
    static char *planted;
    const char *password = secretrt_value_field(p->value, "password", NULL);

    (void)arguments;
    free(planted);
    planted = strdup(password != NULL ? password : "");
    out_status(planted != NULL ? 0 : SECRETRT_ERR_NOMEM);
}
