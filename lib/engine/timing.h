/* When a lease is renewed, replaced, retried: formulas only, no state, no clock.
 * u is a random number in [0, 1) of the caller's. Durations in ms. */
#ifndef SRT_ENGINE_TIMING_H
#define SRT_ENGINE_TIMING_H

#include <stdint.h>

/* The terms of a lease, fixed when it is granted. */
struct srt_terms {
    int64_t life_ms;    /* how long it was granted for at issue */
    int64_t overlap_ms; /* how long the old one drains after a replacement */
    int64_t budget_ms;  /* how long fetching a successor may take */
    int64_t lead_ms;    /* overlap + budget: the successor is begun this long before */
    double renew_low;   /* a renewal falls between these fractions of the grant */
    double renew_high;
};

void srt_terms_set(struct srt_terms *terms, int64_t life_ms, int64_t overlap_ms);

/* Granted less than asked by more than this: the maximum TTL is near. */
int64_t srt_tolerance_ms(int64_t asked_ms);
/* Server's whole seconds and the way there: what is taken off each grant. */
int64_t srt_margin_ms(int64_t granted_ms);

/* From the request of the present grant. crowd: the store holds many leases, and this
 * is the first renewal: it may fall anywhere from 5 % on. */
int64_t srt_renew_after_ms(const struct srt_terms *terms, int64_t granted_ms, int crowd,
                           double u);
/* How long before its end a lease that can't be extended is replaced. */
int64_t srt_rotate_before_ms(int64_t lead_ms, double u);

/* Before the next try. left_ms: until the present value ends, or negative without one.
 */
int64_t srt_backoff_ms(unsigned attempt, int64_t life_ms, int64_t left_ms, double u);
/* For what will not pass by itself: from least_ms, doubling, to 5 min. */
#define SRT_SLOW_LEAST_MS 30000
#define SRT_LOGIN_LEAST_MS 5000
int64_t srt_slow_backoff_ms(unsigned attempt, int64_t least_ms, double u);

/* The acquisition budget of one node. */
#define SRT_ACQUIRE_BURST 3
int64_t srt_acquire_gap_ms(int64_t life_ms);    /* least time between two */
int64_t srt_acquire_refill_ms(int64_t life_ms); /* one more token each */

/* How many leases a second may be made anew, and how long before a login's end that
 * begins. */
double srt_remake_rate(unsigned leases, int64_t left_ms);
int64_t srt_login_lead_ms(int64_t child_lead_ms, unsigned leases, int64_t life_ms);

#endif
