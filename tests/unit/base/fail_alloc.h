/* A heap that fails its Nth allocation and counts what is still out. */
#ifndef TEST_FAIL_ALLOC_H
#define TEST_FAIL_ALLOC_H

#include "base/alloc.h"
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static struct {
    size_t fail_at;  /* 0: never */
    size_t fail_too; /* how many more after it */
    size_t calls;
    size_t live;
    size_t canaries; /* blocks that held "CANARY" when they were given back */
} fail_alloc;

static void *fail_alloc_get(size_t len, void *data)
{
    void *ptr = NULL;

    (void)data;
    fail_alloc.calls++;
    if (fail_alloc.fail_at != 0 && fail_alloc.calls >= fail_alloc.fail_at &&
        fail_alloc.calls <= fail_alloc.fail_at + fail_alloc.fail_too)
        return NULL;
    ptr = malloc(len);
    if (ptr != NULL) {
        memset(ptr, 0xA5, malloc_usable_size(ptr));
        fail_alloc.live++;
    }
    return ptr;
}

static void fail_alloc_give(void *ptr, void *data)
{
    (void)data;
    if (memmem(ptr, malloc_usable_size(ptr), "CANARY", 6) != NULL)
        fail_alloc.canaries++;
    fail_alloc.live--;
    free(ptr);
}

/* Fails the Nth from now. */
static inline void fail_alloc_at(size_t fail_at)
{
    fail_alloc.fail_at = fail_at;
    fail_alloc.calls = 0;
}

static inline void fail_alloc_begin(size_t fail_at)
{
    static const struct srt_allocator failing = {fail_alloc_get, fail_alloc_give, NULL};

    fail_alloc_at(fail_at);
    fail_alloc.live = 0;
    fail_alloc.canaries = 0;
    srt_allocator_set(&failing);
}

static inline void fail_alloc_end(void)
{
    srt_allocator_set(NULL);
}

#endif
