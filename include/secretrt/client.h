/** @file
 *  The client: configuration, stores, one renewal thread.
 */
#ifndef SECRETRT_CLIENT_H
#define SECRETRT_CLIENT_H

#include <secretrt/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One record, serially, on a thread of the library's, or on a reader's for a read that
 * names an actor or purpose. A generation's record is handed over before the generation
 * is published; a hook that takes longer than 1 s is not waited for (counted, WARNING).
 * Answer 0, or anything else for "could not record" (counted; "required" is the file
 * sink's). Call only secretrt_audit_json. */
typedef int secretrt_audit_fn(const struct secretrt_audit_record *record, void *data);

/** Acts on an event, on the dispatcher thread, one at a time. 0: done (recorded as
 * acknowledged), else failed. May block; may call all. */
typedef int secretrt_event_fn(const struct secretrt_event *event, void *data);

/** Tries a candidate before it is published, on a thread of its own. 0: it works, else
 * it is given back and another is fetched. May block. */
typedef int secretrt_verify_fn(const struct secretrt_value *candidate, void *data);

/** level: syslog's 3 error, 4 warning, 6 info, 7 debug. Never a secret byte. NULL:
 * nothing is printed anywhere. Any thread. */
typedef void secretrt_log_fn(int level, const char *message, void *data);

enum secretrt_open_flags {
    SECRETRT_OPEN_NOWAIT = 1 /**< event loops: read, borrow, reject answer ERR_PENDING
                                instead of waiting */
};

struct secretrt_options {
    size_t size;
    uint32_t flags;       /**< SECRETRT_OPEN_*; unknown bits: ERR_INVALID */
    int32_t weakest_tier; /**< 1..4: refuse weaker ones; the stricter of this and the
                             configuration holds. 0: configuration */
    uint32_t fetch_timeout_ms; /**< 0: 10 000 */
    uint32_t close_timeout_ms; /**< 0: 2 000 */
    const char *config;        /**< JSON text. With config_file: ERR_INVALID; neither:
                                  SECRETRT_CONFIG, then each store's conventions */
    const char *config_file;   /**< path */
    const char *service;       /**< name in audit and metrics; NULL: the program's */
    secretrt_audit_fn *audit;  /**< beside "audit" of the configuration */
    void *audit_data;
    secretrt_log_fn *log;
    void *log_data;
    int32_t audit_fd; /**< > 0: JSON Lines to a pipe or socket too, for bindings;
                         duplicated, never blocks for long */
    int32_t reserved;
};
#define SECRETRT_OPTIONS_INIT                                                          \
    {                                                                                  \
        sizeof(struct secretrt_options), 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL,     \
            NULL, NULL, 0, 0                                                           \
    }

/** Checks the configuration and starts the thread; no network. options NULL: all
 * defaults. */
SECRETRT_API SECRETRT_USE int secretrt_open(struct secretrt_client **out,
                                            const struct secretrt_options *options,
                                            struct secretrt_error *err);

/** Gives every lease back and wakes all waiting calls with ERR_CLOSED; the client stays
 * valid memory. @blocks timeout_ms (0: don't wait). ERR_TIMEOUT or _UNAVAILABLE: some
 * could not be given back (they are in the audit). Bindings: shutdown, let calls drain,
 * close. */
SECRETRT_API int secretrt_shutdown(struct secretrt_client *client, uint32_t timeout_ms,
                                   struct secretrt_error *err);

/** Shutdown within close_timeout_ms, wipe, join, free. No other call on this client may
 * be running or follow. NULL: nothing. @blocks In a callback: returns at once, the work
 * is finished after the callback. In a forked child: gives back only the child's own.
 */
SECRETRT_API void secretrt_close(struct secretrt_client *client);

#ifdef __cplusplus
}
#endif
#endif
