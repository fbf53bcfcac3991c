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

/** The text of the field selected by '#', or of the only field.
 *
 *  @param value  the value
 *  @return NUL-terminated, lives as long as the value; NULL if there are several fields
 *          and none is selected, in a forked child, or for NULL
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API const char *secretrt_value_text(const struct secretrt_value *value);
/** A field by name. Numbers and objects are JSON text, lists of strings (ca_chain) are
 * joined by newlines.
 *
 *  @param value  the value
 *  @param name   of the field
 *  @param len    out: its bytes, without the NUL after its end; NULL ok
 *  @return binary-safe, lives as long as the value; NULL if absent, in a forked child,
 * or for NULL
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API const char *secretrt_value_field(const struct secretrt_value *value,
                                              const char *name, size_t *len);

/** One field; all live as long as the value. */
struct secretrt_field {
    const char *name;
    const char *data;
    size_t len;
};
/** Fields by index, sorted by name: for (i = 0; secretrt_value_at(&f, v, i) == 0; i++).
 *
 *  @param out    filled; zeroed on failure
 *  @param value  the value
 *  @param index  from 0
 *  @return 0; ERR_NOT_FOUND past the end; ERR_FORKED; ERR_INVALID
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API int secretrt_value_at(struct secretrt_field *out,
                                   const struct secretrt_value *value, size_t index);

/** What is known about a value, without its bytes. Also in a forked child.
 *
 *  @param value  the value
 *  @return lives as long as the value, never NULL; for NULL all is 0 and ""
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API const struct secretrt_info *
secretrt_value_info(const struct secretrt_value *value);

/** Whether a read would return this value now. If not, make new connections with a new
 * read.
 *
 *  @param value  the value
 *  @return 1; 0: replaced, expired, closed, from before a fork, or NULL
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API int secretrt_value_is_current(const struct secretrt_value *value);
/** How long a value may still be used: until its end, or until its overlap is over once
 * it was replaced. Sees renewals.
 *
 *  @param value  the value
 *  @return milliseconds; 0: over; INT64_MAX: no end known
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API int64_t secretrt_value_left_ms(const struct secretrt_value *value);

/** Fills fields into a text, in protected memory: "{field}" or "{field|filter}", "{{"
 * and "}}" for braces, "{}" for what secretrt_value_text gives.
 * Filters: url (percent-encoding), conninfo (quoted for libpq), pgpass, json (quoted),
 * base64. Without a filter the field is taken as it is.
 *
 *  @param out     a new value whose text is the result, for secretrt_value_unref; NULL
 * on failure
 *  @param value   the value
 *  @param format  no secret, UTF-8
 *  @param err     NULL or filled; never a byte of a field
 *  @return 0; ERR_NO_FIELD; ERR_INVALID: an unknown filter, a brace without a partner,
 * a NUL where only url and base64 carry it, a CR or LF where json does too; ERR_FORKED;
 * ERR_NOMEM
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API SECRETRT_USE int secretrt_value_format(struct secretrt_value **out,
                                                    const struct secretrt_value *value,
                                                    const char *format,
                                                    struct secretrt_error *err);
/** From borrowed (const) to yours: out of a borrow, a verify function or another
 * holder. Holding a value does not keep its lease alive: see secretrt_value_left_ms.
 *
 *  @param value  NULL: NULL
 *  @return the same value with one more reference, for secretrt_value_unref
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API SECRETRT_USE struct secretrt_value *
secretrt_value_ref(const struct secretrt_value *value);
/** Gives a reference back. The bytes are wiped with the last one.
 *
 *  @param value  NULL: nothing; also one from before a fork
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API void secretrt_value_unref(struct secretrt_value *value);

#ifdef __cplusplus
}
#endif
#endif
