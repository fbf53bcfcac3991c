/* Transfers in flight, whatever executes them, and their deadlines. All calls are made
 * on one thread, the loop's, or before that one runs. */
#ifndef SRT_IO_FLIGHT_H
#define SRT_IO_FLIGHT_H

#include "engine/wire.h"
#include <secretrt/error.h>

struct srt_flights;

/* wake(): called by other threads when the loop has to go round. */
int srt_flights_new(struct srt_flights **out, void (*wake)(void *self), void *self,
                    struct secretrt_error *err);
void srt_flights_close(struct srt_flights *flights); /* gives all up; idempotent */
void srt_flights_free(struct srt_flights *flights);

int srt_flights_send(struct srt_flights *flights, struct srt_transfer *transfer);
void srt_flights_abort(struct srt_flights *flights, struct srt_transfer *transfer);

/* Begins what was sent; executes what can be without waiting. */
void srt_flights_advance(struct srt_flights *flights);
int srt_flights_deliver(struct srt_flights *flights); /* calls done(); 1: of any */
/* Sleeps until there is something to do here, or one of fds is readable. */
void srt_flights_poll(struct srt_flights *flights, const int *fds, int *ready,
                      unsigned n);
int srt_flights_hygiene(const struct srt_flights *flights);

void srt_flights_hold(struct srt_flights *flights);
void srt_flights_release(struct srt_flights *flights);
void srt_flights_abandon(
    struct srt_flights *flights); /* in a forked child: close, free */

#endif
