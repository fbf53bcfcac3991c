/* A reference: scheme "://" path [ "?" option "=" value *( "&" … ) ] [ "#" field ],
 * percent-encoded as RFC 3986. */
#ifndef SRT_ENGINE_REFERENCE_H
#define SRT_ENGINE_REFERENCE_H

#include <secretrt/error.h>
#include <stddef.h>

struct srt_option {
    char *name;
    char *value;
};

struct srt_ref {
    char *text;   /* canonical, without the field: one text is one node of a store */
    char *scheme; /* a provider's, or a store's name */
    char *path;   /* decoded; may hold "/", ":", "@", "+", "=" */
    struct srt_option *option; /* decoded, in the order given */
    size_t options;
    char *field; /* decoded; NULL if none */
};

#define SRT_REF_MAX 2048

/* 0; ERR_INVALID: no scheme and "://", a ".." segment, NUL or another control character
 * (also escaped), a space, a bad escape, an option without name or "=", a repeated
 * option, an empty field, too long; ERR_NOMEM. The message names the reference (it is
 * no secret). */
int srt_ref_parse(struct srt_ref *out, const char *text, struct secretrt_error *err);
void srt_ref_wipe(struct srt_ref *ref);
const char *srt_ref_option(const struct srt_ref *ref,
                           const char *name); /* NULL if absent */
int srt_ref_looks_like(const char *name);     /* 1: holds "://" */

#endif
