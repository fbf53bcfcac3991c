/* Opt-in protection of the whole process. */
#include "base/status.h"
#include <errno.h>
#include <secretrt/audit.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int secretrt_harden(struct secretrt_error *err)
{
    const struct rlimit none = {0, 0};
    int os_errno;

    srt_error_clear(err);
    if (setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0)
        return 0;
    os_errno = errno;
    srt_fail(err, SECRETRT_ERR_UNSUPPORTED, "core dumps can't be switched off: %s",
             strerror(os_errno));
    if (err != NULL)
        err->os_errno = os_errno;
    return SECRETRT_ERR_UNSUPPORTED;
}
