/* One exchange with the world: what a provider asks for and what came back. io/ (or a
 * test's scripted wire) executes it. */
#ifndef SRT_ENGINE_WIRE_H
#define SRT_ENGINE_WIRE_H

#include "base/buf.h"
#include "base/list.h"
#include "mem/secbuf.h"
#include <stdint.h>

enum srt_request_kind {
    SRT_REQUEST_NONE = 0,
    SRT_REQUEST_HTTP,
    SRT_REQUEST_FILE,       /* the whole content of one regular file */
    SRT_REQUEST_ENVIRONMENT /* one variable */
};

/* Files of a TLS connection; "" and NULL: the system's trust, no client certificate.
 * Part of a connection's key. */
struct srt_tls {
    const char *ca_file;
    const char *client_cert_file;
    const char *client_key_file;
};

struct srt_request {
    enum srt_request_kind kind;
    const char *method;     /* HTTP: "GET", "PUT", "POST"; static text */
    struct srt_buf target;  /* HTTP: "/v1/…" below the store's current address, or an
                               absolute URL; FILE: path; ENVIRONMENT: name */
    struct srt_buf base;    /* HTTP: the address that the engine chose; "" with an
                               absolute target */
    struct srt_buf headers; /* "Name: value\n" lines; no secret */
    struct srt_secbuf
        secret_header;      /* one line "X-Vault-Token: …" without newline, or "" */
    struct srt_secbuf body; /* HTTP: sent as JSON, chunked, and wiped as it is sent */
    struct srt_tls tls;     /* borrowed from the store's settings */
    uint32_t timeout_ms;    /* total; the engine sets it */
    uint32_t max_len;       /* ceiling of the answer; 0: SRT_SECBUF_MAX */
    int sized;              /* 1: the body goes with Content-Length, not chunked: for
                               servers that refuse chunked bodies */
    int idempotent; /* 1: io may repeat it once on a stale kept-alive connection */
};

/* How it ended, before any meaning. */
enum srt_outcome {
    SRT_OUTCOME_NONE = 0,
    SRT_OUTCOME_ANSWERED, /* HTTP: status and body are set; FILE, ENVIRONMENT: the body
                           */
    SRT_OUTCOME_UNREACHABLE, /* resolve, connect, reset; FILE: an error that may pass */
    SRT_OUTCOME_TIMEOUT,
    SRT_OUTCOME_TLS, /* the peer could not be verified: not retried fast */
    SRT_OUTCOME_TOO_LARGE,
    SRT_OUTCOME_TRUNCATED, /* the connection ended inside the answer */
    SRT_OUTCOME_ABSENT,    /* FILE: no such file; ENVIRONMENT: not set */
    SRT_OUTCOME_REFUSED,   /* FILE: permission, not a regular file; HTTP: plain http to
                              a host that is not loopback */
    SRT_OUTCOME_NOMEM
};

struct srt_reply {
    enum srt_outcome outcome;
    int sent;   /* 1: the server may have acted on it */
    int status; /* HTTP status */
    struct srt_secbuf body;
    struct srt_buf location; /* of a redirect; followed only by the engine */
    char content_type[64];   /* lower case, without parameters; "" if none */
    char request_id[64];     /* X-Request-Id or the like, cleaned; "" if none */
    char detail[96];         /* why not answered, cleaned: "connection refused" */
    int64_t retry_after_ms;  /* from Retry-After (seconds or date); -1: none */
    int64_t date_ms;         /* the server's clock; 0: none */
    uint32_t file_mode;      /* FILE: st_mode */
    uint32_t file_uid;       /* FILE: st_uid */
    int os_errno;
};

/* Owned by who sends it; io links itself by `io`, the engine finds its own by `owner`.
 */
struct srt_transfer {
    struct srt_request request;
    struct srt_reply reply;
    void (*done)(struct srt_transfer *transfer); /* on the engine's thread */
    void *owner;
    void *io; /* the executing side's own state while in flight; NULL otherwise */
    struct srt_list link; /* the executing side's lists */
};

void srt_request_wipe(struct srt_request *request); /* idempotent; leaves it zeroed */
void srt_reply_wipe(struct srt_reply *reply);

#endif
