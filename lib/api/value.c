/* The public face of a value. */
#include "engine/value.h"
#include "api/client.h"
#include "base/heap.h"
#include "base/status.h"
#include "io/clock.h"
#include "mem/arena.h"
#include "mem/wipe.h"
#include <secretrt/value.h>
#include <string.h>

static int value_is_here(const struct secretrt_value *value)
{
    return value != NULL && value->stamp == srt_fork_stamp();
}

const char *secretrt_value_field(const struct secretrt_value *value, const char *name,
                                 size_t *len)
{
    if (len != NULL)
        *len = 0;
    return value_is_here(value) && name != NULL
               ? srt_bundle_field(value->bundle, name, len)
               : NULL;
}

const char *secretrt_value_text(const struct secretrt_value *value)
{
    if (!value_is_here(value))
        return NULL;
    if (value->field != NULL)
        return srt_bundle_field(value->bundle, value->field, NULL);
    return srt_bundle_count(value->bundle) == 1 ? srt_bundle_at(value->bundle, 0, NULL)
                                                : NULL;
}

int secretrt_value_at(struct secretrt_field *out, const struct secretrt_value *value,
                      size_t index)
{
    if (out == NULL || value == NULL)
        return SECRETRT_ERR_INVALID;
    memset(out, 0, sizeof(*out));
    if (!value_is_here(value))
        return SECRETRT_ERR_FORKED;
    if (index >= srt_bundle_count(value->bundle))
        return SECRETRT_ERR_NOT_FOUND;
    out->name = srt_bundle_name(value->bundle, index);
    out->data = srt_bundle_at(value->bundle, index, &out->len);
    return 0;
}

const struct secretrt_info *secretrt_value_info(const struct secretrt_value *value)
{
    static const struct secretrt_info none = {.name = "",
                                              .source = "",
                                              .version = "",
                                              .lease_id = "",
                                              .request_id = "",
                                              .limited_by = ""};

    return value != NULL ? &value->info : &none;
}

int64_t secretrt_value_left_ms(const struct secretrt_value *value)
{
    int64_t end, drain;

    if (!value_is_here(value))
        return 0;
    end = atomic_load_explicit(&value->life->end_ms, memory_order_relaxed);
    drain = atomic_load_explicit(&value->life->drain_by_ms, memory_order_relaxed);
    if (drain < end)
        end = drain;
    if (end == SRT_NEVER)
        return INT64_MAX;
    end -= srt_clock_boot_ms();
    return end > 0 ? end : 0;
}

int secretrt_value_is_current(const struct secretrt_value *value)
{
    return value_is_here(value) &&
           atomic_load_explicit(&value->current, memory_order_relaxed) != 0 &&
           secretrt_value_left_ms(value) > 0;
}

struct secretrt_value *secretrt_value_ref(const struct secretrt_value *value)
{
    /* const says "not yours to unref", not "immutable": the count is ours */
    return value != NULL ? srt_value_hold((struct secretrt_value *)(uintptr_t)value)
                         : NULL;
}

void secretrt_value_unref(struct secretrt_value *value)
{
    srt_value_drop(value);
}

void secretrt_wipe(void *data, size_t len)
{
    srt_wipe(data, len);
}
