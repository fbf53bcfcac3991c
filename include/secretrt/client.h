/** @file
 *  The client: configuration, stores, one renewal thread.
 */
#ifndef SECRETRT_CLIENT_H
#define SECRETRT_CLIENT_H

#include <secretrt/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Takes one audit record. Records come one after the other, on a thread of the
 * library's own. A generation's record is handed over before the generation is
 * published; a hook that takes longer than 1 s is not waited for (EVENT_WARNING).
 *
 *  @param record  valid until the hook returns
 *  @param data    `audit_data` of the options
 *  @return 0; anything else has no effect ("required" is the file sink's)
 *
 * It may block. Of this library it may call secretrt_audit_json only. */
typedef int secretrt_audit_fn(const struct secretrt_audit_record *record, void *data);

/** Acts on an event of a secret that was opened with `on_event`. One at a time for a
 * client, on a thread of the library's own; a slow one delays neither renewal nor
 * publication.
 *
 *  @param event  valid until the callback returns
 *  @param data   of the secret's options
 *  @return 0: done, a RELOAD is recorded as acknowledged; else it is recorded as failed
 *
 * It may block and may call every function, closing its own secret or the client
 * included. It may fork, but must not return in the child: _exit or exec there. */
typedef int secretrt_event_fn(const struct secretrt_event *event, void *data);

/** Tries a candidate before it is published, on a thread of the library's own, by a
 * connection to the database for instance.
 *
 *  @param candidate  borrowed until the function returns
 *  @param data       of the secret's options
 *  @return 0: it works and is published; else it is given back and another one is
 *          fetched after a while
 *
 * It may block and call every function, as secretrt_event_fn. */
typedef int secretrt_verify_fn(const struct secretrt_value *candidate, void *data);

/** Takes one line for a log. Without such a function nothing is printed anywhere.
 *
 *  @param level    syslog's: 3 error, 4 warning, 6 info, 7 debug
 *  @param message  one line, never a secret byte; valid until the function returns
 *  @param data     `log_data` of the options
 *
 * It runs on the thread of the audit hook, one line after the other. It may block, and
 * must call nothing of this library. */
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

/** Checks the configuration and starts the renewal thread. Touches no network.
 *
 *  @param out      a new client, for secretrt_close; NULL on failure
 *  @param options  borrowed for the call; NULL: all defaults
 *  @param err      NULL or filled
 *  @return 0; ERR_INVALID: options; ERR_CONFIG: with line, column and nearest known
 * key; ERR_AUDIT: its file can't be opened; ERR_MEMORY: "strict" and no locked memory;
 * ERR_UNSUPPORTED: libcurl, or a struct that is too new; ERR_UNAVAILABLE: no descriptor
 * or thread; ERR_NOMEM
 *  @threads any. @blocks for reading local files only. @since 0.1.0 */
SECRETRT_API SECRETRT_USE int secretrt_open(struct secretrt_client **out,
                                            const struct secretrt_options *options,
                                            struct secretrt_error *err);

/** Gives every lease back and wakes all waiting calls with ERR_CLOSED. The client stays
 * valid memory: other threads may be in calls, which end. Bindings: shut down, let
 * calls drain, close. May be called again, to wait longer.
 *
 *  @param client      the client
 *  @param timeout_ms  how long to wait until all is given back; 0: don't wait
 *  @param err         NULL or filled
 *  @return 0: all is given back; ERR_TIMEOUT: not yet; ERR_UNAVAILABLE: some could not
 * be (they end by themselves and are in the audit); ERR_INVALID
 *  @threads any. @blocks up to timeout_ms. @since 0.1.0 */
SECRETRT_API int secretrt_shutdown(struct secretrt_client *client, uint32_t timeout_ms,
                                   struct secretrt_error *err);

/** Shuts down within close_timeout_ms, then wipes, joins its threads and frees.
 *
 *  @param client  NULL: nothing
 *
 * No other call on this client may be running or follow; its secrets answer ERR_CLOSED
 * and must still be closed, its values are readable until their unref. A callback that
 * does not end in time is left behind with the memory that it may touch; leases are
 * given back all the same.
 *
 * In a callback: returns at once, the work is done after the callback. Its secrets must
 * be closed by then: in the same callback, before or after this call.
 * In a forked child: gives back only what the child has made itself.
 *
 *  @threads any, once. @blocks up to close_timeout_ms and a quarter of a second.
 *  @since 0.1.0 */
SECRETRT_API void secretrt_close(struct secretrt_client *client);

#ifdef __cplusplus
}
#endif
#endif
