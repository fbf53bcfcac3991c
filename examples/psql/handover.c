#include "handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A slot is one page of the file, written by one pwrite: no line crosses a page, and
 * the line of the old credential is not touched when the new one is written. */
#define HANDOVER_PAGE 4096
#define HANDOVER_COMMENT 64 /* libpq refuses a long line in a service file */
#define HANDOVER_NAME "secretrt"

struct handover_page {
    char text[HANDOVER_PAGE];
    size_t used;
};

static int handover_say(struct secretrt_error *err, int status, const char *text)
{
    memset(err, 0, sizeof(*err));
    err->status = status;
    err->retry_after_ms = -1;
    snprintf(err->message, sizeof(err->message), "%s", text);
    return -1;
}

static int handover_put(struct handover_page *page, const char *text)
{
    size_t len = strlen(text);

    if (len > sizeof(page->text) - page->used - 1)
        return -1;
    memcpy(page->text + page->used, text, len);
    page->used += len;
    return 0;
}

/* Comment lines up to the end of the page. */
static void handover_pad(struct handover_page *page)
{
    size_t column = 0;

    for (size_t i = page->used; i < sizeof(page->text); i++) {
        page->text[i] =
            column++ % HANDOVER_COMMENT == HANDOVER_COMMENT - 1 ? '\n' : '#';
    }
    page->text[sizeof(page->text) - 1] = '\n';
}

static int handover_write(int fd, struct handover_page *page, size_t slot)
{
    ssize_t n;

    handover_pad(page);
    n = pwrite(fd, page->text, sizeof(page->text), (off_t)(slot * HANDOVER_PAGE));
    return n == (ssize_t)sizeof(page->text) ? 0 : -1;
}

static int handover_blank(int fd, size_t slot)
{
    struct handover_page page = {.used = 0};

    return handover_write(fd, &page, slot);
}

/* A descriptor for the program that can't write. */
static int handover_reopen(int fd)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static int handover_file(int *fd, int *read_only, const char *name, size_t pages)
{
    *fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0 || fchmod(*fd, 0600) != 0) /* libpq refuses the default mode */
        return -1;
    for (size_t i = 0; i < pages; i++) {
        if (handover_blank(*fd, i) != 0)
            return -1;
    }
    if (fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return -1;
    *read_only = handover_reopen(*fd);
    return *read_only < 0 ? -1 : 0;
}

int handover_open(struct handover *out, const struct target *target)
{
    memset(out, 0, sizeof(*out));
    out->target = target;
    out->password_fd = out->service_fd = out->password_ro = out->service_ro = -1;
    if (handover_file(&out->password_fd, &out->password_ro, "pgpass", HANDOVER_SLOTS) !=
            0 ||
        handover_file(&out->service_fd, &out->service_ro, "pg_service", 1) != 0) {
        options_complain("memory file: %s", strerror(errno));
        return -1;
    }
    out->locked = mmap(NULL, HANDOVER_SLOTS * HANDOVER_PAGE, PROT_READ, MAP_SHARED,
                       out->password_fd, 0);
    if (out->locked == MAP_FAILED) {
        out->locked = NULL;
    } else { /* best effort: RLIMIT_MEMLOCK may forbid it */
        (void)mlock(out->locked, HANDOVER_SLOTS * HANDOVER_PAGE);
        (void)madvise(out->locked, HANDOVER_SLOTS * HANDOVER_PAGE, MADV_DONTDUMP);
    }
    return 0;
}

static void handover_close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void handover_close(struct handover *handover)
{
    for (size_t i = 0; handover->password_fd >= 0 && i < HANDOVER_SLOTS; i++)
        (void)handover_blank(handover->password_fd, i);
    if (handover->locked != NULL)
        munmap(handover->locked, HANDOVER_SLOTS * HANDOVER_PAGE);
    handover->locked = NULL;
    handover_close_fd(&handover->password_fd);
    handover_close_fd(&handover->service_fd);
    handover_close_fd(&handover->password_ro);
    handover_close_fd(&handover->service_ro);
}

/* The slot of the generation, else a free one, else the oldest. */
static size_t handover_slot(const struct handover *handover, uint64_t generation)
{
    size_t best = 0;

    for (size_t i = 0; i < HANDOVER_SLOTS; i++) {
        if (handover->slot[i] == generation)
            return i;
        if (handover->slot[i] < handover->slot[best])
            best = i;
    }
    return best;
}

static int handover_password(struct handover *handover,
                             const struct secretrt_value *value,
                             struct secretrt_error *err)
{
    uint64_t generation = secretrt_value_info(value)->generation;
    size_t slot = handover_slot(handover, generation);
    struct handover_page page = {.used = 0};
    struct secretrt_value *line = NULL;
    int rc = secretrt_value_format(&line, value,
                                   "{username|pgpass}:{password|pgpass}\n", err);

    for (size_t i = 0; rc == 0 && i < handover->target->places; i++) {
        if (handover_put(&page, handover->target->place[i]) != 0 ||
            handover_put(&page, secretrt_value_text(line)) != 0)
            rc = handover_say(err, SECRETRT_ERR_INVALID,
                              "the password is too long for this many hosts");
    }
    if (rc == 0 && handover_write(handover->password_fd, &page, slot) != 0)
        rc =
            handover_say(err, SECRETRT_ERR_NOMEM, "the password file can't be written");
    if (rc == 0)
        handover->slot[slot] = generation;
    secretrt_wipe(&page, sizeof(page));
    secretrt_value_unref(line);
    return rc;
}

static int handover_service(struct handover *handover,
                            const struct secretrt_value *value,
                            struct secretrt_error *err)
{
    const char *user = secretrt_value_field(value, "username", NULL);
    struct handover_page page = {.used = 0};

    if (user == NULL || user[0] == '\0' || strpbrk(user, "\r\n") != NULL)
        return handover_say(err, SECRETRT_ERR_INVALID, "the user name can't be used");
    if (handover_put(&page, "[" HANDOVER_NAME "]\n") != 0 ||
        handover_put(&page, handover->target->service) != 0 ||
        handover_put(&page, "user=") != 0 || handover_put(&page, user) != 0 ||
        handover_put(&page, "\n") != 0)
        return handover_say(err, SECRETRT_ERR_INVALID, "the user name is too long");
    if (handover_write(handover->service_fd, &page, 0) != 0)
        return handover_say(err, SECRETRT_ERR_NOMEM,
                            "the service file can't be written");
    return 0;
}

int handover_publish(struct handover *handover, const struct secretrt_value *value,
                     struct secretrt_error *err)
{
    /* The password first: who reads the new user finds its line. */
    if (handover_password(handover, value, err) != 0)
        return -1;
    return handover_service(handover, value, err);
}

void handover_retire(struct handover *handover, uint64_t generation)
{
    for (size_t i = 0; i < HANDOVER_SLOTS; i++) {
        if (generation != 0 && handover->slot[i] == generation &&
            handover_blank(handover->password_fd, i) == 0)
            handover->slot[i] = 0;
    }
}
