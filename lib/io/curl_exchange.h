/* What the files over libcurl (curl_*.c) share: nobody else includes this. */
#ifndef SRT_IO_CURL_EXCHANGE_H
#define SRT_IO_CURL_EXCHANGE_H

#include "io/curl_transport.h"
#include "io/descriptor.h"
#include "io/http_rules.h"
#include "io/tls_files.h"
#include <curl/curl.h>

#define SRT_TRANSPORT_HANDLES_KEPT 8
#define SRT_TRANSPORT_ORPHANS_MAX 8

typedef uint64_t srt_ssl_options_fn(void *ssl_ctx, uint64_t options);

struct srt_transport {
    CURLM *multi;
    CURL *idle[SRT_TRANSPORT_HANDLES_KEPT];
    size_t idle_n;
    struct srt_list exchanges;
    struct srt_tls_files tls_files;
    struct srt_fd_list sockets; /* to close in a forked child */
    struct srt_fd_list wakeup;  /* curl's own pair, likewise */
    int64_t orphan_until_ms[SRT_TRANSPORT_ORPHANS_MAX];
    srt_ssl_options_fn *ssl_options; /* NULL: reduced hygiene */
    void (*finished)(void *self, struct srt_transfer *transfer);
    void *self;
    struct srt_transport *left_next; /* in a forked child */
};

struct srt_http_exchange {
    struct srt_list link;
    struct srt_transport *transport;
    struct srt_transfer *transfer;
    CURL *easy;
    struct curl_slist *headers;
    struct curl_slist secret_header; /* its data is the arena's: no copy on the heap */
    struct srt_http_head head;
    size_t body_sent;
    unsigned attempts; /* requests begun on a connection */
    int literal;       /* the host is an address */
    int resolving;
    int look_up_refused;
    int refused; /* enum srt_outcome that a callback stopped it for; 0: none */
    char error_text[CURL_ERROR_SIZE];
};

/* Each answers 0, or the enum srt_outcome that the request failed with. */
int srt_exchange_set_callbacks(struct srt_http_exchange *x);
int srt_exchange_set_up(struct srt_http_exchange *x);

#endif
