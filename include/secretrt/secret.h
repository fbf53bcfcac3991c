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

/** Starts managing; does not wait. Handles of one name share one lease.
 * secretrt_secret_close on it. options may be NULL. */
SECRETRT_API SECRETRT_USE int secretrt_secret_open(struct secretrt_secret **out,
                                                   struct secretrt_client *client,
                                                   const char *name,
                                                   struct secretrt_error *err);
SECRETRT_API SECRETRT_USE int secretrt_secret_open_with(
    struct secretrt_secret **out, struct secretrt_client *client, const char *name,
    const struct secretrt_secret_options *options, struct secretrt_error *err);

/** The last handle gives the lease back. Waits for this secret's running callback,
 * unless called from it. NULL ok. */
SECRETRT_API void secretrt_secret_close(struct secretrt_secret *secret);

/** A live value to keep (unref). Never one past its deadline; waits if there is none.
 * @blocks */
SECRETRT_API SECRETRT_USE int secretrt_secret_read(struct secretrt_value **out,
                                                   struct secretrt_secret *secret,
                                                   struct secretrt_error *err);
SECRETRT_API SECRETRT_USE int secretrt_secret_read_with(struct secretrt_value **out,
                                                        struct secretrt_secret *secret,
                                                        struct secretrt_call *call,
                                                        struct secretrt_error *err);

/** The hot path: as read, without lock, count, system call or allocation; a few ns.
 * Give it back with secretrt_value_return on the same thread, soon: not across a fork,
 * a coroutine switch or longjmp. Borrows nest. Waits, unpinned, if there is no live
 * value. @blocks */
SECRETRT_API SECRETRT_USE int secretrt_secret_borrow(const struct secretrt_value **out,
                                                     struct secretrt_secret *secret,
                                                     struct secretrt_error *err);
SECRETRT_API void
secretrt_value_return(const struct secretrt_value *borrowed); /**< NULL ok */

/** The other side refused this value: 401 (not accepted; also for databases) or 403
 * (accepted, not allowed). If a newer one is published it is the answer at once; else
 * one diagnosis and one fetch for all callers, rate-limited. Retry once with *out, then
 * give up. ERR_UNCHANGED: the store has nothing newer; the value stays in service.
 * `out` NULL: only report, never waits. @blocks */
SECRETRT_API SECRETRT_USE int
secretrt_secret_reject(struct secretrt_value **out, struct secretrt_secret *secret,
                       const struct secretrt_value *refused, int http_status,
                       struct secretrt_error *err);
SECRETRT_API SECRETRT_USE int
secretrt_secret_reject_with(struct secretrt_value **out, struct secretrt_secret *secret,
                            const struct secretrt_value *refused, int http_status,
                            struct secretrt_call *call, struct secretrt_error *err);

/** The answer to EVENT_VERIFY; result 0: publish `generation`, else give it back.
 * Without one: published when the old value would end (the first generation: after
 * fetch_timeout_ms), audited. */
SECRETRT_API SECRETRT_USE int secretrt_secret_verdict(struct secretrt_secret *secret,
                                                      uint64_t generation, int result,
                                                      struct secretrt_error *err);

/** No connection made with this replaced generation is left: give its lease back now
 * instead of when its overlap ends. */
SECRETRT_API int secretrt_secret_drained(struct secretrt_secret *secret,
                                         uint64_t generation);

/** For bindings that cache on their side: an atomic word (load with acquire), the live
 * generation or 0. Valid until secret_close. A copy is good while the word is its
 * generation and its left_ms has not passed. */
SECRETRT_API const uint64_t *
secretrt_secret_generation(const struct secretrt_secret *secret);
/** Accounts for reads served from such a copy, so that audit still counts all of them.
 */
SECRETRT_API void secretrt_secret_count(struct secretrt_secret *secret,
                                        uint64_t generation, uint64_t reads);

#ifdef __cplusplus
}
#endif
#endif
