/* The formulas of renewal, replacement and back-off, and what must hold for any life.
 */
#include "engine/timing.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND 1000
#define HOUR (3600 * SECOND)

static uint64_t timing_seed = 20260101;

static double chance(void)
{
    timing_seed = timing_seed * 6364136223846793005U + 1442695040888963407U;
    return (double)(timing_seed >> 33) / 2147483648.0;
}

/* From 1 s to 10 days, as likely short as long. */
static int64_t any_life(void)
{
    static const int64_t top[] = {20 * SECOND, 300 * SECOND, HOUR, 240 * (int64_t)HOUR};
    int64_t most = top[(int)(chance() * 4)];

    return SECOND + (int64_t)(chance() * (double)(most - SECOND));
}

static void check_terms(int64_t life, int64_t overlap, int64_t budget, double low,
                        double high)
{
    struct srt_terms terms;

    srt_terms_set(&terms, life, 0);
    assert_int_equal(terms.overlap_ms, overlap);
    assert_int_equal(terms.budget_ms, budget);
    assert_int_equal(terms.lead_ms, overlap + budget);
    assert_float_equal(terms.renew_low, low, 0.0001);
    assert_float_equal(terms.renew_high, high, 0.0001);
}

static void the_parameters_are_those_of_the_specification(void **state)
{
    (void)state;
    check_terms(20 * SECOND, 4 * SECOND, 4 * SECOND, 0.50, 0.60);
    check_terms(60 * SECOND, 12 * SECOND, 5 * SECOND, 0.60, 0.70);
    check_terms(HOUR, 30 * SECOND, 60 * SECOND, 0.60, 0.70);
}

static void a_configured_overlap_is_taken_up_to_a_fifth(void **state)
{
    struct srt_terms terms;

    (void)state;
    srt_terms_set(&terms, HOUR, 120 * SECOND);
    assert_int_equal(terms.overlap_ms, 120 * SECOND);
    srt_terms_set(&terms, 60 * SECOND, 120 * SECOND);
    assert_int_equal(terms.overlap_ms, 12 * SECOND);
    srt_terms_set(&terms, HOUR, 5 * SECOND);
    assert_int_equal(terms.overlap_ms, 5 * SECOND);
}

/* P <= (1 - f_hi) * ttl0: a renewal that is found short leaves time for a successor. */
static void the_successor_always_has_its_time(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct srt_terms terms;
        int64_t life = any_life();
        double left;

        srt_terms_set(&terms, life, (int64_t)(chance() * 600 * SECOND));
        left = (1.0 - terms.renew_high) * (double)life;
        assert_true((double)terms.lead_ms <= left + 1);
        assert_true((double)terms.lead_ms <= 0.40 * (double)life + 1);
        assert_true(terms.renew_low >= 0.24 && terms.renew_high <= 0.70);
        assert_true(terms.renew_high - terms.renew_low > 0.0999);
    }
}

static void a_renewal_falls_into_its_window(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct srt_terms terms;
        int64_t life = any_life();
        int64_t granted = SECOND + (int64_t)(chance() * (double)life);
        int64_t at, crowd;

        srt_terms_set(&terms, life, 0);
        at = srt_renew_after_ms(&terms, granted, 0, chance());
        crowd = srt_renew_after_ms(&terms, granted, 1, chance());
        if (granted < 15 * SECOND)
            assert_in_range(at, granted * 40 / 100 - 1, granted * 50 / 100);
        else
            assert_true((double)at >= terms.renew_low * (double)granted - 1 &&
                        (double)at <= terms.renew_high * (double)granted);
        assert_true(crowd >= granted / 20 - 1 && crowd <= granted * 7 / 10);
    }
}

static void a_crowd_is_spread_from_a_twentieth_on(void **state)
{
    struct srt_terms terms;

    (void)state;
    srt_terms_set(&terms, 300 * SECOND, 0);
    assert_int_equal(srt_renew_after_ms(&terms, 300 * SECOND, 1, 0), 15 * SECOND);
    assert_int_equal(srt_renew_after_ms(&terms, 300 * SECOND, 0, 0), 180 * SECOND);
    assert_in_range(srt_renew_after_ms(&terms, 300 * SECOND, 0, 0.9999), 209 * SECOND,
                    210 * SECOND);
    assert_int_equal(srt_renew_after_ms(&terms, 10 * SECOND, 1, 0), 500);
}

static void a_grant_is_short_beyond_its_tolerance(void **state)
{
    (void)state;
    assert_int_equal(srt_tolerance_ms(20 * SECOND), SECOND);
    assert_int_equal(srt_tolerance_ms(2 * SECOND), 100);
    assert_int_equal(srt_tolerance_ms(HOUR), 72 * SECOND);
    assert_int_equal(srt_margin_ms(2 * SECOND), 200);
    assert_int_equal(srt_margin_ms(HOUR), SECOND);
}

static void a_replacement_begins_before_the_lead(void **state)
{
    (void)state;
    assert_int_equal(srt_rotate_before_ms(8 * SECOND, 0), 8 * SECOND);
    assert_in_range(srt_rotate_before_ms(8 * SECOND, 0.9999), 8790, 8800);
}

static void back_off_doubles_and_is_drawn_from_its_upper_half(void **state)
{
    (void)state;
    assert_int_equal(srt_backoff_ms(0, HOUR, -1, 0), 500);
    assert_int_equal(srt_backoff_ms(3, HOUR, -1, 0), 4000);
    assert_in_range(srt_backoff_ms(3, HOUR, -1, 0.9999), 7990, 8000);
    assert_int_equal(srt_backoff_ms(30, HOUR, -1, 0), 30000);
    assert_int_equal(srt_backoff_ms(30, HOUR, 40 * SECOND, 0), 5000);
    assert_int_equal(srt_backoff_ms(0, 2 * SECOND, -1, 0), 100);
}

/* At least four tries are left before the end, at a pace that never runs hot. */
static void back_off_leaves_four_tries_before_the_end(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        int64_t life = any_life();
        int64_t left = (int64_t)(chance() * (double)life);
        unsigned attempt = (unsigned)(chance() * 40);
        int64_t wait = srt_backoff_ms(attempt, life, left, chance());

        assert_true(wait >= 100 && wait <= 60 * SECOND);
        if (left / 4 > SECOND)
            assert_true(wait <= left / 4);
    }
}

static void what_will_not_pass_is_asked_for_rarely(void **state)
{
    (void)state;
    assert_int_equal(srt_slow_backoff_ms(0, SRT_SLOW_LEAST_MS, 0), 30 * SECOND);
    assert_int_equal(srt_slow_backoff_ms(0, SRT_LOGIN_LEAST_MS, 0), 5 * SECOND);
    for (unsigned attempt = 0; attempt < 40; attempt++) {
        int64_t wait = srt_slow_backoff_ms(attempt, SRT_SLOW_LEAST_MS, chance());

        assert_in_range(wait, 30 * SECOND, 300 * SECOND);
        if (attempt >= 3)
            assert_true(wait >= 200 * SECOND);
    }
}

static void the_budget_scales_with_the_life(void **state)
{
    (void)state;
    assert_int_equal(srt_acquire_gap_ms(HOUR), SECOND);
    assert_int_equal(srt_acquire_gap_ms(2 * SECOND), 250);
    assert_int_equal(srt_acquire_gap_ms(0), SECOND);
    assert_int_equal(srt_acquire_refill_ms(HOUR), 10 * SECOND);
    assert_int_equal(srt_acquire_refill_ms(2 * SECOND), 500);
}

static void a_login_is_replaced_in_time_for_its_leases(void **state)
{
    (void)state;
    /* 1.2 * 90 s, and 100 leases at 10 a second */
    assert_int_equal(srt_login_lead_ms(90 * SECOND, 100, HOUR), 118 * SECOND);
    assert_float_equal(srt_remake_rate(100, HOUR), 10.0, 0.01);
    assert_float_equal(srt_remake_rate(10000, 200 * SECOND), 100.0, 0.01);
    for (int i = 0; i < 20000; i++) {
        int64_t life = any_life();
        int64_t lead = srt_login_lead_ms((int64_t)(chance() * (double)life),
                                         (unsigned)(chance() * 10000), life);

        assert_true((double)lead <= 0.40 * (double)life);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parameters_are_those_of_the_specification),
        cmocka_unit_test(a_configured_overlap_is_taken_up_to_a_fifth),
        cmocka_unit_test(the_successor_always_has_its_time),
        cmocka_unit_test(a_renewal_falls_into_its_window),
        cmocka_unit_test(a_crowd_is_spread_from_a_twentieth_on),
        cmocka_unit_test(a_grant_is_short_beyond_its_tolerance),
        cmocka_unit_test(a_replacement_begins_before_the_lead),
        cmocka_unit_test(back_off_doubles_and_is_drawn_from_its_upper_half),
        cmocka_unit_test(back_off_leaves_four_tries_before_the_end),
        cmocka_unit_test(what_will_not_pass_is_asked_for_rarely),
        cmocka_unit_test(the_budget_scales_with_the_life),
        cmocka_unit_test(a_login_is_replaced_in_time_for_its_leases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
