#include "codec/text.h"
#include <secretrt/error.h>
#include <stdio.h>
#include <string.h>

#define TIME_DAY_MS 86400000LL
#define TIME_YEAR_PIVOT 70 /* of years with two digits: 70 is 1970, 69 is 2069 */

struct time_parts {
    int64_t year;
    int64_t month;
    int64_t day;
    int64_t hour;
    int64_t minute;
    int64_t second; /* 60: a leap second, the same as the next second */
    int64_t ms;
};

/* Reads on from at; once bad, it stays bad. */
struct time_scan {
    const char *at;
    const char *end;
    int bad;
};

static int64_t time_digits(struct time_scan *scan, size_t n)
{
    int64_t value = 0;

    if (scan->bad || (size_t)(scan->end - scan->at) < n ||
        srt_decimal_parse(&value, scan->at, n, 0, INT64_MAX) != 0 || *scan->at == '-') {
        scan->bad = 1;
        return 0;
    }
    scan->at += n;
    return value;
}

static int time_peek(const struct time_scan *scan, char c)
{
    return !scan->bad && scan->at < scan->end && *scan->at == c;
}

static void time_word(struct time_scan *scan, const char *word)
{
    size_t len = strlen(word);

    if (scan->bad || (size_t)(scan->end - scan->at) < len ||
        memcmp(scan->at, word, len) != 0)
        scan->bad = 1;
    else
        scan->at += len;
}

/* The 1-based place in list of the word that comes next. */
static int64_t time_name(struct time_scan *scan, const char *const *list, size_t n)
{
    size_t len;

    for (size_t i = 0; i < n && !scan->bad; i++) {
        len = strlen(list[i]);
        if ((size_t)(scan->end - scan->at) < len || memcmp(scan->at, list[i], len) != 0)
            continue;
        scan->at += len;
        return (int64_t)i + 1;
    }
    scan->bad = 1;
    return 0;
}

static int64_t time_month_days(int64_t year, int64_t month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01, Gregorian, for years 0 to 9999: the year begins in March so
 * that the leap day is its last. */
static int64_t time_days(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month > 2 ? year + 4000 : year + 3999;
    int64_t m = month > 2 ? month - 3 : month + 9;

    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 -
           (719468 + 10 * 146097);
}

static int time_compose(int64_t *out_ms, const struct time_parts *t)
{
    if (t->month < 1 || t->month > 12 || t->day < 1 ||
        t->day > time_month_days(t->year, t->month) || t->hour > 23 || t->minute > 59 ||
        t->second > 60)
        return SECRETRT_ERR_PROTOCOL;
    *out_ms = time_days(t->year, t->month, t->day) * TIME_DAY_MS +
              ((t->hour * 60 + t->minute) * 60 + t->second) * 1000 + t->ms;
    return 0;
}

static void time_clock(struct time_scan *scan, struct time_parts *t)
{
    t->hour = time_digits(scan, 2);
    time_word(scan, ":");
    t->minute = time_digits(scan, 2);
    time_word(scan, ":");
    t->second = time_digits(scan, 2);
}

static void time_date(struct time_scan *scan, struct time_parts *t)
{
    t->year = time_digits(scan, 4);
    time_word(scan, "-");
    t->month = time_digits(scan, 2);
    time_word(scan, "-");
    t->day = time_digits(scan, 2);
}

static void time_fraction(struct time_scan *scan, struct time_parts *t)
{
    int64_t unit = 100;

    if (!time_peek(scan, '.'))
        return;
    scan->at++;
    t->ms = time_digits(scan, 1) * unit;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9') {
        unit /= 10;
        t->ms += time_digits(scan, 1) * unit;
    }
}

/* Milliseconds that local time is ahead of UTC. */
static int64_t time_offset(struct time_scan *scan)
{
    int64_t sign = time_peek(scan, '-') ? -1 : 1;
    int64_t hours;
    int64_t minutes;

    if (time_peek(scan, 'Z') || time_peek(scan, 'z')) {
        scan->at++;
        return 0;
    }
    time_word(scan, sign < 0 ? "-" : "+");
    hours = time_digits(scan, 2);
    time_word(scan, ":");
    minutes = time_digits(scan, 2);
    if (hours > 23 || minutes > 59)
        scan->bad = 1;
    return sign * (hours * 60 + minutes) * 60000;
}

int srt_rfc3339_parse(int64_t *out_ms, const char *text, size_t len)
{
    struct time_scan scan = {text, text + len, 0};
    struct time_parts t = {0};
    int64_t offset_ms;
    int64_t local_ms;

    time_date(&scan, &t);
    time_word(&scan, time_peek(&scan, 't') ? "t" : "T");
    time_clock(&scan, &t);
    time_fraction(&scan, &t);
    offset_ms = time_offset(&scan);
    if (scan.bad || scan.at != scan.end || time_compose(&local_ms, &t) != 0)
        return SECRETRT_ERR_PROTOCOL;
    *out_ms = local_ms - offset_ms;
    return 0;
}

char *srt_rfc3339_format(char *out, size_t cap, int64_t unix_ms)
{
    const int64_t first = time_days(0, 1, 1) * TIME_DAY_MS;
    const int64_t last = (time_days(9999, 12, 31) + 1) * TIME_DAY_MS - 1;
    int64_t rest;
    int64_t days;
    int64_t year;
    int64_t month = 12;

    unix_ms = unix_ms < first ? first : unix_ms > last ? last : unix_ms;
    days = (unix_ms - first) / TIME_DAY_MS + time_days(0, 1, 1);
    rest = unix_ms - days * TIME_DAY_MS;
    year = (days - time_days(0, 1, 1)) * 400 / 146097;
    /* The estimate is off by one at most. */
    if (days >= time_days(year + 1, 1, 1))
        year++;
    else if (days < time_days(year, 1, 1))
        year--;
    while (days < time_days(year, month, 1))
        month--;
    (void)snprintf(out, cap, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int)year,
                   (int)month, (int)(days - time_days(year, month, 1) + 1),
                   (int)(rest / 3600000), (int)(rest / 60000 % 60),
                   (int)(rest / 1000 % 60), (int)(rest % 1000));
    return out;
}

int srt_date_parse(int64_t *out_ms, const char *text)
{
    struct time_scan scan = {text, text + strlen(text), 0};
    struct time_parts t = {0};
    int64_t begin_ms;

    time_date(&scan, &t);
    if (scan.bad || scan.at != scan.end || time_compose(&begin_ms, &t) != 0)
        return SECRETRT_ERR_INVALID;
    *out_ms = begin_ms + TIME_DAY_MS - 1;
    return 0;
}

static int64_t time_month(struct time_scan *scan)
{
    static const char *const months[12] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

    return time_name(scan, months, 12);
}

/* "06 Nov 1994 08:49:37 GMT" and, obsolete, "06-Nov-94 08:49:37 GMT". */
static void time_http_day_first(struct time_scan *scan, struct time_parts *t, int old)
{
    t->day = time_digits(scan, 2);
    time_word(scan, old ? "-" : " ");
    t->month = time_month(scan);
    time_word(scan, old ? "-" : " ");
    t->year = time_digits(scan, old ? 2 : 4);
    if (old)
        t->year += t->year < TIME_YEAR_PIVOT ? 2000 : 1900;
    time_word(scan, " ");
    time_clock(scan, t);
    time_word(scan, " GMT");
}

/* "Nov  6 08:49:37 1994", as asctime writes it. */
static void time_http_month_first(struct time_scan *scan, struct time_parts *t)
{
    t->month = time_month(scan);
    time_word(scan, " ");
    if (time_peek(scan, ' ')) {
        scan->at++;
        t->day = time_digits(scan, 1);
    } else {
        t->day = time_digits(scan, 2);
    }
    time_word(scan, " ");
    time_clock(scan, t);
    time_word(scan, " ");
    t->year = time_digits(scan, 4);
}

int srt_http_date_parse(int64_t *out_ms, const char *text, size_t len)
{
    static const char *const long_names[7] = {
        "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
    static const char *const names[7] = {"Mon", "Tue", "Wed", "Thu",
                                         "Fri", "Sat", "Sun"};
    struct time_scan scan = {text, text + len, 0};
    struct time_scan full = scan;
    struct time_parts t = {0};

    (void)time_name(&full, long_names, 7);
    if (!full.bad)
        scan = full;
    else
        (void)time_name(&scan, names, 7);
    if (time_peek(&scan, ',')) {
        time_word(&scan, ", ");
        time_http_day_first(&scan, &t, !full.bad);
    } else {
        time_word(&scan, " ");
        time_http_month_first(&scan, &t);
    }
    if (scan.bad || scan.at != scan.end)
        return SECRETRT_ERR_PROTOCOL;
    return time_compose(out_ms, &t);
}

int srt_duration_parse(int64_t *out_ms, const char *text)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"", 1000},   {"ms", 1},      {"s", 1000},
                 {"m", 60000}, {"h", 3600000}, {"d", TIME_DAY_MS}};
    size_t digits = strspn(text, "0123456789");
    int64_t value;

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text + digits, units[i].name) != 0)
            continue;
        if (srt_decimal_parse(&value, text, digits, 0, INT64_MAX / units[i].ms) != 0)
            return SECRETRT_ERR_INVALID;
        *out_ms = value * units[i].ms;
        return 0;
    }
    return SECRETRT_ERR_INVALID;
}
