/* Preloaded into a program under test: a resolver that hangs for one host, and a file
 * system that hangs under one path. HANG_HOST, HANG_PATH, HANG_SECONDS. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

static int hang_matches(const char *name, const char *variable)
{
    const char *wanted = getenv(variable);

    return name != NULL && wanted != NULL && strcmp(name, wanted) == 0;
}

static void hang(void)
{
    const char *seconds = getenv("HANG_SECONDS");
    struct timespec left = {seconds != NULL ? strtol(seconds, NULL, 10) : 10, 0};

    while (nanosleep(&left, &left) != 0)
        ;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    int (*next)(const char *, const char *, const struct addrinfo *,
                struct addrinfo **);
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");

    memcpy(&next, &symbol, sizeof(next));
    if (hang_matches(node, "HANG_HOST")) {
        hang();
        return EAI_AGAIN;
    }
    return next(node, service, hints, out);
}

static int hang_open(const char *symbol_name, const char *path, int flags, mode_t mode)
{
    int (*next)(const char *, int, ...);
    void *symbol = dlsym(RTLD_NEXT, symbol_name);

    memcpy(&next, &symbol, sizeof(next));
    if (hang_matches(path, "HANG_PATH"))
        hang();
    return next(path, flags, mode);
}

static mode_t hang_mode(int flags, va_list args)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = hang_mode(flags, args);
    va_end(args);
    return hang_open("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = hang_mode(flags, args);
    va_end(args);
    return hang_open("open64", path, flags, mode);
}
