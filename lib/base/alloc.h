/* The allocator seam: every heap byte of the library passes here, so that a test can
 * fail the Nth allocation. Secrets never live here: see mem/secbuf.h. */
#ifndef SRT_BASE_ALLOC_H
#define SRT_BASE_ALLOC_H

#include <stddef.h>

struct srt_allocator {
    void *(*alloc)(size_t len, void *data);
    void (*release)(void *ptr, void *data);
    void *data;
};

/* NULL restores malloc and free. Call only while nothing is allocated. */
void srt_allocator_set(const struct srt_allocator *allocator);

void *srt_alloc(size_t len); /* zeroed; NULL when out of memory; len 0 ok */
void *srt_alloc_array(size_t n, size_t size); /* zeroed; checks for overflow */
/* Moves ptr[0..old_n) to new_n elements, the new ones zeroed; ptr is intact on NULL. */
void *srt_grow_array(void *ptr, size_t old_n, size_t new_n, size_t size);
char *srt_strdup(const char *text);              /* NULL in, NULL out */
char *srt_strndup(const char *text, size_t len); /* as strndup; NULL in, NULL out */
void srt_free(void *ptr);                        /* NULL ok */

#endif
