#include "engine/reference.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/status.h"
#include "codec/text.h"
#include <string.h>

#define REFERENCE_KEEP "/:@+="

/* What stands between the delimiters, still encoded. */
struct reference_part {
    const char *text;
    size_t len;
};

static int reference_bad(struct secretrt_error *err, const char *text, const char *why)
{
    char clean[SRT_FOREIGN_MAX];

    srt_text_clean(clean, sizeof(clean), text, strnlen(text, sizeof(clean)));
    return srt_fail(err, SECRETRT_ERR_INVALID, "reference \"%s\": %s", clean, why);
}

static int reference_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* NULL, or what is wrong with a character of the whole text. */
static const char *reference_bad_char(const char *text)
{
    for (; *text != '\0'; text++) {
        int c = (unsigned char)*text;

        if (c == ' ')
            return "a space is written %20";
        if (c == '%') {
            int high = reference_hex(text[1]);
            int low = high >= 0 ? reference_hex(text[2]) : -1;

            if (low < 0)
                return "a \"%\" must be followed by two hexadecimal digits";
            c = high * 16 + low;
            if (c == 0)
                return "a NUL (%00) is not allowed";
            text += 2;
        }
        if (c < 0x20 || c == 0x7F)
            return "a control character is not allowed";
    }
    return NULL;
}

static int reference_scheme_ok(const char *text, size_t len)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyz0123456789+.-";

    return len > 0 && text[0] >= 'a' && text[0] <= 'z' && strspn(text, chars) >= len;
}

/* 1: one of the segments between "/" is "..". */
static int reference_climbs(const char *path)
{
    size_t len;

    for (;; path += len + 1) {
        len = strcspn(path, "/");
        if (len == 2 && path[0] == '.' && path[1] == '.')
            return 1;
        if (path[len] == '\0')
            return 0;
    }
}

/* The part, decoded, on the heap. 0 or ERR_NOMEM: escapes were looked at before. */
static int reference_decode(char **out, struct reference_part part)
{
    struct srt_buf buf;
    int status;

    srt_buf_init(&buf, SRT_REF_MAX);
    status = srt_percent_decode(&buf, part.text, part.len);
    if (status == 0) {
        *out = srt_buf_take(&buf);
        if (*out == NULL)
            status = SECRETRT_ERR_NOMEM;
    }
    srt_buf_wipe(&buf);
    return status;
}

/* Takes what stands before the first of the delimiters off the front of rest. */
static struct reference_part reference_cut(struct reference_part *rest,
                                           const char *delimiters)
{
    struct reference_part part = *rest;

    for (part.len = 0; part.len < rest->len; part.len++) {
        if (strchr(delimiters, part.text[part.len]) != NULL)
            break;
    }
    rest->text += part.len;
    rest->len -= part.len;
    return part;
}

static void reference_skip(struct reference_part *rest)
{
    rest->text++;
    rest->len--;
}

/* NULL, or why the option does not go. NOMEM is told by *status. */
static const char *reference_add_option(struct srt_ref *ref, struct reference_part pair,
                                        int *status)
{
    struct reference_part name = reference_cut(&pair, "=");
    struct srt_option *option = &ref->option[ref->options];

    if (name.len == 0)
        return "an option has no name";
    if (pair.len == 0)
        return "an option has no \"=\" and value";
    reference_skip(&pair);
    ref->options++;
    *status = reference_decode(&option->name, name);
    if (*status == 0)
        *status = reference_decode(&option->value, pair);
    for (size_t i = 0; *status == 0 && i + 1 < ref->options; i++) {
        if (strcmp(ref->option[i].name, option->name) == 0)
            return "an option is repeated";
    }
    return NULL;
}

static const char *reference_add_options(struct srt_ref *ref,
                                         struct reference_part query, int *status)
{
    size_t n = 1;
    const char *why = NULL;

    for (size_t i = 0; i < query.len; i++)
        n += query.text[i] == '&';
    ref->option = srt_alloc_array(n, sizeof(ref->option[0]));
    if (ref->option == NULL) {
        *status = SECRETRT_ERR_NOMEM;
        return NULL;
    }
    while (n-- > 0 && why == NULL && *status == 0) {
        why = reference_add_option(ref, reference_cut(&query, "&"), status);
        if (query.len > 0)
            reference_skip(&query);
    }
    return why;
}

/* One text for one node: normalised escapes, options as given, no field. */
static int reference_canonical(struct srt_ref *ref)
{
    struct srt_buf buf;

    srt_buf_init(&buf, 0);
    srt_buf_text_add(&buf, ref->scheme);
    srt_buf_text_add(&buf, "://");
    srt_percent_encode(&buf, ref->path, strlen(ref->path), REFERENCE_KEEP);
    for (size_t i = 0; i < ref->options; i++) {
        const struct srt_option *option = &ref->option[i];

        srt_buf_char(&buf, i == 0 ? '?' : '&');
        srt_percent_encode(&buf, option->name, strlen(option->name), "");
        srt_buf_char(&buf, '=');
        srt_percent_encode(&buf, option->value, strlen(option->value), REFERENCE_KEEP);
    }
    ref->text = srt_buf_take(&buf);
    srt_buf_wipe(&buf);
    return ref->text != NULL ? 0 : SECRETRT_ERR_NOMEM;
}

/* Fills ref from what follows "://". NULL, or what is wrong. */
static const char *reference_fill(struct srt_ref *ref, const char *text, int *status)
{
    struct reference_part rest = {text, strlen(text)};
    const char *why = NULL;

    *status = reference_decode(&ref->path, reference_cut(&rest, "?#"));
    if (*status == 0 && reference_climbs(ref->path))
        return "a \"..\" segment is not allowed";
    if (*status == 0 && rest.len > 0 && rest.text[0] == '?') {
        reference_skip(&rest);
        why = reference_add_options(ref, reference_cut(&rest, "#"), status);
    }
    if (*status != 0 || why != NULL || rest.len == 0)
        return why;
    reference_skip(&rest);
    if (rest.len == 0)
        return "the field after \"#\" is empty";
    if (memchr(rest.text, '#', rest.len) != NULL)
        return "a second \"#\" is written %23";
    *status = reference_decode(&ref->field, rest);
    return NULL;
}

int srt_ref_parse(struct srt_ref *out, const char *text, struct secretrt_error *err)
{
    struct srt_ref ref = {.text = NULL};
    const char *colon = strstr(text, "://");
    const char *why = NULL;
    int status = 0;

    *out = (struct srt_ref){.text = NULL};
    if (strnlen(text, SRT_REF_MAX + 1) > SRT_REF_MAX)
        why = "it is too long";
    else if (colon == NULL)
        why = "there is no \"://\"";
    else if (!reference_scheme_ok(text, (size_t)(colon - text)))
        why = "it must begin with a scheme, such as \"vault://\"";
    else
        why = reference_bad_char(text);
    if (why != NULL)
        return reference_bad(err, text, why);

    ref.scheme = srt_strndup(text, (size_t)(colon - text));
    if (ref.scheme == NULL) {
        status = SECRETRT_ERR_NOMEM;
        goto done;
    }
    why = reference_fill(&ref, colon + 3, &status);
    if (why != NULL || status != 0)
        goto done;
    status = reference_canonical(&ref);
    if (status == 0) {
        *out = ref;
        ref = (struct srt_ref){.text = NULL};
    }
done:
    if (why != NULL)
        status = reference_bad(err, text, why);
    else if (status != 0)
        status = srt_nomem(err);
    srt_ref_wipe(&ref);
    return status;
}

void srt_ref_wipe(struct srt_ref *ref)
{
    for (size_t i = 0; i < ref->options; i++) {
        srt_free(ref->option[i].name);
        srt_free(ref->option[i].value);
    }
    srt_free(ref->option);
    srt_free(ref->text);
    srt_free(ref->scheme);
    srt_free(ref->path);
    srt_free(ref->field);
    *ref = (struct srt_ref){.text = NULL};
}

const char *srt_ref_option(const struct srt_ref *ref, const char *name)
{
    for (size_t i = 0; i < ref->options; i++) {
        if (strcmp(ref->option[i].name, name) == 0)
            return ref->option[i].value;
    }
    return NULL;
}

int srt_ref_looks_like(const char *name)
{
    return strstr(name, "://") != NULL;
}
