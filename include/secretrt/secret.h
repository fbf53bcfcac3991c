/** @file
 *  Managed secrets: read, borrow, reject.
 */
#ifndef SECRETRT_SECRET_H
#define SECRETRT_SECRET_H

#include <secretrt/call.h>
#include <secretrt/client.h>

#ifdef __cplusplus
extern "C" {
#endif

enum secretrt_secret_flags {
    SECRETRT_SECRET_LAZY =
        1, /**< fetch at the first read, not at open (a prefork master) */
    SECRETRT_SECRET_VERIFY = 2 /**< announce each new generation by EVENT_VERIFY and
                                  wait for secretrt_secret_verdict */
};

/** In code what "secrets": {...} says in JSON. A field that is set wins over the
 * configuration of that name; policy is never loosened. */
struct secretrt_secret_options {
    size_t size;
    uint32_t flags;      /**< SECRETRT_SECRET_* */
    uint32_t refresh_ms; /**< static stores; 0: the store's own: 300 000, priced cloud
                            stores 3 600 000 */
    uint32_t overlap_ms; /**< how long a replaced value may drain; 0: 30 000; at most a
                            fifth of the lease */
    uint32_t reserved;
    const char *sources; /**< references separated by spaces, best first */
    const char *fields;  /**< "username password": a value without them is ERR_NO_FIELD,
                            so secretrt_value_field can't be NULL */
    secretrt_verify_fn *verify;
    secretrt_event_fn
        *on_event; /**< this secret's events go here instead of the queue */
    void *data;    /**< for verify and on_event, and in each event */
};
#define SECRETRT_SECRET_OPTIONS_INIT                                                   \
    {                                                                                  \
        sizeof(struct secretrt_secret_options), 0, 0, 0, 0, NULL, NULL, NULL, NULL,    \
            NULL                                                                       \
    }

/** Starts managing a secret: fetched now (unless lazy), kept fresh, replaced in time.
 * Handles of one name share one lease.
 *
 *  @param out     a new handle, for secretrt_secret_close; NULL on failure
 *  @param client  the client
 *  @param name    as secretrt_read
 *  @param err     NULL or filled
 *  @return 0; ERR_NOT_FOUND: no such name is configured; ERR_CONFIG, ERR_INVALID: its
 *          sources or options make no sense; ERR_UNSUPPORTED: options that are too new;
 *          ERR_CLOSED; ERR_NOMEM. Never a store's answer: reading says that
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API SECRETRT_USE int secretrt_secret_open(struct secretrt_secret **out,
                                                   struct secretrt_client *client,
                                                   const char *name,
                                                   struct secretrt_error *err);
/** As secretrt_secret_open, with options. Where they ask for something else than those
 * of a handle that is open under this name, this one has its own generations, on the
 * same lease.
 *
 *  @param out      a new handle, for secretrt_secret_close; NULL on failure
 *  @param client   the client
 *  @param name     as secretrt_read; with `sources` any name
 *  @param options  borrowed for the call; NULL: those of the first handle of this name,
 *                  or the configuration
 *  @param err      NULL or filled
 *  @return as secretrt_secret_open
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API SECRETRT_USE int secretrt_secret_open_with(
    struct secretrt_secret **out, struct secretrt_client *client, const char *name,
    const struct secretrt_secret_options *options, struct secretrt_error *err);

/** Closes a handle; the last one of a secret that is not read by name gives its lease
 * back. Its events are dropped.
 *
 *  @param secret  NULL: nothing
 *
 * No other call on this handle may be running or follow. A call that waits on it is
 * sent away with ERR_CLOSED, but that is luck, not a promise.
 *
 *  @threads any, once. @blocks until this secret's running callback or verification has
 *           ended, unless called from it. @since 0.1.0 */
SECRETRT_API void secretrt_secret_close(struct secretrt_secret *secret);

/** A live value to keep. Never one past its deadline; waits if there is none.
 *
 *  @param out     a new reference, for secretrt_value_unref; NULL on failure
 *  @param secret  the handle
 *  @param err     NULL or filled: the store's own reason and what to do about it
 *  @return 0; ERR_PENDING: not waiting, as asked; ERR_TIMEOUT, ERR_CANCELLED,
 * ERR_CLOSED; what the store said: ERR_LOGIN, ERR_DENIED, ERR_NOT_FOUND, ERR_NO_FIELD,
 *          ERR_PROTOCOL, ERR_INTEGRITY, ERR_CONFIG at once, ERR_UNAVAILABLE and
 *          ERR_THROTTLED when the time is over; ERR_EXPIRED: as those, and the last
 * value has ended; ERR_POLICY, ERR_AUDIT: refused by ourselves; ERR_NOMEM
 *  @threads any. @blocks up to fetch_timeout_ms if nothing is live. @since 0.1.0 */
SECRETRT_API SECRETRT_USE int secretrt_secret_read(struct secretrt_value **out,
                                                   struct secretrt_secret *secret,
                                                   struct secretrt_error *err);
/** As secretrt_secret_read, with a deadline, cancellation and attribution of its own.
 *
 *  @param out     a new reference, for secretrt_value_unref; NULL on failure
 *  @param secret  the handle
 *  @param call    NULL: none; outlives the call and any secretrt_cancel on it
 *  @param err     NULL or filled
 *  @return as secretrt_secret_read; ERR_INVALID: flags or strings of the call;
 *          ERR_NOT_FOUND: CALL_CANDIDATE, and none waits
 *  @threads any. @blocks up to the call's timeout. A call with an actor waits up to 1 s
 *           until its record is written. @since 0.1.0 */
SECRETRT_API SECRETRT_USE int secretrt_secret_read_with(struct secretrt_value **out,
                                                        struct secretrt_secret *secret,
                                                        struct secretrt_call *call,
                                                        struct secretrt_error *err);

/** The hot path: as read, without lock, count, system call or allocation; a few ns.
 * Borrows nest. Values that were replaced are wiped only after the borrows that saw
 * them: be quick.
 *
 *  @param out     borrowed: secretrt_value_return on the same thread, soon, not across
 * a fork, a coroutine switch or longjmp; NULL on failure
 *  @param secret  the handle
 *  @param err     NULL or filled
 *  @return as secretrt_secret_read
 *  @threads any. @blocks up to fetch_timeout_ms if nothing is live. @since 0.1.0 */
SECRETRT_API SECRETRT_USE int secretrt_secret_borrow(const struct secretrt_value **out,
                                                     struct secretrt_secret *secret,
                                                     struct secretrt_error *err);
/** Ends a borrow.
 *
 *  @param borrowed  NULL: nothing
 *  @threads the one that borrowed it. Does not block. @since 0.1.0 */
SECRETRT_API void secretrt_value_return(const struct secretrt_value *borrowed);

/** The other side refused this value. If a newer one is published it is the answer at
 * once; else one diagnosis and one fetch for all callers, rate-limited. Retry once with
 * *out, then give up.
 *
 *  @param out          a new reference, for secretrt_value_unref; NULL on failure.
 * NULL: only report, never waits
 *  @param secret       the handle
 *  @param refused      a value of this secret
 *  @param http_status  401: not accepted (also for databases); 403: accepted, not
 * allowed
 *  @param err          NULL or filled
 *  @return 0 and a newer value; ERR_UNCHANGED: the store has nothing newer, the value
 *          stays in service, don't retry; ERR_INVALID: a value of another secret;
 *          ERR_FORKED; or as secretrt_secret_read: why there is nothing newer
 *  @threads any. @blocks up to fetch_timeout_ms. @since 0.1.0 */
SECRETRT_API SECRETRT_USE int
secretrt_secret_reject(struct secretrt_value **out, struct secretrt_secret *secret,
                       const struct secretrt_value *refused, int http_status,
                       struct secretrt_error *err);
/** As secretrt_secret_reject, with a deadline and cancellation of its own.
 *
 *  @param out          as there
 *  @param secret       the handle
 *  @param refused      a value of this secret
 *  @param http_status  401 or 403
 *  @param call         NULL: none
 *  @param err          NULL or filled
 *  @return as secretrt_secret_reject. After ERR_PENDING: EVENT_RELOAD, or EVENT_FAILED
 *          with the status, also ERR_UNCHANGED
 *  @threads any. @blocks up to the call's timeout. @since 0.1.0 */
SECRETRT_API SECRETRT_USE int
secretrt_secret_reject_with(struct secretrt_value **out, struct secretrt_secret *secret,
                            const struct secretrt_value *refused, int http_status,
                            struct secretrt_call *call, struct secretrt_error *err);

/** The answer to EVENT_VERIFY. Without one the candidate is published when the old
 * value would end, the first one after 10 s; the audit says so.
 *
 *  @param secret      the handle
 *  @param generation  the candidate's, from the event
 *  @param result      0: it works, publish it; else it is given back
 *  @param err         NULL or filled
 *  @return 0; ERR_NOT_FOUND: no such candidate waits (any more); ERR_CLOSED,
 * ERR_INVALID
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API SECRETRT_USE int secretrt_secret_verdict(struct secretrt_secret *secret,
                                                      uint64_t generation, int result,
                                                      struct secretrt_error *err);

/** No connection made with this replaced generation is left: its lease is given back
 * now instead of when its overlap ends. EVENT_DRAINED follows.
 *
 *  @param secret      the handle
 *  @param generation  the replaced one; one that is not draining: no effect
 *  @return 0, ERR_INVALID, ERR_CLOSED
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API int secretrt_secret_drained(struct secretrt_secret *secret,
                                         uint64_t generation);

/** For bindings that cache on their side: an atomic word (load it with acquire), the
 * live generation or 0. A copy is good while the word is its generation and its left_ms
 * has not passed.
 *
 *  @param secret  the handle
 *  @return the word, valid until secretrt_secret_close; NULL for NULL
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API const uint64_t *
secretrt_secret_generation(const struct secretrt_secret *secret);
/** Accounts for reads served from such a copy, so that the audit still counts them all.
 *
 *  @param secret      the handle; NULL: nothing
 *  @param generation  the copy's
 *  @param reads       how many since the last call
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API void secretrt_secret_count(struct secretrt_secret *secret,
                                        uint64_t generation, uint64_t reads);

#ifdef __cplusplus
}
#endif
#endif
