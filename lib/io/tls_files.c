#include "io/tls_files.h"
#include "base/alloc.h"
#include <string.h>
#include <sys/stat.h>

#define TLS_FILES_IN_SET 3
#define TLS_FILES_GENERATION_MAX 65535

struct tls_files_mark {
    dev_t dev;
    ino_t ino;
    off_t len;
    struct timespec changed;
};

struct tls_files_set {
    struct srt_list link;
    char *path[TLS_FILES_IN_SET];
    struct tls_files_mark mark[TLS_FILES_IN_SET];
    int generation;
};

static const char *tls_files_path(const struct srt_tls *tls, size_t i)
{
    const char *const path[TLS_FILES_IN_SET] = {tls->ca_file, tls->client_cert_file,
                                                tls->client_key_file};

    return path[i] != NULL ? path[i] : "";
}

/* On the loop's thread, as is curl's own reading of the same files for each handshake:
 * they are small files of the machine. Token and secret files, which may lie on network
 * file systems, are read by io/files.c instead. */
static struct tls_files_mark tls_files_look(const char *path)
{
    struct tls_files_mark mark = {.len = -1};
    struct stat st;

    if (path[0] != '\0' && stat(path, &st) == 0) {
        mark.dev = st.st_dev;
        mark.ino = st.st_ino;
        mark.len = st.st_size;
        mark.changed = st.st_mtim;
    }
    return mark;
}

static int tls_files_same(const struct tls_files_mark *a,
                          const struct tls_files_mark *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->len == b->len &&
           a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

void srt_tls_files_init(struct srt_tls_files *files)
{
    srt_list_init(&files->sets);
}

static void tls_files_free(struct tls_files_set *set)
{
    size_t i;

    if (set == NULL)
        return;
    for (i = 0; i < TLS_FILES_IN_SET; i++)
        srt_free(set->path[i]);
    srt_free(set);
}

void srt_tls_files_wipe(struct srt_tls_files *files)
{
    struct srt_list *it;
    struct srt_list *tmp;

    SRT_LIST_EACH(it, tmp, &files->sets)
    {
        srt_list_remove(it);
        tls_files_free(SRT_CONTAINER(it, struct tls_files_set, link));
    }
}

static struct tls_files_set *tls_files_new(const struct srt_tls *tls)
{
    struct tls_files_set *set = srt_alloc(sizeof(*set));
    size_t i;

    if (set == NULL)
        return NULL;
    for (i = 0; i < TLS_FILES_IN_SET; i++) {
        set->path[i] = srt_strdup(tls_files_path(tls, i));
        if (set->path[i] == NULL) {
            tls_files_free(set);
            return NULL;
        }
        set->mark[i] = tls_files_look(set->path[i]);
    }
    return set;
}

static struct tls_files_set *tls_files_find(struct srt_tls_files *files,
                                            const struct srt_tls *tls)
{
    struct srt_list *it;
    struct srt_list *tmp;

    SRT_LIST_EACH(it, tmp, &files->sets)
    {
        struct tls_files_set *set = SRT_CONTAINER(it, struct tls_files_set, link);
        size_t same = 0;

        while (same < TLS_FILES_IN_SET &&
               strcmp(set->path[same], tls_files_path(tls, same)) == 0)
            same++;
        if (same == TLS_FILES_IN_SET)
            return set;
    }
    return NULL;
}

int srt_tls_generation(struct srt_tls_files *files, const struct srt_tls *tls)
{
    struct tls_files_set *set = tls_files_find(files, tls);
    int changed = 0;
    size_t i;

    if (set == NULL) {
        set = tls_files_new(tls);
        if (set == NULL)
            return -1;
        srt_list_append(&files->sets, &set->link);
        return set->generation;
    }
    for (i = 0; i < TLS_FILES_IN_SET; i++) {
        struct tls_files_mark mark = tls_files_look(set->path[i]);

        changed = changed || !tls_files_same(&mark, &set->mark[i]);
        set->mark[i] = mark;
    }
    if (changed)
        set->generation = set->generation % TLS_FILES_GENERATION_MAX + 1;
    return set->generation;
}

void srt_tls_spell(struct srt_buf *out, const char *path, int generation)
{
    if (generation > 0 && path[0] != '/')
        srt_buf_char(out, '.');
    /* The number's bits, each a step that leads nowhere: "/." or "/". */
    for (int bits = generation; bits > 0; bits /= 2)
        srt_buf_text_add(out, bits % 2 != 0 ? "/." : "/");
    if (generation > 0 && path[0] != '/')
        srt_buf_char(out, '/');
    srt_buf_text_add(out, path);
}
