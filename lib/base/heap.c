#include "base/heap.h"
#include "base/alloc.h"
#include <assert.h>
#include <secretrt/error.h>
#include <string.h>

#define HEAP_FIRST 16

void srt_heap_init(struct srt_heap *heap)
{
    memset(heap, 0, sizeof(*heap));
}

int srt_heap_reserve(struct srt_heap *heap, size_t n)
{
    struct srt_timer **item;
    size_t cap = heap->cap != 0 ? heap->cap : HEAP_FIRST;

    if (n <= heap->cap)
        return 0;
    while (cap < n)
        cap = cap <= SIZE_MAX / 2 ? cap * 2 : n;
    item = srt_grow_array(heap->item, heap->n, cap, sizeof(struct srt_timer *));
    if (item == NULL)
        return SECRETRT_ERR_NOMEM;
    heap->item = item;
    heap->cap = cap;
    return 0;
}

/* Slots count from 1: the parent of s is s / 2. */
static void heap_place(struct srt_heap *heap, struct srt_timer *timer, size_t slot)
{
    heap->item[slot - 1] = timer;
    timer->slot = slot;
}

static void heap_up(struct srt_heap *heap, struct srt_timer *timer, size_t slot)
{
    while (slot > 1 && heap->item[slot / 2 - 1]->at_ms > timer->at_ms) {
        heap_place(heap, heap->item[slot / 2 - 1], slot);
        slot /= 2;
    }
    heap_place(heap, timer, slot);
}

static void heap_down(struct srt_heap *heap, struct srt_timer *timer, size_t slot)
{
    size_t child;

    for (; slot <= heap->n / 2; slot = child) {
        child = slot * 2;
        if (child < heap->n && heap->item[child]->at_ms < heap->item[child - 1]->at_ms)
            child++;
        if (heap->item[child - 1]->at_ms >= timer->at_ms)
            break;
        heap_place(heap, heap->item[child - 1], slot);
    }
    heap_place(heap, timer, slot);
}

static void heap_settle(struct srt_heap *heap, struct srt_timer *timer, size_t slot)
{
    if (slot > 1 && heap->item[slot / 2 - 1]->at_ms > timer->at_ms)
        heap_up(heap, timer, slot);
    else
        heap_down(heap, timer, slot);
}

static void heap_remove(struct srt_heap *heap, struct srt_timer *timer)
{
    size_t slot = timer->slot;
    struct srt_timer *last;

    timer->slot = 0;
    last = heap->item[heap->n - 1];
    heap->n--;
    if (last != timer)
        heap_settle(heap, last, slot);
}

void srt_heap_set(struct srt_heap *heap, struct srt_timer *timer, int64_t at_ms)
{
    timer->at_ms = at_ms;
    if (at_ms == SRT_NEVER) {
        if (timer->slot != 0)
            heap_remove(heap, timer);
        return;
    }
    if (timer->slot != 0) {
        heap_settle(heap, timer, timer->slot);
        return;
    }
    assert(heap->n < heap->cap);
    if (heap->n == heap->cap)
        return;
    heap->n++;
    heap_up(heap, timer, heap->n);
}

struct srt_timer *srt_heap_first(const struct srt_heap *heap)
{
    return heap->n > 0 ? heap->item[0] : NULL;
}

void srt_heap_wipe(struct srt_heap *heap)
{
    srt_free(heap->item);
    srt_heap_init(heap);
}
