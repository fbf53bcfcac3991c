/* A bundle: the named fields of one generation, immutable once sealed, counted.
 * Names, lengths and counts are on the heap; the bytes are one arena block. */
#ifndef SRT_MEM_BUNDLE_H
#define SRT_MEM_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

struct srt_bundle;
#define SRT_BUNDLE_FIELDS_MAX 256

int srt_bundle_new(
    struct srt_bundle **out); /* 0 or ERR_NOMEM; unsealed, one reference */
/* Copies; at most SRT_SECBUF_MAX bytes in all, a NUL for each field included. 0,
 * ERR_NOMEM, ERR_PROTOCOL (duplicate name, NUL in a name, too many, too long),
 * ERR_INVALID (sealed), ERR_FORKED (begun by the parent process). */
int srt_bundle_add(struct srt_bundle *bundle, const char *name, size_t name_len,
                   const void *data, size_t len);
/* Sorts by name and moves the bytes to a block of their size. 0, ERR_NOMEM or
 * ERR_FORKED; from then on any thread may read. */
int srt_bundle_seal(struct srt_bundle *bundle);

size_t srt_bundle_count(const struct srt_bundle *bundle);
/* Name at index, sorted; NULL past the end. */
const char *srt_bundle_name(const struct srt_bundle *bundle, size_t index);
/* Bytes at index (NUL after the end); NULL past the end, unsealed, or in a forked
 * child. len NULL ok. */
const char *srt_bundle_at(const struct srt_bundle *bundle, size_t index, size_t *len);
/* By name; NULL if absent, unsealed, or in a forked child. len NULL ok. */
const char *srt_bundle_field(const struct srt_bundle *bundle, const char *name,
                             size_t *len);
/* 1: same fields and bytes; 0 also when unsealed or in a forked child. */
int srt_bundle_equal(const struct srt_bundle *a, const struct srt_bundle *b);

struct srt_bundle *srt_bundle_ref(struct srt_bundle *bundle);
/* Wipes at the last one; NULL ok; any thread; in a forked child touches no arena. */
void srt_bundle_unref(struct srt_bundle *bundle);

#endif
