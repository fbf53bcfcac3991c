/** @file
 *  Reading by name, the least code.
 */
#ifndef SECRETRT_READ_H
#define SECRETRT_READ_H

#include <secretrt/call.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Reads a secret by its name: the least code. The secret stays managed until
 * secretrt_close, so that a second read is a look-up, never a second lease.
 *
 *  @param out     a new reference, for secretrt_value_unref; NULL on failure
 *  @param client  the client
 *  @param name    a configured name ("db") or a reference ("vault://kv/data/app#key");
 *                 "db#password" selects a field for secretrt_value_text
 *  @param err     NULL or filled
 *  @return 0 and a live value, or the status of secretrt_secret_open or
 *          secretrt_secret_read
 *  @threads any. @blocks up to fetch_timeout_ms if nothing is live. @since 0.1.0 */
SECRETRT_API SECRETRT_USE int secretrt_read(struct secretrt_value **out,
                                            struct secretrt_client *client,
                                            const char *name,
                                            struct secretrt_error *err);

/** One of many. */
struct secretrt_item {
    const char *name;             /**< in */
    struct secretrt_value *value; /**< out: unref; NULL on failure */
    int32_t status;               /**< out */
    int32_t reserved;
};

/** Reads many secrets by name, concurrently, within one timeout.
 *
 *  @param items   in and out, n of them; on any return each has its status, and those
 *                 with status 0 a value to unref
 *  @param n       how many; 0 is allowed
 *  @param client  the client
 *  @param call    deadline, cancellation, attribution; NULL: none
 *  @param err     NULL or filled: the first failure's
 *  @return 0: all are there; else the status of the first that is not
 *  @threads any. @blocks up to the call's timeout. @since 0.1.0 */
SECRETRT_API SECRETRT_USE int secretrt_read_many(struct secretrt_item *items, size_t n,
                                                 struct secretrt_client *client,
                                                 struct secretrt_call *call,
                                                 struct secretrt_error *err);

/** Something outside (a webhook, SIGHUP) says that a secret has changed: the store is
 * asked now instead of at the next refresh. What is new comes as EVENT_RELOAD.
 *
 *  @param client  the client
 *  @param name    as it was opened; NULL: all that are managed
 *  @param err     NULL or filled
 *  @return 0: it was asked for; ERR_NOT_FOUND: not managed, nobody has read or opened
 * it; ERR_CLOSED, ERR_INVALID
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API int secretrt_refresh(struct secretrt_client *client, const char *name,
                                  struct secretrt_error *err);

#ifdef __cplusplus
}
#endif
#endif
