/** @file
 *  Reports: what this process holds and how it is configured. No secrets in them.
 */
#ifndef SECRETRT_REPORT_H
#define SECRETRT_REPORT_H

#include <secretrt/error.h>

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
/** Frees a report. NULL: nothing. @threads any. @since 0.1.0 */
SECRETRT_API void secretrt_text_free(char *text);

#ifdef __cplusplus
}
#endif
#endif
