/* A bundle: the named fields of one generation, immutable once sealed, counted.
 * Names, lengths and counts are on the heap; the bytes are one arena block. */
#ifndef SRT_MEM_BUNDLE_H
#define SRT_MEM_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

struct srt_bundle;
#define SRT_BUNDLE_FIELDS_MAX 256

int srt_bundle_new(struct srt_bundle **out); /* 0 or ERR_NOMEM; unsealed, one reference */
/* Copies. 0, ERR_NOMEM, ERR_PROTOCOL (duplicate name, too many). Unsealed only. */
int srt_bundle_add(struct srt_bundle *bundle, const char *name, size_t name_len,
                   const void *data, size_t len);
int srt_bundle_seal(struct srt_bundle *bundle); /* sorts by name; 0 or ERR_NOMEM */

size_t srt_bundle_count(const struct srt_bundle *bundle);
/* Name at index, sorted; NULL past the end. */
const char *srt_bundle_name(const struct srt_bundle *bundle, size_t index);
/* Bytes at index (NUL after the end); NULL past the end, or in a forked child. */
const char *srt_bundle_at(const struct srt_bundle *bundle, size_t index, size_t *len);
/* By name; NULL if absent or in a forked child. len NULL ok. */
const char *srt_bundle_field(const struct srt_bundle *bundle, const char *name, size_t *len);
int srt_bundle_equal(const struct srt_bundle *a, const struct srt_bundle *b); /* 1: same fields and bytes */

struct srt_bundle *srt_bundle_ref(struct srt_bundle *bundle);
void srt_bundle_unref(struct srt_bundle *bundle); /* wipes at the last one; NULL ok; any thread */

#endif
