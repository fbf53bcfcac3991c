#include "engine/wire.h"

void srt_request_wipe(struct srt_request *request)
{
    srt_buf_wipe(&request->target);
    srt_buf_wipe(&request->base);
    srt_buf_wipe(&request->headers);
    srt_secbuf_wipe(&request->secret_header);
    srt_secbuf_wipe(&request->body);
    *request = (struct srt_request){.kind = SRT_REQUEST_NONE};
}

void srt_reply_wipe(struct srt_reply *reply)
{
    srt_secbuf_wipe(&reply->body);
    srt_buf_wipe(&reply->location);
    *reply = (struct srt_reply){.outcome = SRT_OUTCOME_NONE};
}
