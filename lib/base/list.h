/* Intrusive double list: the node is a member of what is listed. */
#ifndef SRT_BASE_LIST_H
#define SRT_BASE_LIST_H

#include <stddef.h>

struct srt_list {
    struct srt_list *next;
    struct srt_list *prev;
};

#define SRT_CONTAINER(ptr, type, member)                                               \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
/* Safe against removal of the current entry. */
#define SRT_LIST_EACH(it, tmp, head)                                                   \
    for ((it) = (head)->next, (tmp) = (it)->next; (it) != (head);                      \
         (it) = (tmp), (tmp) = (it)->next)

static inline void srt_list_init(struct srt_list *head)
{
    head->next = head->prev = head;
}

static inline int srt_list_empty(const struct srt_list *head)
{
    return head->next == head;
}

static inline int srt_list_linked(const struct srt_list *entry)
{
    return entry->next != NULL && entry->next != entry;
}

static inline void srt_list_append(struct srt_list *head, struct srt_list *entry)
{
    entry->prev = head->prev;
    entry->next = head;
    head->prev->next = entry;
    head->prev = entry;
}

static inline void srt_list_remove(struct srt_list *entry)
{
    if (entry->next == NULL)
        return;
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
    entry->next = entry->prev = entry;
}

#endif
