#include "mem/bundle.h"
#include "base/alloc.h"
#include "base/status.h"
#include "mem/arena.h"
#include "mem/secbuf.h"
#include "mem/wipe.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BUNDLE_FIELDS_MIN 4

struct bundle_field {
    char *name;
    size_t offset; /* into the bundle's bytes */
    size_t len;
};

struct srt_bundle {
    _Atomic size_t refs;
    uint32_t stamp; /* srt_fork_stamp() of the process whose arena holds the bytes */
    int sealed;
    struct bundle_field *field;
    size_t n;
    size_t cap;
    char *data;                /* sealed */
    struct srt_secbuf growing; /* until then */
};

int srt_bundle_new(struct srt_bundle **out)
{
    struct srt_bundle *bundle = srt_alloc(sizeof(*bundle));

    *out = bundle;
    if (bundle == NULL)
        return SECRETRT_ERR_NOMEM;
    atomic_init(&bundle->refs, 1);
    bundle->stamp = srt_fork_stamp();
    srt_secbuf_init(&bundle->growing, SRT_SECBUF_MAX);
    return 0;
}

static int bundle_check(const struct srt_bundle *bundle, const char *name,
                        size_t name_len)
{
    if (bundle->stamp != srt_fork_stamp())
        return SECRETRT_ERR_FORKED;
    if (bundle->sealed)
        return SECRETRT_ERR_INVALID;
    if (bundle->n == SRT_BUNDLE_FIELDS_MAX || memchr(name, '\0', name_len) != NULL)
        return SECRETRT_ERR_PROTOCOL;
    for (size_t i = 0; i < bundle->n; i++) {
        if (strncmp(bundle->field[i].name, name, name_len) == 0 &&
            bundle->field[i].name[name_len] == '\0')
            return SECRETRT_ERR_PROTOCOL;
    }
    return 0;
}

static int bundle_reserve(struct srt_bundle *bundle)
{
    size_t cap = bundle->cap != 0 ? 2 * bundle->cap : BUNDLE_FIELDS_MIN;
    struct bundle_field *field = NULL;

    if (bundle->n < bundle->cap)
        return 0;
    field = srt_grow_array(bundle->field, bundle->cap, cap, sizeof(*field));
    if (field == NULL)
        return SECRETRT_ERR_NOMEM;
    bundle->field = field;
    bundle->cap = cap;
    return 0;
}

int srt_bundle_add(struct srt_bundle *bundle, const char *name, size_t name_len,
                   const void *data, size_t len)
{
    struct bundle_field field = {.offset = bundle->growing.len, .len = len};
    int rc = bundle_check(bundle, name, name_len);

    if (rc == 0)
        rc = bundle_reserve(bundle);
    if (rc != 0)
        return rc;
    field.name = srt_strndup(name, name_len);
    if (field.name == NULL)
        return SECRETRT_ERR_NOMEM;
    srt_secbuf_add(&bundle->growing, data, len);
    srt_secbuf_char(&bundle->growing, '\0');
    if (bundle->growing.status != 0) {
        srt_free(field.name);
        return bundle->growing.status;
    }
    bundle->field[bundle->n++] = field;
    return 0;
}

static int bundle_compare(const void *a, const void *b)
{
    const struct bundle_field *x = a;
    const struct bundle_field *y = b;

    return strcmp(x->name, y->name);
}

int srt_bundle_seal(struct srt_bundle *bundle)
{
    if (bundle->stamp != srt_fork_stamp())
        return SECRETRT_ERR_FORKED;
    if (bundle->sealed)
        return 0;
    if (bundle->growing.len != 0) {
        bundle->data = srt_arena_alloc(bundle->growing.len);
        if (bundle->data == NULL)
            return SECRETRT_ERR_NOMEM;
        memcpy(bundle->data, bundle->growing.data, bundle->growing.len);
        srt_secbuf_wipe(&bundle->growing);
        qsort(bundle->field, bundle->n, sizeof(*bundle->field), bundle_compare);
    }
    bundle->sealed = 1;
    return 0;
}

size_t srt_bundle_count(const struct srt_bundle *bundle)
{
    return bundle->n;
}

const char *srt_bundle_name(const struct srt_bundle *bundle, size_t index)
{
    return index < bundle->n ? bundle->field[index].name : NULL;
}

static int bundle_readable(const struct srt_bundle *bundle)
{
    return bundle->sealed && bundle->stamp == srt_fork_stamp();
}

const char *srt_bundle_at(const struct srt_bundle *bundle, size_t index, size_t *len)
{
    if (index >= bundle->n || !bundle_readable(bundle))
        return NULL;
    if (len != NULL)
        *len = bundle->field[index].len;
    return bundle->data + bundle->field[index].offset;
}

const char *srt_bundle_field(const struct srt_bundle *bundle, const char *name,
                             size_t *len)
{
    size_t low = 0;
    size_t high = bundle->n;

    if (!bundle_readable(bundle))
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, bundle->field[middle].name);
        if (order == 0)
            return srt_bundle_at(bundle, middle, len);
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

int srt_bundle_equal(const struct srt_bundle *a, const struct srt_bundle *b)
{
    if (a->n != b->n || !bundle_readable(a) || !bundle_readable(b))
        return 0;
    for (size_t i = 0; i < a->n; i++) {
        const struct bundle_field *x = &a->field[i];
        const struct bundle_field *y = &b->field[i];
        if (x->len != y->len || strcmp(x->name, y->name) != 0 ||
            !srt_equal_ct(a->data + x->offset, b->data + y->offset, x->len))
            return 0;
    }
    return 1;
}

struct srt_bundle *srt_bundle_ref(struct srt_bundle *bundle)
{
    atomic_fetch_add_explicit(&bundle->refs, 1, memory_order_relaxed);
    return bundle;
}

void srt_bundle_unref(struct srt_bundle *bundle)
{
    if (bundle == NULL ||
        atomic_fetch_sub_explicit(&bundle->refs, 1, memory_order_acq_rel) != 1)
        return;
    srt_arena_free(bundle->data);
    srt_secbuf_wipe(&bundle->growing);
    for (size_t i = 0; i < bundle->n; i++)
        srt_free(bundle->field[i].name);
    srt_free(bundle->field);
    srt_free(bundle);
}
