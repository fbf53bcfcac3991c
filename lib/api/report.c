/* Reports. The engine is the renewal thread's: an inventory is taken in its turn. */
#include "api/client.h"
#include "base/alloc.h"
#include "base/status.h"
#include "observe/inventory.h"
#include <secretrt/report.h>

struct report_wait {
    struct srt_job job;
    struct secretrt_client *client;
    struct srt_inventory inventory;
    int done;
    int abandoned; /* the caller has gone: the job frees it */
};

static void report_wait_free(struct report_wait *wait)
{
    srt_inventory_wipe(&wait->inventory);
    srt_free(wait);
}

static void report_take(struct srt_job *job)
{
    struct report_wait *wait = SRT_CONTAINER(job, struct report_wait, job);
    struct secretrt_client *client = wait->client;
    int abandoned;

    srt_engine_survey(client->engine, srt_inventory_add, &wait->inventory);
    srt_lock_take(&client->lock);
    wait->done = 1;
    abandoned = wait->abandoned;
    srt_cond_signal_all(&client->changed);
    srt_lock_give(&client->lock);
    if (abandoned)
        report_wait_free(wait);
}

static int report_inventory(struct srt_buf *out, struct secretrt_client *client,
                            int json, struct secretrt_error *err)
{
    struct report_wait *wait = srt_alloc(sizeof(*wait));
    int64_t until_ms = srt_call_deadline_ms(client, NULL);
    int done;

    if (wait == NULL)
        return srt_nomem(err);
    srt_inventory_init(&wait->inventory, json);
    wait->client = client;
    wait->job.run = report_take;
    srt_loop_post(client->loop, &wait->job);
    srt_lock_take(&client->lock);
    client->callers++;
    while (!wait->done &&
           srt_cond_wait_until(&client->changed, &client->lock, until_ms))
        ;
    srt_client_leave(client);
    done = wait->done;
    wait->abandoned = !done;
    srt_lock_give(&client->lock);
    if (!done)
        return srt_fail(err, SECRETRT_ERR_TIMEOUT,
                        "the renewal thread does not answer");
    srt_inventory_write(out, &wait->inventory);
    if (wait->inventory.rows.status != 0)
        out->status = wait->inventory.rows.status;
    report_wait_free(wait);
    return 0;
}

int secretrt_report(char **out, struct secretrt_client *client, int kind,
                    struct secretrt_error *err)
{
    struct srt_buf text;
    int rc;

    srt_error_clear(err);
    if (out == NULL || client == NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "secretrt_report: out or client is NULL");
    *out = NULL;
    if (kind < SECRETRT_REPORT_INVENTORY || kind > SECRETRT_REPORT_CONFIG_JSON)
        return srt_fail(err, SECRETRT_ERR_INVALID, "unknown kind of report");
    rc = srt_client_ready(client, err);
    if (rc != 0)
        return rc;
    srt_buf_init(&text, 0);
    if (kind == SECRETRT_REPORT_CONFIG_JSON)
        srt_config_report(&text, client->config);
    else
        rc = report_inventory(&text, client, kind == SECRETRT_REPORT_INVENTORY_JSON,
                              err);
    if (rc == 0) {
        *out = srt_buf_take(&text);
        if (*out == NULL)
            rc = srt_nomem(err);
    }
    srt_buf_wipe(&text);
    return rc;
}

void secretrt_text_free(char *text)
{
    srt_free(text);
}
