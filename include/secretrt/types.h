/** @file
 *  What every other header needs: export marks, version, the opaque types.
 */
#ifndef SECRETRT_TYPES_H
#define SECRETRT_TYPES_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define SECRETRT_API __attribute__((visibility("default")))
#define SECRETRT_USE __attribute__((warn_unused_result))
#else
#define SECRETRT_API
#define SECRETRT_USE
#endif
#define SECRETRT_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

struct secretrt_client; /**< configuration, stores, one renewal thread */
struct secretrt_secret; /**< a managed secret; holds no secret bytes */
struct secretrt_value;  /**< one generation: an immutable bundle of fields, counted, in
                           protected memory */
struct secretrt_audit_record;
struct secretrt_event;

#ifdef __cplusplus
}
#endif
#endif
