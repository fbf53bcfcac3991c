/* What libcurl calls in the course of an exchange. */
#include "io/clock.h"
#include "io/curl_exchange.h"
#include "mem/wipe.h"
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* SSL_OP_CLEANSE_PLAINTEXT, OpenSSL 3; libssl is curl's, we do not link it. */
#define CURL_CALLBACK_SSL_CLEANSE ((uint64_t)2)

static size_t curl_callback_on_body(char *data, size_t size, size_t n, void *arg)
{
    struct srt_http_exchange *x = arg;
    struct srt_secbuf *body = &x->transfer->reply.body;
    size_t len = size * n;

    srt_secbuf_add(body, data, len);
    /* curl's own buffer: it has no further use for what was delivered. Not documented
     * as writable; the scanner test shows if that ever ends. */
    srt_wipe(data, len);
    if (body->status == 0)
        return len;
    x->refused =
        body->status == SECRETRT_ERR_NOMEM ? SRT_OUTCOME_NOMEM : SRT_OUTCOME_TOO_LARGE;
    return 0;
}

static size_t curl_callback_on_header(char *data, size_t size, size_t n, void *arg)
{
    struct srt_http_exchange *x = arg;

    if (srt_http_head_line(&x->head, data, size * n) == 0)
        return size * n;
    x->refused = SRT_OUTCOME_TOO_LARGE;
    return 0;
}

/* Each call gets the upload buffer that the one before had filled, and the last, which
 * sends nothing, leaves it wiped. */
static size_t curl_callback_on_read(char *out, size_t size, size_t n, void *arg)
{
    struct srt_http_exchange *x = arg;
    const struct srt_secbuf *body = &x->transfer->request.body;
    size_t len = body->len - x->body_sent;

    srt_wipe(out, size * n);
    if (len > size * n)
        len = size * n;
    /* With a length known ahead curl does not ask again after the last byte: keep it
     * for a call of its own. */
    if (x->transfer->request.sized && len > 1 && len == body->len - x->body_sent)
        len--;
    if (len > 0)
        memcpy(out, body->data + x->body_sent, len);
    x->body_sent += len;
    return len;
}

static int curl_callback_on_seek(void *arg, curl_off_t offset, int origin)
{
    struct srt_http_exchange *x = arg;

    if (origin != SEEK_SET || offset != 0)
        return CURL_SEEKFUNC_FAIL;
    x->body_sent = 0;
    return CURL_SEEKFUNC_OK;
}

static curl_socket_t curl_callback_on_open(void *arg, curlsocktype purpose,
                                           struct curl_sockaddr *address)
{
    struct srt_http_exchange *x = arg;
    int fd =
        socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

    (void)purpose;
    x->resolving = 0;
    if (fd < 0)
        return CURL_SOCKET_BAD;
    if (srt_fd_list_add(&x->transport->sockets, fd) == 0)
        return fd;
    (void)close(fd);
    return CURL_SOCKET_BAD;
}

static int curl_callback_on_close(void *arg, curl_socket_t fd)
{
    struct srt_transport *transport = arg;

    srt_fd_list_remove(&transport->sockets, fd);
    return close(fd);
}

static int curl_callback_on_resolve(void *state, void *reserved, void *arg)
{
    struct srt_http_exchange *x = arg;
    int64_t now_ms = srt_clock_boot_ms();
    size_t alive = 0;
    size_t i;

    (void)state;
    (void)reserved;
    if (x->literal)
        return 0;
    for (i = 0; i < SRT_TRANSPORT_ORPHANS_MAX; i++)
        alive += x->transport->orphan_until_ms[i] > now_ms;
    x->resolving = alive < SRT_TRANSPORT_ORPHANS_MAX;
    x->look_up_refused = !x->resolving;
    return x->look_up_refused;
}

#if LIBCURL_VERSION_NUM >= 0x075000
/* curl repeats a request by itself when a kept-alive connection turns out to be dead
 * after it was used: once is enough, and what may not happen twice is not repeated. */
static int curl_callback_on_request(void *arg, char *to_ip, char *from_ip, int to_port,
                                    int from_port)
{
    struct srt_http_exchange *x = arg;

    (void)to_ip;
    (void)from_ip;
    (void)to_port;
    (void)from_port;
    x->resolving = 0;
    if (x->attempts > (x->transfer->request.idempotent ? 1U : 0U))
        return CURL_PREREQFUNC_ABORT;
    x->attempts++;
    return CURL_PREREQFUNC_OK;
}
#endif

static CURLcode curl_callback_on_ssl(CURL *easy, void *ssl_ctx, void *arg)
{
    const struct srt_transport *transport = arg;

    (void)easy;
    (void)transport->ssl_options(ssl_ctx, CURL_CALLBACK_SSL_CLEANSE);
    return CURLE_OK;
}

int srt_exchange_set_callbacks(struct srt_http_exchange *x)
{
    struct srt_transport *transport = x->transport;
    CURL *easy = x->easy;
    unsigned bad = 0;

    bad |= curl_easy_setopt(easy, CURLOPT_PRIVATE, x);
    bad |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->error_text);
    bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, curl_callback_on_body);
    bad |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
    bad |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, curl_callback_on_header);
    bad |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
    bad |= curl_easy_setopt(easy, CURLOPT_READFUNCTION, curl_callback_on_read);
    bad |= curl_easy_setopt(easy, CURLOPT_READDATA, x);
    bad |= curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, curl_callback_on_seek);
    bad |= curl_easy_setopt(easy, CURLOPT_SEEKDATA, x);
    bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, curl_callback_on_open);
    bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, x);
    bad |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, curl_callback_on_close);
    bad |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transport);
    bad |= curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION,
                            curl_callback_on_resolve);
    bad |= curl_easy_setopt(easy, CURLOPT_RESOLVER_START_DATA, x);
#if LIBCURL_VERSION_NUM >= 0x075000
    bad |= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, curl_callback_on_request);
    bad |= curl_easy_setopt(easy, CURLOPT_PREREQDATA, x);
#else
    if (!x->transfer->request.idempotent)
        bad |= curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
#endif
    if (transport->ssl_options != NULL) {
        bad |= curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, curl_callback_on_ssl);
        bad |= curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, transport);
    }
    return bad != 0 ? SRT_OUTCOME_NOMEM : 0;
}
