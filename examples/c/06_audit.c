/* Where audit records and log lines go: syslog, or JSON Lines with --json. */
#include <secretrt/secretrt.h>

#include <stdio.h>
#include <string.h>
#include <syslog.h>

static int to_syslog(const struct secretrt_audit_record *r, void *data)
{
    (void)data;
    syslog(LOG_AUTHPRIV | LOG_INFO,
           "%s %s secret=%s tier=%d generation=%llu count=%llu actor=%s request=%s",
           r->event, r->outcome, r->name, (int)r->tier,
           (unsigned long long)r->generation, (unsigned long long)r->count, r->actor,
           r->request_id);
    return 0;
}

/* -1: could not record. It is counted; "required" is a matter of the file sink. */
static int to_json(const struct secretrt_audit_record *r, void *file)
{
    char line[SECRETRT_AUDIT_LINE_MAX];

    if (secretrt_audit_json(line, sizeof(line), r) != 0)
        return -1;
    return fprintf(file, "%s\n", line) < 0 || fflush(file) != 0 ? -1 : 0;
}

static void to_log(int level, const char *message, void *data)
{
    (void)data;
    syslog(level, "%s", message);
}

int main(int argc, char **argv)
{
    struct secretrt_options o = SECRETRT_OPTIONS_INIT;
    struct secretrt_call call = SECRETRT_CALL_INIT;
    struct secretrt_item item = {"db", NULL, 0, 0};
    struct secretrt_client *client = NULL;
    struct secretrt_error e;
    int rc;

    o.audit = argc > 1 && strcmp(argv[1], "--json") == 0 ? to_json : to_syslog;
    o.audit_data = stdout;
    o.log = to_log;
    call.actor = "alice@example.com"; /* this read has its own record */
    call.purpose = "invoice run";
    call.timeout_ms = 3000;
    if ((rc = secretrt_open(&client, &o, &e)) == 0)
        rc = secretrt_read_many(&item, 1, client, &call, &e);
    if (rc != 0)
        fprintf(stderr, "%s\n", e.message);
    secretrt_value_unref(item.value);
    secretrt_close(client);
    return rc != 0;
}
