#include "base/alloc.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *alloc_system(size_t len, void *data)
{
    (void)data;
    return malloc(len);
}

static void alloc_system_release(void *ptr, void *data)
{
    (void)data;
    free(ptr);
}

static struct srt_allocator alloc_current = {alloc_system, alloc_system_release, NULL};

void srt_allocator_set(const struct srt_allocator *allocator)
{
    static const struct srt_allocator system = {alloc_system, alloc_system_release,
                                                NULL};

    alloc_current = allocator != NULL ? *allocator : system;
}

void *srt_alloc(size_t len)
{
    void *ptr;

    if (len == 0)
        len = 1;
    ptr = alloc_current.alloc(len, alloc_current.data);
    if (ptr != NULL)
        memset(ptr, 0, len);
    return ptr;
}

void *srt_alloc_array(size_t n, size_t size)
{
    if (size != 0 && n > SIZE_MAX / size)
        return NULL;
    return srt_alloc(n * size);
}

void *srt_grow_array(void *ptr, size_t old_n, size_t new_n, size_t size)
{
    size_t keep = old_n < new_n ? old_n : new_n;
    void *bigger = srt_alloc_array(new_n, size);

    if (bigger == NULL)
        return NULL;
    if (ptr != NULL && keep > 0)
        memcpy(bigger, ptr, keep * size);
    srt_free(ptr);
    return bigger;
}

char *srt_strdup(const char *text)
{
    return text != NULL ? srt_strndup(text, strlen(text)) : NULL;
}

char *srt_strndup(const char *text, size_t len)
{
    size_t n;
    char *copy;

    if (text == NULL)
        return NULL;
    n = strnlen(text, len);
    copy = n < SIZE_MAX ? srt_alloc(n + 1) : NULL;
    if (copy != NULL)
        memcpy(copy, text, n);
    return copy;
}

void srt_free(void *ptr)
{
    if (ptr != NULL)
        alloc_current.release(ptr, alloc_current.data);
}
