/* libcurl is included by curl_*.c of this room and by nothing else. What they must keep
 * to, and why, was measured:
 *  - no copy of an answer's secret is left behind (RELIABILITY section 2): HTTP/1.1,
 * each piece is wiped in curl's buffer as it is taken over, OpenSSL wipes its own;
 *  - no call blocks: threaded resolver and CURLOPT_QUICK_EXIT (libcurl 7.87; before it,
 *    giving up on a name waits for its resolver thread). */
#include "io/curl_transport.h"
#include "base/alloc.h"
#include "base/lock.h"
#include "base/status.h"
#include "io/clock.h"
#include "io/curl_exchange.h"
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#define CURL_TRANSPORT_HOST_CONNECTIONS 4L
#define CURL_TRANSPORT_CONNECTIONS_KEPT 32L
#define CURL_TRANSPORT_POLL_FAILED_MS 100
/* A look-up that was given up leaves a thread behind for as long as the system's
 * resolver takes: SRT_TRANSPORT_ORPHANS_MAX may be thought alive, for so long, before
 * new look-ups are refused. With at most 4 look-ups under way for one host this bounds
 * the threads. */
#define CURL_TRANSPORT_ORPHAN_MS 30000

/* ---- once per process ---- */

static struct srt_lock curl_transport_lock =
    SRT_LOCK_INIT; /* guards curl_transport_global */
static int curl_transport_global;
static struct srt_transport *curl_transport_left; /* of the parent process */

/* Never undone: a handle that the host program made later, without a count of its own,
 * would lose the library under its feet. */
static int curl_transport_global_init(void)
{
    int rc = 0;

    srt_lock_take(&curl_transport_lock);
    if (!curl_transport_global)
        rc = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : SECRETRT_ERR_NOMEM;
    curl_transport_global = rc == 0;
    srt_lock_give(&curl_transport_lock);
    return rc;
}

static int curl_transport_library_check(struct secretrt_error *err)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

    if ((info->features & CURL_VERSION_SSL) == 0)
        return srt_fail(err, SECRETRT_ERR_UNSUPPORTED,
                        "libcurl %s has no TLS: install one that has", info->version);
    if ((info->features & CURL_VERSION_ASYNCHDNS) == 0)
        return srt_fail(err, SECRETRT_ERR_UNSUPPORTED,
                        "libcurl %s resolves names in the caller's thread: install one "
                        "with AsynchDNS",
                        info->version);
    return 0;
}

/* NULL unless curl's TLS library is an OpenSSL that knows the option. The process may
 * hold a foreign libssl: so only one that curl says to use, and that is linked
 * globally. */
static srt_ssl_options_fn *curl_transport_ssl_options(CURL *easy)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    srt_ssl_options_fn *options = NULL;
    void *symbol = NULL;

    if (info->ssl_version == NULL || strncmp(info->ssl_version, "OpenSSL/", 8) != 0 ||
        info->ssl_version[8] < '3' || info->ssl_version[8] > '9')
        return NULL;
    if (curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, NULL) != CURLE_OK)
        return NULL;
    symbol = dlsym(RTLD_DEFAULT, "SSL_CTX_set_options");
    memcpy(&options, &symbol, sizeof(options)); /* ISO C has no such cast */
    return options;
}

/* ---- how a request ended ---- */

static const struct {
    CURLcode code;
    enum srt_outcome outcome;
} curl_transport_outcomes[] = {
    {CURLE_OK, SRT_OUTCOME_ANSWERED},
    {CURLE_OPERATION_TIMEDOUT, SRT_OUTCOME_TIMEOUT},
    {CURLE_OUT_OF_MEMORY, SRT_OUTCOME_NOMEM},
    {CURLE_FILESIZE_EXCEEDED, SRT_OUTCOME_TOO_LARGE},
    {CURLE_PARTIAL_FILE, SRT_OUTCOME_TRUNCATED},
    {CURLE_PEER_FAILED_VERIFICATION, SRT_OUTCOME_TLS},
    {CURLE_SSL_CERTPROBLEM, SRT_OUTCOME_TLS},
    {CURLE_SSL_CIPHER, SRT_OUTCOME_TLS},
    {CURLE_SSL_CACERT_BADFILE, SRT_OUTCOME_TLS},
    {CURLE_SSL_CRL_BADFILE, SRT_OUTCOME_TLS},
    {CURLE_SSL_ISSUER_ERROR, SRT_OUTCOME_TLS},
    {CURLE_SSL_INVALIDCERTSTATUS, SRT_OUTCOME_TLS},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, SRT_OUTCOME_TLS},
#if LIBCURL_VERSION_NUM >= 0x074d00
    {CURLE_SSL_CLIENTCERT, SRT_OUTCOME_TLS},
#endif
};

/* A handshake that the network ended, not the peers. Everything else counts as a peer
 * that can't be trusted: a forged certificate with the right names fails with a mere
 * "bad signature" (seen), and must never pass for an outage. */
static int curl_transport_was_cut(const struct srt_http_exchange *x)
{
    static const char *const signs[] = {"SSL_ERROR_SYSCALL", "SSL_ERROR_ZERO_RETURN",
                                        "unexpected eof", "Connection reset",
                                        "Broken pipe"};
    size_t i;

    for (i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        if (strstr(x->error_text, signs[i]) != NULL)
            return 1;
    }
    return 0;
}

static enum srt_outcome curl_transport_outcome(const struct srt_http_exchange *x,
                                               CURLcode code)
{
    size_t i;

    if (x->refused != 0)
        return (enum srt_outcome)x->refused;
    if (code == CURLE_OK && !x->head.ended)
        return SRT_OUTCOME_TRUNCATED; /* curl takes a head that breaks off for whole */
    for (i = 0;
         i < sizeof(curl_transport_outcomes) / sizeof(curl_transport_outcomes[0]);
         i++) {
        if (curl_transport_outcomes[i].code == code)
            return curl_transport_outcomes[i].outcome;
    }
    if (code == CURLE_SSL_CONNECT_ERROR && !curl_transport_was_cut(x))
        return SRT_OUTCOME_TLS;
    return x->head.began ? SRT_OUTCOME_TRUNCATED : SRT_OUTCOME_UNREACHABLE;
}

/* Words for what the operating system said; else curl's own for its code. */
static const char *curl_transport_why(const struct srt_http_exchange *x, CURLcode code,
                                      int os_errno)
{
    static const struct {
        int os_errno;
        const char *text;
    } table[] = {
        {ECONNREFUSED, "connection refused"}, {ECONNRESET, "connection reset"},
        {EHOSTUNREACH, "no route to host"},   {ENETUNREACH, "network unreachable"},
        {EMFILE, "too many open files"},      {ENFILE, "too many open files"},
    };
    size_t i;

    if (x->refused == SRT_OUTCOME_TOO_LARGE)
        return "answer too large";
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return "connection closed before the answer";
    if (x->look_up_refused)
        return "too many name look-ups hang";
    if (code == CURLE_OK)
        return "the connection ended inside the answer";
    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].os_errno == os_errno)
            return table[i].text;
    }
    return curl_easy_strerror(code);
}

static void curl_transport_detail(const struct srt_http_exchange *x, CURLcode code,
                                  struct srt_reply *reply)
{
    const char *why = curl_transport_why(x, code, reply->os_errno);
    size_t i;

    /* The long text tells an expired certificate from an unknown issuer. */
    if (reply->outcome == SRT_OUTCOME_TLS && x->error_text[0] != '\0')
        why = x->error_text;
    (void)srt_text_clean(reply->detail, sizeof(reply->detail), why, strlen(why));
    for (i = 0; reply->detail[i] != '\0'; i++)
        reply->detail[i] = (char)tolower((unsigned char)reply->detail[i]);
}

static void curl_transport_read_head(const struct srt_http_exchange *x,
                                     struct srt_reply *reply)
{
    const struct srt_http_head *head = &x->head;
    int64_t seconds = srt_http_retry_seconds(head->retry_after);
    time_t date = head->date[0] != '\0' ? curl_getdate(head->date, NULL) : -1;
    time_t retry = -1;

    srt_text_copy(reply->content_type, sizeof(reply->content_type), head->content_type);
    srt_text_copy(reply->request_id, sizeof(reply->request_id), head->request_id);
    reply->date_ms = date > 0 ? (int64_t)date * 1000 : 0;
    if (seconds < 0 && head->retry_after[0] != '\0')
        retry = curl_getdate(head->retry_after, NULL);
    /* A date is of the server's clock, so it is taken against the server's own. */
    if (retry > 0)
        seconds = srt_http_retry_until((int64_t)retry * 1000,
                                       reply->date_ms > 0 ? reply->date_ms
                                                          : srt_clock_wall_ms());
    reply->retry_after_ms = seconds >= 0 ? seconds * 1000 : -1;
}

static void curl_transport_read_answer(struct srt_http_exchange *x,
                                       struct srt_reply *reply)
{
    long status = 0;
    char *location = NULL;

    (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(x->easy, CURLINFO_REDIRECT_URL, &location);
    reply->status = (int)status;
    curl_transport_read_head(x, reply);
    if (location == NULL)
        return;
    srt_buf_text_add(&reply->location, location);
    if (reply->location.status != 0)
        reply->outcome = SRT_OUTCOME_NOMEM;
}

static void curl_transport_fill(struct srt_http_exchange *x, CURLcode code)
{
    struct srt_reply *reply = &x->transfer->reply;
    long asked = 0;
    long os_errno = 0;

    (void)curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &asked);
    (void)curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &os_errno);
    reply->sent = x->attempts > 0 || asked > 0;
    reply->outcome = curl_transport_outcome(x, code);
    if (reply->outcome == SRT_OUTCOME_ANSWERED)
        curl_transport_read_answer(x, reply);
    if (reply->outcome == SRT_OUTCOME_ANSWERED)
        return;
    reply->os_errno = (int)os_errno;
    curl_transport_detail(x, code, reply);
    srt_secbuf_wipe(&reply->body);
}

/* ---- an exchange's life ---- */

static void curl_transport_orphan(struct srt_transport *transport)
{
    size_t oldest = 0;
    size_t i;

    for (i = 1; i < SRT_TRANSPORT_ORPHANS_MAX; i++) {
        if (transport->orphan_until_ms[i] < transport->orphan_until_ms[oldest])
            oldest = i;
    }
    transport->orphan_until_ms[oldest] = srt_clock_boot_ms() + CURL_TRANSPORT_ORPHAN_MS;
}

static void curl_transport_drop(struct srt_http_exchange *x, int given_up)
{
    struct srt_transport *transport = x->transport;

    if (given_up && x->resolving)
        curl_transport_orphan(transport);
    srt_list_remove(&x->link);
    if (x->easy != NULL) {
        (void)curl_multi_remove_handle(transport->multi, x->easy);
        curl_easy_reset(x->easy); /* forgets all that points here */
        if (transport->idle_n < SRT_TRANSPORT_HANDLES_KEPT)
            transport->idle[transport->idle_n++] = x->easy;
        else
            curl_easy_cleanup(x->easy);
    }
    curl_slist_free_all(x->headers);
    srt_free(x);
}

void srt_transport_begin(struct srt_transport *transport, void **exchange,
                         struct srt_transfer *transfer)
{
    struct srt_http_exchange *x = srt_alloc(sizeof(*x));
    int outcome = SRT_OUTCOME_NOMEM;

    *exchange = NULL;
    if (x == NULL) {
        transfer->reply.outcome = SRT_OUTCOME_NOMEM;
        return;
    }
    x->transport = transport;
    x->transfer = transfer;
    srt_list_append(&transport->exchanges, &x->link);
    x->easy =
        transport->idle_n > 0 ? transport->idle[--transport->idle_n] : curl_easy_init();
    if (x->easy != NULL)
        outcome = srt_exchange_set_up(x);
    if (outcome == 0 && curl_multi_add_handle(transport->multi, x->easy) != CURLM_OK)
        outcome = SRT_OUTCOME_NOMEM;
    if (outcome == 0) {
        *exchange = x;
        return;
    }
    transfer->reply.outcome = (enum srt_outcome)outcome;
    curl_transport_drop(x, 0);
}

void srt_transport_abort(void *exchange)
{
    curl_transport_drop(exchange, 1);
}

void srt_transport_expire(void *exchange)
{
    struct srt_http_exchange *x = exchange;

    curl_transport_fill(x, CURLE_OPERATION_TIMEDOUT);
    curl_transport_drop(x, 1);
}

void srt_transport_perform(struct srt_transport *transport)
{
    int running = 0;
    int queued = 0;
    const CURLMsg *message;

    (void)curl_multi_perform(transport->multi, &running);
    while ((message = curl_multi_info_read(transport->multi, &queued)) != NULL) {
        struct srt_http_exchange *x = NULL;
        struct srt_transfer *transfer;
        CURLcode code = message->data.result; /* gone once the handle is removed */

        if (message->msg != CURLMSG_DONE ||
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &x) != CURLE_OK)
            continue;
        transfer = x->transfer;
        curl_transport_fill(x, code);
        curl_transport_drop(x, code == CURLE_OPERATION_TIMEDOUT);
        transport->finished(transport->self, transfer);
    }
}

void srt_transport_poll(struct srt_transport *transport, const int *fds, int *ready,
                        unsigned n, int timeout_ms)
{
    struct curl_waitfd wait[SRT_TRANSPORT_FDS_MAX] = {{.fd = -1}};
    unsigned i;

    for (i = 0; i < n; i++)
        wait[i] = (struct curl_waitfd){.fd = fds[i], .events = CURL_WAIT_POLLIN};
    if (curl_multi_poll(transport->multi, wait, n, timeout_ms, NULL) != CURLM_OK)
        (void)poll(NULL, 0,
                   CURL_TRANSPORT_POLL_FAILED_MS); /* out of memory: not a spin */
    for (i = 0; i < n; i++)
        ready[i] = wait[i].revents != 0;
}

/* ---- the transport's life ---- */

static void curl_transport_signal(void *self)
{
    struct srt_transport *transport = self;

    (void)curl_multi_wakeup(transport->multi);
}

static void curl_transport_drain(void *self)
{
    struct srt_transport *transport = self;

    (void)curl_multi_poll(transport->multi, NULL, 0, 0, NULL);
}

/* Up to libcurl 8.10 the pair that its wake-up needs, and we do not, is left to
 * whatever the host program executes. */
static void curl_transport_find_wakeup(struct srt_transport *transport)
{
    const struct srt_fd_pair_probe probe = {curl_transport_signal, curl_transport_drain,
                                            transport};

    srt_fd_list_find_pair(&transport->wakeup, &probe);
    srt_fd_list_close_on_exec(&transport->wakeup);
}

static int curl_transport_open(struct srt_transport *transport)
{
    CURL *easy = curl_easy_init();

    transport->multi = curl_multi_init();
    if (easy == NULL || transport->multi == NULL) {
        curl_easy_cleanup(easy);
        return SECRETRT_ERR_NOMEM;
    }
    transport->idle[transport->idle_n++] = easy;
    transport->ssl_options = curl_transport_ssl_options(easy);
    if (curl_multi_setopt(transport->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                          CURL_TRANSPORT_HOST_CONNECTIONS) != CURLM_OK ||
        curl_multi_setopt(transport->multi, CURLMOPT_MAXCONNECTS,
                          CURL_TRANSPORT_CONNECTIONS_KEPT) != CURLM_OK ||
        curl_multi_setopt(transport->multi, CURLMOPT_PIPELINING,
                          (long)CURLPIPE_NOTHING) != CURLM_OK)
        return SECRETRT_ERR_UNSUPPORTED;
    curl_transport_find_wakeup(transport);
    return 0;
}

int srt_transport_new(struct srt_transport **out,
                      void (*finished)(void *self, struct srt_transfer *transfer),
                      void *self, struct secretrt_error *err)
{
    struct srt_transport *transport = NULL;
    int rc = curl_transport_library_check(err);

    *out = NULL;
    if (rc == 0)
        rc = curl_transport_global_init();
    if (rc != 0)
        return srt_fail(err, rc, "libcurl can't be set up");
    transport = srt_alloc(sizeof(*transport));
    if (transport == NULL)
        return srt_nomem(err);
    srt_list_init(&transport->exchanges);
    srt_tls_files_init(&transport->tls_files);
    transport->finished = finished;
    transport->self = self;
    rc = curl_transport_open(transport);
    if (rc != 0) {
        srt_transport_free(transport);
        return srt_fail(err, rc, "libcurl can't be set up");
    }
    *out = transport;
    return 0;
}

void srt_transport_free(struct srt_transport *transport)
{
    if (transport == NULL)
        return;
    while (transport->idle_n > 0)
        curl_easy_cleanup(transport->idle[--transport->idle_n]);
    if (transport->multi != NULL)
        (void)curl_multi_cleanup(transport->multi);
    srt_fd_list_wipe(&transport->sockets); /* none is left */
    srt_fd_list_wipe(&transport->wakeup);
    srt_tls_files_wipe(&transport->tls_files);
    srt_free(transport);
}

void srt_transport_abandon(struct srt_transport *transport)
{
    srt_fd_list_close(&transport->sockets);
    srt_fd_list_close(&transport->wakeup);
    transport->left_next = curl_transport_left;
    curl_transport_left = transport;
}

int srt_transport_hygiene(const struct srt_transport *transport)
{
    return transport->ssl_options != NULL;
}
