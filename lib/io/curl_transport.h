/* HTTP by libcurl. All calls are made on one thread, the loop's. No call blocks. */
#ifndef SRT_IO_CURL_TRANSPORT_H
#define SRT_IO_CURL_TRANSPORT_H

#include "engine/wire.h"
#include <secretrt/error.h>
#include <stdint.h>

struct srt_transport;

/* finished(): the reply is filled, the transport has forgotten the transfer. Called
 * from within srt_transport_perform only. ERR_UNSUPPORTED: a libcurl without TLS or
 * without an asynchronous resolver. */
int srt_transport_new(struct srt_transport **out,
                      void (*finished)(void *self, struct srt_transfer *transfer),
                      void *self, struct secretrt_error *err);
void srt_transport_free(struct srt_transport *transport); /* nothing is in flight */
/* In a forked child: closes the sockets of the parent without a word to the peers. What
 * curl and its TLS library hold is kept, unused, where leak checkers find it. */
void srt_transport_abandon(struct srt_transport *transport);

/* Begins. *exchange: to give up by; NULL when it could not begin: the reply says why.
 */
void srt_transport_begin(struct srt_transport *transport, void **exchange,
                         struct srt_transfer *transfer);
void srt_transport_abort(void *exchange);
/* Gives it up because its time is over: fills the reply. */
void srt_transport_expire(void *exchange);

void srt_transport_perform(struct srt_transport *transport);
/* Sleeps until a transfer can go on, one of fds is readable (ready[i] is set to 1), or
 * timeout_ms is over. */
#define SRT_TRANSPORT_FDS_MAX 4
void srt_transport_poll(struct srt_transport *transport, const int *fds, int *ready,
                        unsigned n, int timeout_ms);
int srt_transport_hygiene(
    const struct srt_transport *transport); /* as srt_loop_hygiene */

#endif
