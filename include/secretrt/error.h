/** @file
 *  Status codes and the caller-owned error.
 */
#ifndef SECRETRT_ERROR_H
#define SECRETRT_ERROR_H

#include <secretrt/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a caller does about it is the kind; the text says why. Names, Python
 * exceptions, Go sentinels come from this list. */
enum secretrt_status {
    SECRETRT_OK = 0,
    SECRETRT_ERR_INVALID = -1, /**< caller's mistake */
    SECRETRT_ERR_NOMEM = -2,
    SECRETRT_ERR_CONFIG = -3,    /**< line, column, nearest known key in the message */
    SECRETRT_ERR_PENDING = -4,   /**< not waiting, as asked; EVENT_READY, _RELOAD or
                                    _FAILED (status, also UNCHANGED) follows */
    SECRETRT_ERR_TIMEOUT = -5,   /**< the wait ended; the fetch goes on */
    SECRETRT_ERR_CANCELLED = -6, /**< secretrt_cancel */
    SECRETRT_ERR_CLOSED = -7,    /**< shut down or closed */
    SECRETRT_ERR_UNAVAILABLE =
        -8, /**< the store cannot be reached or is ill; retryable */
    SECRETRT_ERR_THROTTLED =
        -9, /**< the store's limit or our own budget; retry_after_ms */
    SECRETRT_ERR_LOGIN = -10, /**< the store does not accept this workload's identity */
    SECRETRT_ERR_DENIED = -11, /**< identity accepted, access refused; never falls back
                                  to a weaker source */
    SECRETRT_ERR_NOT_FOUND = -12, /**< no such secret, version or role */
    SECRETRT_ERR_NO_FIELD = -13,  /**< the bundle lacks a field that was asked for */
    SECRETRT_ERR_EXPIRED = -14,   /**< nothing live and nothing newer to be had */
    SECRETRT_ERR_UNCHANGED =
        -15, /**< reject: the store still holds the refused value. Do not retry */
    SECRETRT_ERR_POLICY =
        -16, /**< tier too weak, tier 4 past its date, or read burst blocked */
    SECRETRT_ERR_AUDIT =
        -17, /**< the access could not be recorded and audit is required */
    SECRETRT_ERR_PROTOCOL = -18, /**< the store's answer makes no sense */
    SECRETRT_ERR_MEMORY = -19,   /**< "memory": "strict" and no protected memory */
    SECRETRT_ERR_FORKED =
        -20, /**< the value belongs to the parent process: read again */
    SECRETRT_ERR_INTEGRITY =
        -21, /**< TLS verification, checksum, or key and certificate that don't match */
    SECRETRT_ERR_UNSUPPORTED = -22 /**< this build, kernel or libcurl can't */
};

/** Caller-owned, 384 bytes for ever, safe to log. */
struct secretrt_error {
    int32_t status;         /**< enum secretrt_status */
    int32_t http_status;    /**< 0: no HTTP exchange took place */
    int32_t os_errno;       /**< 0: the OS was not the cause */
    int32_t retryable;      /**< 1: the same call may succeed later */
    int64_t retry_after_ms; /**< hint, -1: none */
    char provider[24];      /**< scheme, "vault"; or "" */
    char request_id[64];    /**< the store's own; or "" */
    char message[272]; /**< one line, complete: "db: vault 403 at database/creds/app:
                          policy lacks read" */
};

/** The version of the library that was loaded; SECRETRT_VERSION is that of the headers.
 *
 *  @return "0.1.0", a constant
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API const char *secretrt_version(void);

/** The name of a status code, as logs and audit show it.
 *
 *  @param status  0 or a negative enum secretrt_status
 *  @return "ok", "denied" ...; "unknown" for another number; a constant
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API const char *secretrt_status_name(int status);

#ifdef __cplusplus
}
#endif
#endif
