/** @file
 *  Values: one generation of a secret.
 */
#ifndef SECRETRT_VALUE_H
#define SECRETRT_VALUE_H

#include <secretrt/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum secretrt_value_flags {
    SECRETRT_VALUE_DEPRECATED = 1, /**< tier 4 */
    SECRETRT_VALUE_FALLBACK = 2,   /**< not from the first source */
    SECRETRT_VALUE_RENEWABLE = 4
};

/** Facts at publication, not secret. Library-owned, lives as the value does. */
struct secretrt_info {
    int32_t tier;         /**< 1..4, by what the store proved */
    int32_t weakest_tier; /**< the weakest over the credentials that led to it */
    uint32_t flags;       /**< SECRETRT_VALUE_* */
    uint32_t reserved;
    uint64_t generation; /**< 1, 2, ... per secret */
    int64_t issued_at_ms;
    int64_t expires_at_ms;  /**< as first granted: least of lease, login, certificate;
                               renewals move it: use secretrt_value_left_ms */
    const char *name;       /**< as opened */
    const char *source;     /**< the reference that served */
    const char *version;    /**< the store's; "" if none */
    const char *lease_id;   /**< keyed hash, as in the audit; "" if none */
    const char *request_id; /**< the store's */
    const char *limited_by; /**< "lease" "login" "certificate" "refresh" "" */
};

/** Text of the field selected by '#', or of the only field; NULL if there are several.
 * NUL-terminated; lives as long as the value. */
SECRETRT_API const char *secretrt_value_text(const struct secretrt_value *value);
/** A field by name; NULL if absent. len may be NULL. Binary-safe, NUL after the end.
 * Numbers and objects are JSON text, lists of strings (ca_chain) are joined by
 * newlines. */
SECRETRT_API const char *secretrt_value_field(const struct secretrt_value *value,
                                              const char *name, size_t *len);

struct secretrt_field {
    const char *name;
    const char *data;
    size_t len;
};
/** Fields by index, sorted by name: for (i = 0; secretrt_value_at(&f, v, i) == 0; i++).
 * ERR_NOT_FOUND past the end. */
SECRETRT_API int secretrt_value_at(struct secretrt_field *out,
                                   const struct secretrt_value *value, size_t index);

SECRETRT_API const struct secretrt_info *
secretrt_value_info(const struct secretrt_value *value); /**< never NULL for a value */
/** 1: it is what a read would return now. 0: replaced, refused, expired, closed: make
 * new connections with a new read. */
SECRETRT_API int secretrt_value_is_current(const struct secretrt_value *value);
/** How long it may still be used: until expiry, or drain_by once replaced. 0: over.
 * INT64_MAX: no end known. Sees renewals. */
SECRETRT_API int64_t secretrt_value_left_ms(const struct secretrt_value *value);

/** Fills "{field|filter}" ({{ for a brace; {} is the text) into a new protected value
 * whose text is the result. Filters: url conninfo pgpass json base64. ERR_NO_FIELD;
 * ERR_INVALID for an unknown filter, or NUL, CR or LF where the filter can't carry it.
 * unref it. */
SECRETRT_API SECRETRT_USE int secretrt_value_format(struct secretrt_value **out,
                                                    const struct secretrt_value *value,
                                                    const char *format,
                                                    struct secretrt_error *err);
/** From borrowed (const) to yours: out of a borrow, an event or another holder. Holding
 * one does not keep its lease: see left_ms. */
SECRETRT_API SECRETRT_USE struct secretrt_value *
secretrt_value_ref(const struct secretrt_value *value);
SECRETRT_API void secretrt_value_unref(struct secretrt_value *value); /**< NULL ok */

#ifdef __cplusplus
}
#endif
#endif
