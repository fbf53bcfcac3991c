#include "io/flight.h"
#include "base/alloc.h"
#include "base/heap.h"
#include "base/status.h"
#include "io/clock.h"
#include "io/curl_transport.h"
#include "io/files.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define FLIGHT_TIMEOUT_DEFAULT_MS 10000
/* curl ends a request by itself and knows better why; this is for those that it has put
 * back until a connection is free. */
#define FLIGHT_HTTP_GRACE_MS 50

struct flight {
    struct srt_transfer *transfer;
    struct srt_timer timer;
    void *execution; /* the transport's or files' own; NULL: not begun or finished */
};

struct srt_flights {
    struct srt_transport *transport; /* NULL: closed */
    struct srt_files *files;         /* NULL: not needed yet */
    struct srt_heap deadlines;
    struct srt_list sent; /* of transfers, by their link */
    struct srt_list under_way;
    struct srt_list finished;
    size_t n; /* in all three */
    void (*wake)(void *self);
    void *self;
};

static void flight_finished(void *self, struct srt_transfer *transfer)
{
    struct srt_flights *flights = self;
    struct flight *flight = transfer->io;

    flight->execution = NULL;
    srt_heap_set(&flights->deadlines, &flight->timer, SRT_NEVER);
    srt_list_remove(&transfer->link);
    srt_list_append(&flights->finished, &transfer->link);
}

int srt_flights_new(struct srt_flights **out, void (*wake)(void *self), void *self,
                    struct secretrt_error *err)
{
    struct srt_flights *flights = srt_alloc(sizeof(*flights));
    int rc;

    *out = NULL;
    if (flights == NULL)
        return srt_nomem(err);
    srt_heap_init(&flights->deadlines);
    srt_list_init(&flights->sent);
    srt_list_init(&flights->under_way);
    srt_list_init(&flights->finished);
    flights->wake = wake;
    flights->self = self;
    rc = srt_transport_new(&flights->transport, flight_finished, flights, err);
    if (rc != 0) {
        srt_flights_free(flights);
        return rc;
    }
    *out = flights;
    return 0;
}

/* ---- the life of one ---- */

int srt_flights_send(struct srt_flights *flights, struct srt_transfer *transfer)
{
    struct flight *flight = NULL;

    if (flights->transport == NULL)
        return SECRETRT_ERR_CLOSED;
    if (transfer->request.kind == SRT_REQUEST_NONE || transfer->io != NULL)
        return SECRETRT_ERR_INVALID;
    if (srt_heap_reserve(&flights->deadlines, flights->n + 1) != 0)
        return SECRETRT_ERR_NOMEM;
    flight = srt_alloc(sizeof(*flight));
    if (flight == NULL)
        return SECRETRT_ERR_NOMEM;
    srt_reply_wipe(&transfer->reply);
    srt_secbuf_init(&transfer->reply.body, transfer->request.max_len);
    transfer->reply.retry_after_ms = -1;
    flight->transfer = transfer;
    flight->timer.at_ms = SRT_NEVER;
    transfer->io = flight;
    srt_list_append(&flights->sent, &transfer->link);
    flights->n++;
    return 0;
}

static void flight_forget(struct srt_flights *flights, struct srt_transfer *transfer)
{
    struct flight *flight = transfer->io;

    srt_heap_set(&flights->deadlines, &flight->timer, SRT_NEVER);
    srt_list_remove(&transfer->link);
    transfer->io = NULL;
    flights->n--;
    srt_free(flight);
}

void srt_flights_abort(struct srt_flights *flights, struct srt_transfer *transfer)
{
    struct flight *flight = transfer->io;

    if (flight == NULL)
        return;
    if (flight->execution != NULL && transfer->request.kind == SRT_REQUEST_HTTP)
        srt_transport_abort(flight->execution);
    else if (flight->execution != NULL)
        srt_files_abort(flight->execution);
    flight_forget(flights, transfer);
}

static void flight_environment(struct srt_transfer *transfer)
{
    struct srt_reply *reply = &transfer->reply;
    const char *value = getenv(srt_buf_text(&transfer->request.target));

    if (value == NULL) {
        reply->outcome = SRT_OUTCOME_ABSENT;
        srt_text_copy(reply->detail, sizeof(reply->detail), "not set");
        return;
    }
    reply->outcome = SRT_OUTCOME_ANSWERED;
    srt_secbuf_text_add(&reply->body, value);
    if (reply->body.status == 0)
        return;
    reply->outcome = reply->body.status == SECRETRT_ERR_NOMEM ? SRT_OUTCOME_NOMEM
                                                              : SRT_OUTCOME_TOO_LARGE;
    srt_text_copy(reply->detail, sizeof(reply->detail), "value too large");
    srt_secbuf_wipe(&reply->body);
}

static void flight_begin_file(struct srt_flights *flights, struct flight *flight)
{
    int rc = 0;

    if (flights->files == NULL)
        rc = srt_files_new(&flights->files, flight_finished, flights, flights->wake,
                           flights->self);
    if (rc == 0)
        srt_files_begin(flights->files, &flight->execution, flight->transfer);
    else
        flight->transfer->reply.outcome = SRT_OUTCOME_NOMEM;
}

static void flight_begin(struct srt_flights *flights, struct srt_transfer *transfer)
{
    const struct srt_request *request = &transfer->request;
    struct flight *flight = transfer->io;
    int64_t timeout_ms =
        request->timeout_ms != 0 ? request->timeout_ms : FLIGHT_TIMEOUT_DEFAULT_MS;

    srt_list_remove(&transfer->link);
    srt_list_append(&flights->under_way, &transfer->link);
    if (request->kind == SRT_REQUEST_ENVIRONMENT) {
        flight_environment(transfer);
    } else if (request->kind == SRT_REQUEST_FILE) {
        flight_begin_file(flights, flight);
    } else {
        srt_transport_begin(flights->transport, &flight->execution, transfer);
        timeout_ms += FLIGHT_HTTP_GRACE_MS;
    }
    if (flight->execution != NULL)
        srt_heap_set(&flights->deadlines, &flight->timer,
                     srt_clock_boot_ms() + timeout_ms);
    else
        flight_finished(flights, transfer);
}

static void flight_expire(struct srt_flights *flights)
{
    struct srt_timer *first = srt_heap_first(&flights->deadlines);
    int64_t now_ms = first != NULL ? srt_clock_boot_ms() : 0;

    while (first != NULL && first->at_ms <= now_ms) {
        struct flight *flight = SRT_CONTAINER(first, struct flight, timer);

        if (flight->transfer->request.kind == SRT_REQUEST_HTTP)
            srt_transport_expire(flight->execution);
        else
            srt_files_expire(flight->execution);
        flight_finished(flights, flight->transfer);
        first = srt_heap_first(&flights->deadlines);
    }
}

/* ---- all of them ---- */

static struct srt_transfer *flight_first(struct srt_list *list)
{
    return srt_list_empty(list) ? NULL
                                : SRT_CONTAINER(list->next, struct srt_transfer, link);
}

void srt_flights_advance(struct srt_flights *flights)
{
    struct srt_transfer *transfer;

    while ((transfer = flight_first(&flights->sent)) != NULL)
        flight_begin(flights, transfer);
    srt_transport_perform(flights->transport);
    if (flights->files != NULL)
        srt_files_collect(flights->files);
    flight_expire(flights);
}

int srt_flights_deliver(struct srt_flights *flights)
{
    struct srt_transfer *transfer;
    int any = 0;

    while ((transfer = flight_first(&flights->finished)) != NULL) {
        flight_forget(flights, transfer);
        transfer->done(transfer); /* it may be freed there */
        any = 1;
    }
    return any;
}

static int flight_wait_ms(const struct srt_flights *flights)
{
    const struct srt_timer *first = srt_heap_first(&flights->deadlines);
    int64_t left_ms;

    if (!srt_list_empty(&flights->finished) || !srt_list_empty(&flights->sent))
        return 0;
    if (first == NULL)
        return INT_MAX;
    left_ms = first->at_ms - srt_clock_boot_ms() + 1;
    if (left_ms < 0)
        return 0;
    return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

void srt_flights_poll(struct srt_flights *flights, const int *fds, int *ready,
                      unsigned n)
{
    srt_transport_poll(flights->transport, fds, ready, n, flight_wait_ms(flights));
}

int srt_flights_hygiene(const struct srt_flights *flights)
{
    return flights->transport != NULL && srt_transport_hygiene(flights->transport);
}

static void flight_abort_all(struct srt_flights *flights, struct srt_list *list)
{
    struct srt_transfer *transfer;

    while ((transfer = flight_first(list)) != NULL)
        srt_flights_abort(flights, transfer);
}

void srt_flights_close(struct srt_flights *flights)
{
    flight_abort_all(flights, &flights->sent);
    flight_abort_all(flights, &flights->under_way);
    flight_abort_all(flights, &flights->finished);
    srt_transport_free(flights->transport);
    srt_files_free(flights->files);
    flights->transport = NULL;
    flights->files = NULL;
}

void srt_flights_free(struct srt_flights *flights)
{
    if (flights == NULL)
        return;
    srt_flights_close(flights);
    srt_heap_wipe(&flights->deadlines);
    srt_free(flights);
}

void srt_flights_hold(struct srt_flights *flights)
{
    if (flights->files != NULL)
        srt_files_hold(flights->files);
}

void srt_flights_release(struct srt_flights *flights)
{
    if (flights->files != NULL)
        srt_files_release(flights->files);
}

static void flight_forget_all(struct srt_flights *flights, struct srt_list *list)
{
    struct srt_transfer *transfer;

    while ((transfer = flight_first(list)) != NULL)
        flight_forget(flights, transfer);
}

void srt_flights_abandon(struct srt_flights *flights)
{
    flight_forget_all(flights, &flights->sent);
    flight_forget_all(flights, &flights->under_way);
    flight_forget_all(flights, &flights->finished);
    if (flights->transport != NULL)
        srt_transport_abandon(flights->transport);
    if (flights->files != NULL)
        srt_files_abandon(flights->files);
    srt_heap_wipe(&flights->deadlines);
    srt_free(flights);
}
