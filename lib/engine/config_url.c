#include "codec/text.h"
#include "engine/config_build.h"
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define CONFIG_URL_HOST_MAX 256
#define CONFIG_URL_PORT_MAX 65535

struct config_url {
    int plain;   /* http */
    int literal; /* the host stood in brackets */
    char host[CONFIG_URL_HOST_MAX];
};

static int config_url_loopback(const struct config_url *url)
{
    static const unsigned char one[16] = {[15] = 1};
    unsigned char address[16];

    if (url->literal)
        return inet_pton(AF_INET6, url->host, address) == 1 &&
               memcmp(address, one, sizeof(one)) == 0;
    if (strcasecmp(url->host, "localhost") == 0)
        return 1;
    return inet_pton(AF_INET, url->host, address) == 1 && address[0] == 127;
}

/* NULL, or what is wrong with "host", "host:port", "[::1]:port". */
static const char *config_url_host(struct config_url *url, const char *text, size_t len)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789.-_";
    unsigned char address[16];
    const char *end = NULL;
    int64_t port = 0;
    size_t n;

    url->literal = len > 0 && text[0] == '[';
    if (url->literal) {
        text++;
        len--;
    }
    end = memchr(text, url->literal ? ']' : ':', len);
    n = end != NULL ? (size_t)(end - text) : len;
    if (n == 0)
        return "names no host";
    if (n >= sizeof(url->host) || (url->literal && end == NULL))
        return "has a malformed host";
    memcpy(url->host, text, n);
    url->host[n] = '\0';
    if (url->literal ? inet_pton(AF_INET6, url->host, address) != 1
                     : strspn(url->host, chars) != n)
        return "has a malformed host";
    text += n + (size_t)url->literal;
    len -= n + (size_t)url->literal;
    if (len == 0)
        return NULL;
    if (text[0] != ':' ||
        srt_decimal_parse(&port, text + 1, len - 1, 1, CONFIG_URL_PORT_MAX) != 0)
        return "has a malformed port";
    return NULL;
}

static const char *config_url_split(struct config_url *url, const char *text)
{
    size_t len;
    const char *why;

    url->plain = strncmp(text, "http://", 7) == 0;
    if (!url->plain && strncmp(text, "https://", 8) != 0)
        return "must begin with \"https://\"";
    for (const char *c = text; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~' || *c == '\\')
            return "holds a character that no URL has";
    }
    text += url->plain ? 7 : 8;
    len = strcspn(text, "/?#");
    if (memchr(text, '@', len) != NULL)
        return "must not hold a user name or password";
    why = config_url_host(url, text, len);
    if (why == NULL && strpbrk(text + len, "?#") != NULL)
        why = "must not hold a query or a fragment";
    return why;
}

int srt_config_url(struct srt_config_build *build, struct srt_buf *out,
                   const char *text)
{
    struct config_url url = {.plain = 0};
    const char *why = config_url_split(&url, text);
    char host[SRT_FOREIGN_MAX];
    size_t len = strlen(text);

    if (why != NULL)
        return srt_config_bad(build, "%s", why);
    if (url.plain && !config_url_loopback(&url)) {
        srt_text_clean(host, sizeof(host), url.host, strlen(url.host));
        return srt_config_bad(build, "plain http to %s is refused: use https", host);
    }
    while (text[len - 1] == '/')
        len--;
    srt_buf_add(out, text, len);
    return 0;
}
