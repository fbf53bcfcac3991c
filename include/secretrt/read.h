/** @file
 *  Reading by name, the least code.
 */
#ifndef SECRETRT_READ_H
#define SECRETRT_READ_H

#include <secretrt/call.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The least code. `name`: a configured name ("db"), or a reference
 * ("vault://kv/data/app#key"); "db#password" selects a field. The secret stays managed
 * until secretrt_close: a second read is a look-up, never a second lease. @blocks */
SECRETRT_API SECRETRT_USE int secretrt_read(struct secretrt_value **out,
                                            struct secretrt_client *client,
                                            const char *name,
                                            struct secretrt_error *err);

struct secretrt_item {
    const char *name;             /**< in */
    struct secretrt_value *value; /**< out: unref; NULL on failure */
    int32_t status;               /**< out */
    int32_t reserved;
};

/** All at once, concurrently, one timeout. 0: all there; else the first failure's
 * status with its err, and the rest are still filled. @blocks */
SECRETRT_API SECRETRT_USE int secretrt_read_many(struct secretrt_item *items, size_t n,
                                                 struct secretrt_client *client,
                                                 struct secretrt_call *call,
                                                 struct secretrt_error *err);

/** Something outside (a webhook, SIGHUP) says that it changed: check now, event on
 * change. Name, reference, or NULL for all. */
SECRETRT_API int secretrt_refresh(struct secretrt_client *client, const char *name,
                                  struct secretrt_error *err);

#ifdef __cplusplus
}
#endif
#endif
