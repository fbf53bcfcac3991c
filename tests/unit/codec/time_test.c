#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "codec/text.h"
#include <secretrt/error.h>

static int64_t rfc3339(const char *text)
{
    int64_t at_ms = INT64_MIN;
    int rc = srt_rfc3339_parse(&at_ms, text, strlen(text));

    assert_int_equal(rc, at_ms == INT64_MIN ? SECRETRT_ERR_PROTOCOL : 0);
    return at_ms;
}

static int64_t http_date(const char *text)
{
    int64_t at_ms = INT64_MIN;
    int rc = srt_http_date_parse(&at_ms, text, strlen(text));

    assert_int_equal(rc, at_ms == INT64_MIN ? SECRETRT_ERR_PROTOCOL : 0);
    return at_ms;
}

static int64_t duration(const char *text)
{
    int64_t ms = -1;
    int rc = srt_duration_parse(&ms, text);

    assert_int_equal(rc, ms == -1 ? SECRETRT_ERR_INVALID : 0);
    return ms;
}

static void time_stamps_with_offsets(void **state)
{
    (void)state;
    assert_int_equal(rfc3339("1970-01-01T00:00:00Z"), 0);
    assert_int_equal(rfc3339("1985-04-12T23:20:50.52Z"), 482196050520);
    assert_int_equal(rfc3339("1996-12-19T16:39:57-08:00"), 851042397000);
    assert_int_equal(rfc3339("1990-12-31T15:59:60-08:00"), 662688000000);
    assert_int_equal(rfc3339("1937-01-01T12:00:27.87+00:20"), -1041337172130);
    assert_int_equal(rfc3339("2026-11-24T04:01:25.574526Z"), 1795492885574);
    assert_int_equal(rfc3339("2026-11-24t04:01:25.5745269999z"), 1795492885574);
    assert_int_equal(rfc3339("2026-11-24T09:31:25.574+05:30"), 1795492885574);
    assert_int_equal(rfc3339("0001-01-01T00:00:00Z"), -62135596800000);
    assert_int_equal(rfc3339("2024-01-01T00:30:00+01:00"), 1704065400000);
}

static void leap_years(void **state)
{
    (void)state;
    assert_int_equal(rfc3339("2000-02-29T00:00:00Z"), 951782400000);
    assert_int_equal(rfc3339("2024-02-29T23:59:59Z"), 1709251199000);
    assert_int_equal(rfc3339("2024-03-01T00:00:00Z"), 1709251200000);
    assert_true(rfc3339("2023-02-29T00:00:00Z") == INT64_MIN);
    assert_true(rfc3339("1900-02-29T00:00:00Z") == INT64_MIN);
    assert_true(rfc3339("2100-02-29T00:00:00Z") == INT64_MIN);
    assert_true(rfc3339("2024-02-30T00:00:00Z") == INT64_MIN);
}

static void stamps_that_are_none(void **state)
{
    static const char *const bad[] = {"",
                                      "2026-11-24",
                                      "2026-11-24T04:01:25",
                                      "2026-11-24T04:01Z",
                                      "2026-11-24 04:01:25Z",
                                      "2026-11-24T04:01:25.Z",
                                      "2026-11-24T04:01:25,5Z",
                                      "2026-11-24T24:00:00Z",
                                      "2026-11-24T04:60:00Z",
                                      "2026-11-24T04:00:61Z",
                                      "2026-13-24T04:00:00Z",
                                      "2026-00-24T04:00:00Z",
                                      "2026-11-31T04:00:00Z",
                                      "2026-11-00T04:00:00Z",
                                      "2026-11-24T04:00:00+0100",
                                      "2026-11-24T04:00:00+01",
                                      "2026-11-24T04:00:00+24:00",
                                      "2026-11-24T04:00:00+01:60",
                                      "2026-11-24T04:00:00Zx",
                                      "-026-11-24T04:00:00Z",
                                      "2026--1-24T04:00:00Z",
                                      "26-11-24T04:00:00Z",
                                      " 2026-11-24T04:00:00Z"};
    const char *whole = "2026-11-24T04:01:25.574526+05:30";
    int64_t at_ms = 7;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_true(rfc3339(bad[i]) == INT64_MIN);
    for (size_t len = 0; len < strlen(whole); len++) {
        assert_int_equal(srt_rfc3339_parse(&at_ms, whole, len), SECRETRT_ERR_PROTOCOL);
        assert_int_equal(at_ms, 7);
    }
}

static void stamps_are_written_as_they_are_read(void **state)
{
    char out[32];

    (void)state;
    assert_string_equal(srt_rfc3339_format(out, sizeof(out), 1795492885574),
                        "2026-11-24T04:01:25.574Z");
    assert_string_equal(srt_rfc3339_format(out, sizeof(out), -1),
                        "1969-12-31T23:59:59.999Z");
    assert_string_equal(srt_rfc3339_format(out, sizeof(out), INT64_MAX),
                        "9999-12-31T23:59:59.999Z");
    assert_string_equal(srt_rfc3339_format(out, sizeof(out), INT64_MIN),
                        "0000-01-01T00:00:00.000Z");
    /* The last and first instant of each day from 0000 to 9999, against libc. */
    for (int64_t day = -719528; day <= 2932896; day += 1) {
        time_t second = (time_t)(day * 86400);
        char expected[64];
        struct tm tm;

        if (day % 97 != 0 && day % 365 > 1)
            continue;
        assert_non_null(gmtime_r(&second, &tm));
        (void)snprintf(expected, sizeof(expected), "%04d-%02d-%02dT00:00:00.000Z",
                       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
        srt_rfc3339_format(out, sizeof(out), day * 86400000);
        if (strcmp(out, expected) != 0)
            assert_string_equal(out, expected);
        if (rfc3339(out) != day * 86400000)
            assert_int_equal(rfc3339(out), day * 86400000);
    }
}

static void year_boundaries(void **state)
{
    char stamp[64];
    char out[32];

    (void)state;
    for (int year = 0; year <= 9999; year++) {
        (void)snprintf(stamp, sizeof(stamp), "%04d-01-01T00:00:00.000Z", year);
        srt_rfc3339_format(out, sizeof(out), rfc3339(stamp));
        assert_string_equal(out, stamp);
        (void)snprintf(stamp, sizeof(stamp), "%04d-12-31T23:59:59.999Z", year);
        srt_rfc3339_format(out, sizeof(out), rfc3339(stamp));
        assert_string_equal(out, stamp);
    }
}

static void a_date_is_the_end_of_its_day(void **state)
{
    static const char *const bad[] = {
        "", "2027-3-31", "2027-02-29", "2027-03-31 ", "2027-03-31T00", "27-03-31"};
    int64_t at_ms = 7;
    char out[32];

    (void)state;
    assert_int_equal(srt_date_parse(&at_ms, "2027-03-31"), 0);
    assert_string_equal(srt_rfc3339_format(out, sizeof(out), at_ms),
                        "2027-03-31T23:59:59.999Z");
    at_ms = 7;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(srt_date_parse(&at_ms, bad[i]), SECRETRT_ERR_INVALID);
    assert_int_equal(at_ms, 7);
}

/* RFC 9110, 5.6.7. */
static void http_dates_in_three_forms(void **state)
{
    (void)state;
    assert_int_equal(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777000);
    assert_int_equal(http_date("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777000);
    assert_int_equal(http_date("Sun Nov  6 08:49:37 1994"), 784111777000);
    assert_int_equal(http_date("Sun Nov 16 08:49:37 1994"), 784975777000);
    assert_int_equal(http_date("Tuesday, 24-Nov-26 04:01:25 GMT"), 1795492885000);
    assert_int_equal(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
    assert_int_equal(http_date("Thursday, 01-Jan-70 00:00:00 GMT"), 0);
}

static void http_dates_that_are_none(void **state)
{
    static const char *const bad[] = {"",
                                      "120",
                                      "Sun",
                                      "Sun, 06 Nov 1994 08:49:37",
                                      "Sun, 06 Nov 1994 08:49:37 CET",
                                      "Sun, 06 Nov 1994 08:49:37 GMT ",
                                      "Sun, 6 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 94 08:49:37 GMT",
                                      "Sun, 06-Nov-94 08:49:37 GMT",
                                      "Sunday, 06 Nov 1994 08:49:37 GMT",
                                      "Xyz, 06 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 Nvo 1994 08:49:37 GMT",
                                      "Sun, 31 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 24:49:37 GMT",
                                      "Sun Nov 6 08:49:37 1994",
                                      "Sun Nov  6 08:49:37 1994 GMT"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_true(http_date(bad[i]) == INT64_MIN);
}

static void durations_and_their_limits(void **state)
{
    static const char *const bad[] = {"",
                                      "s",
                                      "-1s",
                                      "+1s",
                                      "1.5s",
                                      "1h30m",
                                      "1 s",
                                      " 1s",
                                      "1S",
                                      "1w",
                                      "1s ",
                                      "ms",
                                      "0x1s",
                                      "9223372036854775808ms",
                                      "9223372036854776s",
                                      "9223372036854776",
                                      "106751991168d",
                                      "99999999999999999999999999"};

    (void)state;
    assert_int_equal(duration("30s"), 30000);
    assert_int_equal(duration("5m"), 300000);
    assert_int_equal(duration("24h"), 86400000);
    assert_int_equal(duration("250ms"), 250);
    assert_int_equal(duration("2d"), 172800000);
    assert_int_equal(duration("90"), 90000);
    assert_int_equal(duration("0"), 0);
    assert_int_equal(duration("007s"), 7000);
    assert_true(duration("9223372036854775807ms") == INT64_MAX);
    assert_int_equal(duration("106751991167d"), 106751991167 * 86400000);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(duration(bad[i]), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_stamps_with_offsets),
        cmocka_unit_test(leap_years),
        cmocka_unit_test(stamps_that_are_none),
        cmocka_unit_test(stamps_are_written_as_they_are_read),
        cmocka_unit_test(year_boundaries),
        cmocka_unit_test(a_date_is_the_end_of_its_day),
        cmocka_unit_test(http_dates_in_three_forms),
        cmocka_unit_test(http_dates_that_are_none),
        cmocka_unit_test(durations_and_their_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
