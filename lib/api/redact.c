/* Redaction: every value that is live, a candidate, or was replaced a short while ago.
 */
#include "observe/redact.h"
#include "api/client.h"
#include <secretrt/report.h>

size_t secretrt_redact(char *text, size_t len, struct secretrt_client *client)
{
    struct srt_list *it, *tmp;

    if (text == NULL || client == NULL || srt_client_ready(client, NULL) != 0)
        return len;
    srt_lock_take(&client->lock);
    SRT_LIST_EACH(it, tmp, &client->managed)
    {
        struct srt_managed *managed = SRT_CONTAINER(it, struct srt_managed, link);

        if (managed->answer != NULL)
            len = srt_redact(text, len, managed->answer->candidate->bundle);
        for (size_t i = 0; i < SRT_RECENT_MAX && managed->recent[i] != NULL; i++)
            len = srt_redact(text, len, managed->recent[i]);
    }
    srt_lock_give(&client->lock);
    return len;
}
