/** @file
 *  libsecretrt: secrets at the moment of need, kept fresh, replaced before they expire.
 *
 *  The contract, on one page:
 *
 *  RESULT
 *    `int`: 0 or a negative enum secretrt_status. On failure *out is NULL and nothing
 *    else has changed. `err` may be NULL; every call that takes it overwrites it whole
 *    (status 0 and "" on success), so it needs no initialiser. There is no thread-local
 *    last error.
 *  OWNERSHIP
 *    `**out` is a new reference: unref, close or free it. A returned pointer is
 * borrowed from the first argument. A `const struct secretrt_value *` is not yours to
 * unref; secretrt_value_ref() turns it into one that is. Strings and structs passed in
 * are borrowed for the call. Strings passed out are UTF-8 and never NULL unless said.
 *  THREADS
 *    Any thread, any time, unless said. No callback runs with a lock held. At thread
 *    exit: nothing to do.
 *  BLOCKING
 *    Only where marked @blocks, at most fetch_timeout_ms or the call's own timeout;
 *    SECRETRT_OPEN_NOWAIT turns every wait into ERR_PENDING plus an event.
 * secretrt_open and secretrt_secret_open never wait for a store. FORK Clients and
 * secrets work in the child: own thread, own descriptor (ask secretrt_event_fd again),
 * own leases, fetched when the child first asks for them. The parent's leases are left
 * alone. Values do not cross: in the child their fields are NULL; earlier `char *` must
 * not be touched. Between fork and exec call nothing. EXIT exit() without
 * secretrt_close is safe: the thread is stopped, nothing is given back, the last
 * records of the audit may be missing. TIME
 *    `_at_ms`: Unix time, 0 = never. `_ms`: a duration. Deadlines inside count
 * suspended time and ignore jumps of the wall clock. AFTER secretrt_close Values stay
 * readable until their unref (revoked at the store by then); secrets answer ERR_CLOSED
 * and must still be closed; outstanding borrows stay valid until returned. The order of
 * closing does not matter. STRUCTS Those with `size` are the caller's: start from their
 * _INIT (other languages: zero all, set size). Zero is each field's default. A larger
 * struct of a newer header is taken as long as what is unknown is zero, else
 * ERR_UNSUPPORTED. Those that the library hands out by const pointer grow at their end:
 * never copy them by sizeof.
 */
#ifndef SECRETRT_H
#define SECRETRT_H

#include <secretrt/audit.h>
#include <secretrt/call.h>
#include <secretrt/client.h>
#include <secretrt/error.h>
#include <secretrt/event.h>
#include <secretrt/read.h>
#include <secretrt/report.h>
#include <secretrt/secret.h>
#include <secretrt/types.h>
#include <secretrt/value.h>

#endif
