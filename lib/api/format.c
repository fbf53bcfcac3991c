/* secretrt_value_format: a template whose result is a protected value. */
#include "base/status.h"
#include "codec/json.h"
#include "codec/text.h"
#include "engine/value.h"
#include "mem/arena.h"
#include "mem/wipe.h"
#include <secretrt/value.h>
#include <string.h>

#define FORMAT_RESULT_MAX (256 * 1024)
#define FORMAT_NAME_MAX 128

struct format_filter {
    const char *name;
    void (*put)(struct srt_secbuf *out, const char *data, size_t len);
    int one_line; /* CR and LF can't be carried */
};

static void format_url(struct srt_secbuf *out, const char *data, size_t len)
{
    srt_percent_encode_secret(out, data, len);
}

static void format_escaped(struct srt_secbuf *out, const char *data, size_t len,
                           const char *special)
{
    for (size_t i = 0; i < len; i++) {
        if (strchr(special, data[i]) != NULL)
            srt_secbuf_char(out, '\\');
        srt_secbuf_char(out, data[i]);
    }
}

/* libpq: 'it''s' is written 'it\'s', in quotes. */
static void format_conninfo(struct srt_secbuf *out, const char *data, size_t len)
{
    srt_secbuf_char(out, '\'');
    format_escaped(out, data, len, "'\\");
    srt_secbuf_char(out, '\'');
}

static void format_pgpass(struct srt_secbuf *out, const char *data, size_t len)
{
    format_escaped(out, data, len, ":\\");
}

static void format_plain(struct srt_secbuf *out, const char *data, size_t len)
{
    srt_secbuf_add(out, data, len);
}

static void format_base64(struct srt_secbuf *out, const char *data, size_t len)
{
    srt_base64_encode(out, data, len);
}

static const struct format_filter format_filters[] = {
    {"", format_plain, 1},
    {"url", format_url, 0},
    {"conninfo", format_conninfo, 1},
    {"pgpass", format_pgpass, 1},
    {"json", srt_json_quote, 0},
    {"base64", format_base64, 0},
};

static const struct format_filter *format_find(const char *name)
{
    for (size_t i = 0; i < sizeof(format_filters) / sizeof(format_filters[0]); i++)
        if (strcmp(format_filters[i].name, name) == 0)
            return &format_filters[i];
    return NULL;
}

static const char *format_data(const struct secretrt_value *value, const char *name,
                               size_t *len)
{
    if (name[0] != '\0')
        return srt_bundle_field(value->bundle, name, len);
    if (value->field != NULL)
        return srt_bundle_field(value->bundle, value->field, len);
    return srt_bundle_count(value->bundle) == 1 ? srt_bundle_at(value->bundle, 0, len)
                                                : NULL;
}

static int format_carries(const struct format_filter *filter, const char *data,
                          size_t len)
{
    if (memchr(data, '\0', len) != NULL && filter->put != format_base64 &&
        filter->put != format_url)
        return 0;
    return !filter->one_line ||
           (memchr(data, '\r', len) == NULL && memchr(data, '\n', len) == NULL);
}

/* One "{field|filter}", of which text is what the braces hold. */
static int format_field(struct srt_secbuf *out, const struct secretrt_value *value,
                        const char *text, size_t text_len, struct secretrt_error *err)
{
    char name[FORMAT_NAME_MAX];
    const struct format_filter *filter;
    char clean[SRT_FOREIGN_MAX];
    const char *data;
    char *bar;
    size_t len = 0;

    if (text_len >= sizeof(name))
        return srt_fail(err, SECRETRT_ERR_INVALID, "a field in the format is too long");
    memcpy(name, text, text_len);
    name[text_len] = '\0';
    bar = strchr(name, '|');
    if (bar != NULL)
        *bar = '\0';
    filter = format_find(bar != NULL ? bar + 1 : "");
    if (filter == NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "unknown filter \"%s\": url, conninfo, pgpass, json or base64",
                        srt_text_clean(clean, sizeof(clean), bar + 1, strlen(bar + 1)));
    srt_text_clean(clean, sizeof(clean), name, strlen(name));
    data = format_data(value, name, &len);
    if (data == NULL && name[0] == '\0')
        return srt_fail(err, SECRETRT_ERR_NO_FIELD,
                        "%s: {} needs a single or selected field", value->info.name);
    if (data == NULL)
        return srt_fail(err, SECRETRT_ERR_NO_FIELD, "%s has no field \"%s\"",
                        value->info.name, clean);
    if (!format_carries(filter, data, len))
        return srt_fail(
            err, SECRETRT_ERR_INVALID,
            "%s: the field \"%s\" holds a byte that this format can't carry",
            value->info.name, clean);
    filter->put(out, data, len);
    return 0;
}

static int format_all(struct srt_secbuf *out, const struct secretrt_value *value,
                      const char *format, struct secretrt_error *err)
{
    int rc = 0;

    for (const char *p = format; *p != '\0' && rc == 0; p++) {
        const char *end;

        if (*p != '{' && *p != '}') {
            srt_secbuf_char(out, *p);
        } else if (p[1] == *p) {
            srt_secbuf_char(out, *p++);
        } else if (*p == '{' && (end = strchr(p, '}')) != NULL) {
            rc = format_field(out, value, p + 1, (size_t)(end - p - 1), err);
            p = end;
        } else {
            rc = srt_fail(err, SECRETRT_ERR_INVALID,
                          "a brace in the format has no partner");
        }
    }
    if (rc == 0 && out->status == SECRETRT_ERR_NOMEM)
        rc = srt_nomem(err);
    else if (rc == 0 && out->status != 0)
        rc = srt_fail(err, SECRETRT_ERR_INVALID,
                      "%s: the result is too long, or no text", value->info.name);
    return rc;
}

int secretrt_value_format(struct secretrt_value **out,
                          const struct secretrt_value *value, const char *format,
                          struct secretrt_error *err)
{
    struct srt_bundle *bundle = NULL;
    struct srt_secbuf text;
    int rc;

    srt_error_clear(err);
    if (out != NULL)
        *out = NULL;
    if (out == NULL || value == NULL || format == NULL)
        return srt_fail(err, SECRETRT_ERR_INVALID,
                        "secretrt_value_format: an argument is NULL");
    if (value->stamp != srt_fork_stamp())
        return srt_fail(err, SECRETRT_ERR_FORKED,
                        "the value belongs to the parent process: read again");
    srt_secbuf_init(&text, FORMAT_RESULT_MAX);
    rc = format_all(&text, value, format, err);
    if (rc == 0 &&
        (srt_bundle_new(&bundle) != 0 ||
         srt_bundle_add(bundle, "", 0, srt_secbuf_text(&text), text.len) != 0 ||
         srt_bundle_seal(bundle) != 0 || srt_value_derive(out, value, bundle) != 0))
        rc = srt_nomem(err);
    srt_bundle_unref(bundle);
    srt_secbuf_wipe(&text);
    srt_scrub();
    return rc;
}
