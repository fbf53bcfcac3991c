#include "engine/timing.h"

#define TIMING_OVERLAP_MS 30000
#define TIMING_SECOND_MS 1000
#define TIMING_SHORT_MS 15000 /* below: renewed at 40 to 50 % */
#define TIMING_BACKOFF_CAP_MS 60000
#define TIMING_BACKOFF_LEAST_MS 100
#define TIMING_SLOW_CAP_MS 300000
#define TIMING_RENEW_HIGH 0.70
#define TIMING_RENEW_FLOOR 0.34
#define TIMING_RENEW_WIDTH 0.10
#define TIMING_CROWD_FROM 0.05

static int64_t timing_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t timing_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t timing_part(int64_t whole_ms, double part)
{
    return (int64_t)((double)whole_ms * part);
}

void srt_terms_set(struct srt_terms *terms, int64_t life_ms, int64_t overlap_ms)
{
    int64_t fifth = life_ms / 5;

    terms->life_ms = life_ms;
    terms->overlap_ms =
        timing_min(overlap_ms > 0 ? overlap_ms : TIMING_OVERLAP_MS, fifth);
    terms->budget_ms = timing_min(
        timing_min(timing_max(life_ms / 20, 5 * TIMING_SECOND_MS), 60000), fifth);
    terms->lead_ms = terms->overlap_ms + terms->budget_ms;
    terms->renew_high = TIMING_RENEW_HIGH;
    if (life_ms > 0 &&
        1.0 - (double)terms->lead_ms / (double)life_ms < terms->renew_high)
        terms->renew_high = 1.0 - (double)terms->lead_ms / (double)life_ms;
    if (terms->renew_high < TIMING_RENEW_FLOOR)
        terms->renew_high = TIMING_RENEW_FLOOR;
    terms->renew_low = terms->renew_high - TIMING_RENEW_WIDTH;
}

int64_t srt_tolerance_ms(int64_t asked_ms)
{
    return timing_max(asked_ms / 50, timing_min(TIMING_SECOND_MS, asked_ms / 20));
}

int64_t srt_margin_ms(int64_t granted_ms)
{
    return timing_min(TIMING_SECOND_MS, granted_ms / 10);
}

int64_t srt_renew_after_ms(const struct srt_terms *terms, int64_t granted_ms, int crowd,
                           double u)
{
    double low = terms->renew_low, high = terms->renew_high;

    if (granted_ms < TIMING_SHORT_MS) {
        low = 0.40;
        high = 0.50;
    }
    if (crowd)
        low = TIMING_CROWD_FROM;
    return timing_part(granted_ms, low + (high - low) * u);
}

int64_t srt_rotate_before_ms(int64_t lead_ms, double u)
{
    return lead_ms + timing_part(lead_ms, 0.1 * u);
}

int64_t srt_backoff_ms(unsigned attempt, int64_t life_ms, int64_t left_ms, double u)
{
    int64_t base =
        timing_min(TIMING_SECOND_MS, life_ms > 0 ? life_ms / 20 : TIMING_SECOND_MS);
    int64_t cap = TIMING_BACKOFF_CAP_MS;
    int64_t delay;

    if (left_ms >= 0)
        cap = timing_min(cap, timing_max(base, left_ms / 4));
    delay = base << (attempt < 16 ? attempt : 16);
    delay = timing_min(delay, cap);
    return timing_max(delay / 2 + timing_part(delay - delay / 2, u),
                      TIMING_BACKOFF_LEAST_MS);
}

int64_t srt_slow_backoff_ms(unsigned attempt, int64_t least_ms, double u)
{
    int64_t delay =
        timing_min(least_ms << (attempt < 8 ? attempt : 8), TIMING_SLOW_CAP_MS / 3 * 2);

    return delay + timing_part(delay / 2, u);
}

int64_t srt_acquire_gap_ms(int64_t life_ms)
{
    return life_ms > 0 ? timing_min(TIMING_SECOND_MS, life_ms / 8) : TIMING_SECOND_MS;
}

int64_t srt_acquire_refill_ms(int64_t life_ms)
{
    return life_ms > 0 ? timing_max(timing_min(10000, life_ms / 4), 1) : 10000;
}

double srt_remake_rate(unsigned leases, int64_t left_ms)
{
    double half = (double)left_ms / 2000.0;
    double rate = (double)leases / (half > 1.0 ? half : 1.0);

    return rate > 10.0 ? rate : 10.0;
}

int64_t srt_login_lead_ms(int64_t child_lead_ms, unsigned leases, int64_t life_ms)
{
    int64_t most = timing_part(life_ms, 0.40);
    double rate = srt_remake_rate(leases, most);

    return timing_min(timing_part(child_lead_ms, 1.2) +
                          (int64_t)((double)leases / rate * 1000.0),
                      most);
}
