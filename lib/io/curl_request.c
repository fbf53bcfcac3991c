/* Sets up one request: limits, trust, address, headers, body. Each static function that
 * sets answers 0 or the enum srt_outcome of its failure. */
#include "base/alloc.h"
#include "base/status.h"
#include "io/curl_exchange.h"
#include <string.h>
#include <strings.h>

#define CURL_REQUEST_CONNECT_MAX_MS 2000
#define CURL_REQUEST_TIMEOUT_DEFAULT_MS 10000

static int curl_request_set_limits(struct srt_http_exchange *x)
{
    const struct srt_request *request = &x->transfer->request;
    long timeout_ms = request->timeout_ms == 0 ? CURL_REQUEST_TIMEOUT_DEFAULT_MS
                                               : (long)request->timeout_ms;
    long connect_ms = timeout_ms < CURL_REQUEST_CONNECT_MAX_MS
                          ? timeout_ms
                          : CURL_REQUEST_CONNECT_MAX_MS;
    curl_off_t max = request->max_len == 0 ? SRT_SECBUF_MAX : request->max_len;
    CURL *easy = x->easy;
    unsigned bad = 0;

    bad |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    (void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
    bad |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    bad |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    bad |= curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    bad |= curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "libsecretrt");
    bad |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    bad |= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, max);
#if LIBCURL_VERSION_NUM >= 0x075500
    bad |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    bad |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
                            (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    return bad != 0 ? SRT_OUTCOME_NOMEM : 0;
}

static unsigned curl_request_set_file(CURL *easy, CURLoption option, const char *path,
                                      int generation)
{
    struct srt_buf spelled;
    unsigned bad;

    if (path == NULL || path[0] == '\0')
        return 0;
    srt_buf_init(&spelled, 0);
    srt_tls_spell(&spelled, path, generation);
    bad = spelled.status != 0 ||
          curl_easy_setopt(easy, option, srt_buf_text(&spelled)) != CURLE_OK;
    srt_buf_wipe(&spelled);
    return bad;
}

/* curl takes up a kept-alive connection again, and certificates that it has parsed, by
 * the text of the paths: hence a spelling per generation of the files. */
static int curl_request_set_tls(struct srt_http_exchange *x)
{
    const struct srt_tls *tls = &x->transfer->request.tls;
    int generation = srt_tls_generation(&x->transport->tls_files, tls);
    CURL *easy = x->easy;
    unsigned bad = generation < 0;

    bad |= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    bad |= curl_request_set_file(easy, CURLOPT_CAINFO, tls->ca_file, generation);
    bad |=
        curl_request_set_file(easy, CURLOPT_SSLCERT, tls->client_cert_file, generation);
    bad |=
        curl_request_set_file(easy, CURLOPT_SSLKEY, tls->client_key_file, generation);
    if (tls->ca_file != NULL && tls->ca_file[0] != '\0')
        bad |= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* trust that file only */
    return bad != 0 ? SRT_OUTCOME_NOMEM : 0;
}

static int curl_request_refuse(struct srt_http_exchange *x, const char *why)
{
    srt_text_copy(x->transfer->reply.detail, sizeof(x->transfer->reply.detail), why);
    return SRT_OUTCOME_REFUSED;
}

static int curl_request_judge_url(struct srt_http_exchange *x, CURLU *url,
                                  const char *text)
{
    char *scheme = NULL;
    char *host = NULL;
    enum srt_host_kind kind;
    int outcome = 0;

    if (curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
        outcome = curl_request_refuse(x, "not a url");
        goto done;
    }
    kind = srt_host_kind(host);
    x->literal = srt_host_is_literal(host);
    if (!srt_http_allowed(scheme, kind))
        outcome = curl_request_refuse(x, "plain http to a host that is not loopback");
    else if (kind != SRT_HOST_PUBLIC &&
             curl_easy_setopt(x->easy, CURLOPT_PROXY, "") != CURLE_OK)
        outcome = SRT_OUTCOME_NOMEM;
done:
    curl_free(scheme);
    curl_free(host);
    return outcome;
}

static int curl_request_set_url(struct srt_http_exchange *x)
{
    const struct srt_request *request = &x->transfer->request;
    const char *base = srt_buf_text(&request->base);
    size_t base_len = strlen(base);
    CURLU *url = curl_url();
    struct srt_buf text;
    int outcome = SRT_OUTCOME_NOMEM;

    srt_buf_init(&text, 0);
    while (base_len > 0 && base[base_len - 1] == '/')
        base_len--;
    srt_buf_add(&text, base, base_len);
    srt_buf_text_add(&text, srt_buf_text(&request->target));
    if (url != NULL && text.status == 0)
        outcome = curl_request_judge_url(x, url, srt_buf_text(&text));
    if (outcome == 0 &&
        curl_easy_setopt(x->easy, CURLOPT_URL, srt_buf_text(&text)) != CURLE_OK)
        outcome = SRT_OUTCOME_NOMEM;
    srt_buf_wipe(&text);
    curl_url_cleanup(url);
    return outcome;
}

static int curl_request_add_header(struct srt_http_exchange *x, const char *line,
                                   size_t len)
{
    char *text = srt_strndup(line, len);
    struct curl_slist *grown =
        text != NULL ? curl_slist_append(x->headers, text) : NULL;

    srt_free(text);
    if (grown == NULL)
        return SRT_OUTCOME_NOMEM;
    x->headers = grown;
    return 0;
}

static int curl_request_add_line(struct srt_http_exchange *x, const char *line)
{
    return curl_request_add_header(x, line, strlen(line));
}

/* *typed: 1 when one of them is Content-Type. */
static int curl_request_add_lines(struct srt_http_exchange *x, int *typed)
{
    const char *at = srt_buf_text(&x->transfer->request.headers);
    int outcome = 0;

    while (*at != '\0' && outcome == 0) {
        size_t len = strcspn(at, "\r\n");

        if (len > 0)
            outcome = curl_request_add_header(x, at, len);
        *typed = *typed || strncasecmp(at, "content-type:", 13) == 0;
        at += len + strspn(at + len, "\r\n");
    }
    return outcome;
}

static int curl_request_set_headers(struct srt_http_exchange *x)
{
    const struct srt_request *request = &x->transfer->request;
    static const char json[] = "Content-Type: application/json";
    static const char no_form[] = "Content-Type:"; /* takes curl's own out */
    const struct srt_secbuf *secret = &request->secret_header;
    struct curl_slist *first = NULL;
    int typed = 0;
    int outcome = curl_request_add_lines(x, &typed);

    if (secret->len > 0 && (memchr(secret->data, '\n', secret->len) != NULL ||
                            memchr(secret->data, '\r', secret->len) != NULL ||
                            memchr(secret->data, '\0', secret->len) != NULL))
        return curl_request_refuse(x, "a header with a line end in it");
    if (outcome == 0 && !typed)
        outcome = curl_request_add_line(x, request->body.len > 0 ? json : no_form);
    if (outcome == 0)
        outcome = curl_request_add_line(x, "Expect:");
    if (outcome == 0 && request->body.len > 0 && !request->sized)
        outcome = curl_request_add_line(x, "Transfer-Encoding: chunked");
    first = x->headers;
    if (secret->len > 0) {
        x->secret_header = (struct curl_slist){.data = secret->data, .next = first};
        first = &x->secret_header;
    }
    if (outcome == 0 &&
        curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, first) != CURLE_OK)
        outcome = SRT_OUTCOME_NOMEM;
    return outcome;
}

static int curl_request_set_body(struct srt_http_exchange *x)
{
    const struct srt_request *request = &x->transfer->request;
    const char *method = request->method != NULL ? request->method : "GET";
    curl_off_t len = request->sized ? (curl_off_t)request->body.len : -1;
    CURL *easy = x->easy;
    unsigned bad = 0;

    if (request->body.len > 0) {
        bad |= curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        bad |= curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, len);
    } else if (strcmp(method, "PUT") == 0 || strcmp(method, "POST") == 0) {
        bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
        bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
    } else if (strcmp(method, "HEAD") == 0) {
        bad |= curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    if (strcmp(method, "GET") != 0 || request->body.len > 0)
        bad |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    return bad != 0 ? SRT_OUTCOME_NOMEM : 0;
}

int srt_exchange_set_up(struct srt_http_exchange *x)
{
    int outcome = srt_exchange_set_callbacks(x);

    if (outcome == 0)
        outcome = curl_request_set_limits(x);
    if (outcome == 0)
        outcome = curl_request_set_tls(x);
    if (outcome == 0)
        outcome = curl_request_set_url(x);
    if (outcome == 0)
        outcome = curl_request_set_headers(x);
    return outcome == 0 ? curl_request_set_body(x) : outcome;
}
