#include "io/http_rules.h"
#include "base/status.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#define HTTP_RULES_RETRY_MAX_S 86400

/* Instance metadata and workload identity of the clouds. Reached over the host's own
 * link only, so plain http is what they speak. */
static const char *const http_rules_metadata[] = {
    "169.254.169.254",          /* AWS, Azure, GCP, OpenStack */
    "169.254.170.2",            /* AWS ECS */
    "169.254.170.23",           /* AWS EKS pod identity */
    "[fd00:ec2::254]",          /* AWS, IPv6 */
    "[fd00:ec2::23]",           /* AWS EKS pod identity, IPv6 */
    "metadata.google.internal", /* GCP's documented name */
};

static enum srt_host_kind http_rules_v4(const struct in_addr *address)
{
    uint32_t host = ntohl(address->s_addr);

    if (host >> 24 == 127)
        return SRT_HOST_LOOPBACK;
    return host >> 16 == 0xa9fe ? SRT_HOST_LINK_LOCAL : SRT_HOST_PUBLIC;
}

/* The address inside "[…]", without a zone; 1: it is one. */
static int http_rules_v6(const char *host, struct in6_addr *out)
{
    char text[INET6_ADDRSTRLEN];
    size_t len = host[0] == '[' ? strcspn(host + 1, "]%") : 0;

    if (len == 0 || len >= sizeof(text))
        return 0;
    srt_text_copy(text, len + 1, host + 1);
    return inet_pton(AF_INET6, text, out) == 1;
}

enum srt_host_kind srt_host_kind(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    size_t i;

    for (i = 0; i < sizeof(http_rules_metadata) / sizeof(http_rules_metadata[0]); i++) {
        if (strcasecmp(host, http_rules_metadata[i]) == 0)
            return SRT_HOST_METADATA;
    }
    if (strcasecmp(host, "localhost") == 0)
        return SRT_HOST_LOOPBACK;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return http_rules_v4(&v4);
    if (!http_rules_v6(host, &v6))
        return SRT_HOST_PUBLIC;
    if (IN6_IS_ADDR_LOOPBACK(&v6))
        return SRT_HOST_LOOPBACK;
    return IN6_IS_ADDR_LINKLOCAL(&v6) ? SRT_HOST_LINK_LOCAL : SRT_HOST_PUBLIC;
}

int srt_host_is_literal(const char *host)
{
    struct in_addr v4;

    return host[0] == '[' || inet_pton(AF_INET, host, &v4) == 1;
}

int srt_http_allowed(const char *scheme, enum srt_host_kind kind)
{
    if (strcasecmp(scheme, "https") == 0)
        return 1;
    return strcasecmp(scheme, "http") == 0 &&
           (kind == SRT_HOST_LOOPBACK || kind == SRT_HOST_METADATA);
}

/* The value when `line` is a header of that name, its length in *len; else NULL. */
static const char *http_rules_value(const char *line, size_t line_len, const char *name,
                                    size_t *len)
{
    size_t name_len = strlen(name);
    const char *at = line + name_len + 1;
    const char *end = line + line_len;

    if (line_len <= name_len || line[name_len] != ':' ||
        strncasecmp(line, name, name_len) != 0)
        return NULL;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (end > at && strchr(" \t\r\n", end[-1]) != NULL)
        end--;
    *len = (size_t)(end - at);
    return at;
}

static void http_rules_keep(char *out, size_t cap, const char *line, size_t line_len,
                            const char *name)
{
    size_t len = 0;
    const char *value = http_rules_value(line, line_len, name, &len);

    if (value != NULL && out[0] == '\0')
        (void)srt_text_clean(out, cap, value, len);
}

static void http_rules_content_type(struct srt_http_head *head, const char *line,
                                    size_t line_len)
{
    size_t len = 0;
    const char *value = http_rules_value(line, line_len, "content-type", &len);
    size_t i;

    for (i = 0; value != NULL && i < len; i++) {
        if (value[i] == ';' || value[i] == ' ')
            break;
    }
    if (value == NULL)
        return;
    (void)srt_text_clean(head->content_type, sizeof(head->content_type), value, i);
    for (i = 0; head->content_type[i] != '\0'; i++)
        head->content_type[i] = (char)tolower((unsigned char)head->content_type[i]);
}

int srt_http_head_line(struct srt_http_head *head, const char *line, size_t len)
{
    static const char *const ids[] = {"x-request-id",     "x-vault-request-id",
                                      "x-amzn-requestid", "x-amzn-request-id",
                                      "x-amz-request-id", "x-ms-request-id"};
    size_t i;

    if (len > SRT_HTTP_HEAD_MAX - head->len)
        return SECRETRT_ERR_PROTOCOL;
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        size_t so_far = head->len; /* what an interim answer said is void */

        *head = (struct srt_http_head){.len = so_far, .began = 1};
    }
    head->len += len;
    head->ended = head->ended || (len <= 2 && (line[0] == '\r' || line[0] == '\n'));
    http_rules_content_type(head, line, len);
    http_rules_keep(head->retry_after, sizeof(head->retry_after), line, len,
                    "retry-after");
    http_rules_keep(head->date, sizeof(head->date), line, len, "date");
    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        http_rules_keep(head->request_id, sizeof(head->request_id), line, len, ids[i]);
    return 0;
}

int64_t srt_http_retry_seconds(const char *text)
{
    int64_t seconds = 0;
    size_t i;

    if (text[0] == '\0')
        return -1;
    for (i = 0; text[i] != '\0'; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        if (seconds < HTTP_RULES_RETRY_MAX_S)
            seconds = seconds * 10 + (text[i] - '0');
    }
    return seconds < HTTP_RULES_RETRY_MAX_S ? seconds : HTTP_RULES_RETRY_MAX_S;
}

int64_t srt_http_retry_until(int64_t until_ms, int64_t now_ms)
{
    int64_t seconds = (until_ms - now_ms + 999) / 1000;

    if (seconds < 0)
        return 0;
    return seconds < HTTP_RULES_RETRY_MAX_S ? seconds : HTTP_RULES_RETRY_MAX_S;
}
