/** @file
 *  Events, pulled from a queue.
 */
#ifndef SECRETRT_EVENT_H
#define SECRETRT_EVENT_H

#include <secretrt/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum secretrt_event_kind {
    SECRETRT_EVENT_READY = 1,  /**< first value, or the first after none was live */
    SECRETRT_EVENT_RELOAD = 2, /**< a new generation; the old one drains for left_ms */
    SECRETRT_EVENT_VERIFY = 3, /**< a candidate waits: read it with CALL_CANDIDATE,
                                  answer by secretrt_secret_verdict */
    SECRETRT_EVENT_EXPIRING = 4, /**< no successor yet; left_ms to live */
    SECRETRT_EVENT_EXPIRED = 5,  /**< nothing is live any more, and nothing newer yet */
    SECRETRT_EVENT_FAILED = 6,   /**< a fetch or renewal: status, message; the last good
                                    value still serves for left_ms */
    SECRETRT_EVENT_DRAINED = 7,  /**< the lease of old_generation was given back */
    SECRETRT_EVENT_TIER = 8,     /**< served by a weaker or again by a stronger tier */
    SECRETRT_EVENT_WARNING =
        9 /**< client-wide: audit lost, read burst, no locked memory... */
};

/** What happened. `name`, `secret` and `data` live until that secret (client-wide: the
 * client) is closed; `message` until the next secretrt_event_next on this client, in a
 * callback until it returns. */
struct secretrt_event {
    size_t size;
    int32_t kind;
    int32_t status; /**< for FAILED */
    int32_t tier;
    uint32_t merged;         /**< equal events of this secret merged into this one */
    uint64_t generation;     /**< the one now served, or the candidate */
    uint64_t old_generation; /**< 0: none */
    int64_t left_ms; /**< from now, as the event is handed out; see kind. A timer can
                        take it as it is */
    struct secretrt_secret *secret; /**< not yours; the handle whose event it is; NULL:
                                       client-wide or opened by name */
    void *data;                     /**< its options' data */
    const char *name;               /**< as opened; "" client-wide */
    const char *message;            /**< one line for a log, always filled */
};
#define SECRETRT_EVENT_INIT                                                            \
    {                                                                                  \
        sizeof(struct secretrt_event), 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL     \
    }

/** A descriptor that is readable while events wait, and for ever once the client is
 * shut down: for poll, epoll, asyncio, Go (dup it there). Reading from it is not
 * needed.
 *
 *  @param client  the client
 *  @return the descriptor, the client's own: don't close it; or a negative status. In a
 *          forked child it is another one: ask again
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API int secretrt_event_fd(struct secretrt_client *client);
/** Takes the next event from the queue. Events of one kind and secret that nobody has
 * taken yet are merged, the newest one stays: the queue can't overflow. Events of
 * secrets with `on_event` go there instead.
 *
 *  @param out         filled as far as its `size` goes
 *  @param client      the client
 *  @param timeout_ms  as poll(2): 0 don't wait, -1 for ever
 *  @return 0; ERR_TIMEOUT: there is none; ERR_CLOSED: shut down and none is left;
 *          ERR_INVALID; ERR_NOMEM (in a forked child)
 *  @threads one consumer at a time. @blocks up to timeout_ms. @since 0.1.0 */
SECRETRT_API SECRETRT_USE int secretrt_event_next(struct secretrt_event *out,
                                                  struct secretrt_client *client,
                                                  int timeout_ms);
/** The name of a kind of event.
 *
 *  @param kind  enum secretrt_event_kind
 *  @return "ready", "reload" ...; "unknown" for another number; a constant
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API const char *secretrt_event_name(int kind);

#ifdef __cplusplus
}
#endif
#endif
