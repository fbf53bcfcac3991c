/* Finding secret values inside a text, in the forms in which they get into logs. */
#ifndef SRT_OBSERVE_REDACT_H
#define SRT_OBSERVE_REDACT_H

#include "mem/bundle.h"
#include <stddef.h>

#define SRT_REDACT_LEAST 4 /* shorter values would hit words */

/* Replaces each field of bundle in text[0..len) (as it is, URL-encoded, base64,
 * JSON-escaped) by "***", in place, never longer. Returns the new length. */
size_t srt_redact(char *text, size_t len, const struct srt_bundle *bundle);

#endif
