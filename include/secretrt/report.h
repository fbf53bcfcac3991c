/** @file
 *  Reports: what this process holds and how it is configured. No secrets in them.
 */
#ifndef SECRETRT_REPORT_H
#define SECRETRT_REPORT_H

#include <secretrt/call.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Which report. Each is UTF-8 text. */
enum secretrt_report_kind {
    SECRETRT_REPORT_INVENTORY = 2, /**< a table for people: secrets, tiers, shares */
    SECRETRT_REPORT_INVENTORY_JSON = 3, /**< the same for programs */
    SECRETRT_REPORT_CONFIG_JSON = 4 /**< in effect, and where each setting came from */
};

/** Writes a report.
 *
 *  @param out     a new text, freed by secretrt_text_free; NULL on failure
 *  @param client  the client
 *  @param kind    enum secretrt_report_kind; another: ERR_INVALID
 *  @param err     NULL or filled
 *  @return 0, ERR_INVALID, ERR_CLOSED, ERR_NOMEM, ERR_TIMEOUT
 *  @threads any. @blocks until the renewal thread's next turn, for inventories.
 *  @since 0.1.0 */
SECRETRT_API SECRETRT_USE int secretrt_report(char **out,
                                              struct secretrt_client *client, int kind,
                                              struct secretrt_error *err);
/** Tries every source of a name by itself and says in words what came of it and what to
 * do. Leaves no lease behind.
 *
 *  @param out     a new text, freed by secretrt_text_free; NULL on failure
 *  @param client  the client
 *  @param name    a configured name or a reference; NULL: all configured names
 *  @param call    deadline for each source, cancellation; NULL: 5 s each
 *  @param err     NULL or filled
 *  @return 0 also when sources fail, ERR_NOT_FOUND for an unknown name, ERR_INVALID,
 * ERR_NOMEM
 *  @threads any. @blocks up to the deadline of each source.
 *  @since 0.1.0 */
SECRETRT_API SECRETRT_USE int
secretrt_diagnose(char **out, struct secretrt_client *client, const char *name,
                  struct secretrt_call *call, struct secretrt_error *err);

/** Replaces each secret value of this client in text[0..len) by "***": live ones and
 * the two before them, of 4 bytes or more, as they are and URL-encoded, base64,
 * JSON-escaped.
 *
 *  @param text    changed in place, never longer; need not end in NUL
 *  @param len     its bytes
 *  @param client  whose secrets
 *  @return the new length
 *  @threads any. Does not block. @since 0.1.0 */
SECRETRT_API size_t secretrt_redact(char *text, size_t len,
                                    struct secretrt_client *client);

/** Frees a report or a diagnosis. NULL: nothing. @threads any. @since 0.1.0 */
SECRETRT_API void secretrt_text_free(char *text);

#ifdef __cplusplus
}
#endif
#endif
