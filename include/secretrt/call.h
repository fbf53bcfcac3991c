/** @file
 *  Deadline, cancellation and attribution of one call.
 */
#ifndef SECRETRT_CALL_H
#define SECRETRT_CALL_H

#include <secretrt/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum secretrt_call_flags {
    SECRETRT_CALL_NOWAIT = 1,   /**< don't wait: a live value or ERR_PENDING */
    SECRETRT_CALL_FRESH = 2,    /**< ask the store even if a live value is at hand (its
                                   minimum interval holds) */
    SECRETRT_CALL_CANDIDATE = 4 /**< the generation that waits for a verdict */
};

/** Deadline, cancellation and who asks. Setting actor, purpose or traceparent gives
 * this read its own audit record (others are counted per generation). Strings: at most
 * 128 printable bytes, else ERR_INVALID. Must outlive the call and any secretrt_cancel
 * on it. */
struct secretrt_call {
    size_t size;
    uint32_t flags;      /**< SECRETRT_CALL_* */
    uint32_t timeout_ms; /**< 0: the client's; > 0 also waits under OPEN_NOWAIT */
    const char *actor;   /**< end user or job on whose behalf */
    const char *purpose;
    const char
        *traceparent; /**< W3C; forwarded to the store if this call causes a fetch */
    uint32_t
        cancelled; /**< the library's: 0 before first use; a cancelled call stays so */
    uint32_t reserved;
};
#define SECRETRT_CALL_INIT                                                             \
    {                                                                                  \
        sizeof(struct secretrt_call), 0, 0, NULL, NULL, NULL, 0, 0                     \
    }

/** Ends a call that waits, or will wait, with this struct: ERR_CANCELLED. The shared
 * fetch goes on for others. A call that need not wait is not ended. There is no race
 * with the start of the call: cancelling first is as good.
 *
 *  @param client  the client of the call; NULL: nothing
 *  @param call    in and out: its `cancelled` is set, for ever; NULL: nothing
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API void secretrt_cancel(struct secretrt_client *client,
                                  struct secretrt_call *call);

#ifdef __cplusplus
}
#endif
#endif
