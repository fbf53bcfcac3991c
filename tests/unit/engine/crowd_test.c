/* Thousands of leases that were made at once: renewed spread out, none lost. */
#include "rig.h"

#define CROWD_LIFE_S 300
#define CROWD_BINS 120 /* of 10 s */

struct crowd {
    int64_t begun_ms;
    int down;        /* the store answers 503 */
    int64_t max_end; /* logins and leases end then; 0: never */
    unsigned bin[CROWD_BINS];
    unsigned fetches;
    unsigned logins;
    unsigned token;
};

static int crowd_answer(struct world *w, const char *key,
                        const struct srt_request *request, struct world_reply *out)
{
    struct crowd *c = w->data;
    int64_t at = (w->boot_ms - c->begun_ms) / 10000;

    (void)request;
    out->status = c->down ? 503 : 200;
    out->delay_ms = 5;
    if (c->down) {
        snprintf(out->body, sizeof(out->body), ERRORS("Vault is sealed"));
    } else if (strcmp(key, LOGIN_PATH) == 0) {
        c->logins++;
        snprintf(out->body, sizeof(out->body), LOGIN("CANARY-token", 864000));
    } else if (strcmp(key, RENEW) == 0) {
        c->bin[at < CROWD_BINS ? at : CROWD_BINS - 1]++;
        snprintf(out->body, sizeof(out->body), RENEWED("x", 300));
    } else if (strcmp(key, LOOKUP) == 0 || strcmp(key, LOOKUP_SELF) == 0) {
        snprintf(out->body, sizeof(out->body), FOUND(200));
    } else {
        c->fetches++;
        snprintf(out->body, sizeof(out->body), LEASE("x", 300, "u"));
    }
    return 1;
}

static void crowd_open(struct world *w, struct crowd *c, int n)
{
    char name[96];

    memset(c, 0, sizeof(*c));
    c->begun_ms = w->boot_ms;
    w->server = crowd_answer;
    w->data = c;
    w->seed = 42;
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "vault://database/creds/app?_unique=%d", i);
        open_secret(w, name);
    }
}

static unsigned crowd_served(const struct world *w)
{
    unsigned n = 0;

    for (size_t i = 0; i < w->secrets; i++)
        n += field(&w->secret[i], "username") != NULL;
    return n;
}

/* From the first renewals on: how much higher than the mean the highest of `width` bins
 * is. */
static double crowd_peak(const struct crowd *c, unsigned width)
{
    unsigned most = 0, sum = 0, n = 0;

    for (unsigned i = 4; i + width <= 90; i += width, n++) {
        unsigned of_these = 0;

        for (unsigned k = 0; k < width; k++)
            of_these += c->bin[i + k];
        most = of_these > most ? of_these : most;
        sum += of_these;
    }
    return (double)most * n / sum;
}

static void a_crowd_is_spread(struct world *w, int n, unsigned width)
{
    struct crowd c;

    crowd_open(w, &c, n);
    clock_advance_ms(w, 15 * 1000 - 1);
    assert_int_equal(c.bin[0], 0); /* nothing is renewed at adoption */
    clock_advance_ms(w, 885 * 1000 + 1);
    if (crowd_peak(&c, width) > 1.6)
        fail_msg("the peak is %.2f times the mean", crowd_peak(&c, width));
    assert_in_range(w->flying_most, 1, 4);
    assert_int_equal(crowd_served(w), n);
    assert_int_equal(c.fetches, n);
    assert_int_equal(c.logins, 1);
    assert_int_equal(world_lines(w->events, "expired"), 0);
    assert_int_equal(world_lines(w->events, "failed"), 0);
}

static void a_thousand_are_spread(void **state)
{
    a_crowd_is_spread(*state, 1000, 2); /* 50 in 10 s: chance alone makes 1.6 */
}

static void ten_thousand_are_spread(void **state)
{
    a_crowd_is_spread(*state, 10000, 1);
}

static void none_is_lost_in_an_outage_of_a_minute(void **state)
{
    struct world *w = *state;
    struct crowd c;
    unsigned requests;

    crowd_open(w, &c, 2000);
    clock_advance_ms(w, 400 * 1000);
    c.down = 1;
    requests = w->requests;
    clock_advance_ms(w, 60 * 1000);
    assert_in_range(w->requests - requests, 5, 60); /* the breaker's probes */
    assert_int_equal(crowd_served(w), 2000);
    c.down = 0;
    for (int i = 0; i < 60; i++) {
        clock_advance_ms(w, 5000);
        assert_int_equal(crowd_served(w), 2000);
    }
    assert_int_equal(c.fetches, 2000); /* no storm of new users afterwards */
    assert_in_range(w->flying_most, 1, 4);
    assert_int_equal(world_lines(w->events, "expired"), 0);
}

static void all_come_back_after_a_long_outage(void **state)
{
    struct world *w = *state;
    struct crowd c;

    crowd_open(w, &c, 1000);
    clock_advance_ms(w, 400 * 1000);
    c.down = 1;
    clock_advance_ms(w, 400 * 1000);
    assert_int_equal(crowd_served(w), 0);
    c.down = 0;
    clock_advance_ms(w, 80 * 1000);
    assert_int_equal(crowd_served(w), 1000);
    assert_int_equal(c.fetches, 2000);
}

static void a_crowd_is_checked_after_a_leap_of_the_clock(void **state)
{
    struct world *w = *state;
    struct crowd c;

    crowd_open(w, &c, 1000);
    clock_advance_ms(w, 30 * 1000);
    w->wall_ms += 3600 * 1000;
    w->flying_most = 0;
    clock_advance_ms(w, 10 * 1000);
    assert_int_equal(crowd_served(w), 1000);
    assert_in_range(w->flying_most, 1, 4);
    assert_int_equal(c.fetches, 1000);
}

/* Two processes with the same leases must not renew in step: chance differs. */
static void chance_decides_when(void **state)
{
    struct world *w = *state;
    struct crowd c;
    int64_t at;

    crowd_open(w, &c, 1);
    clock_advance_ms(w, 260 * 1000);
    at = net_time(w, RENEW, 1);
    assert_true(at > 0);
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct world *other = world_new(NULL);

        crowd_open(other, &c, 0);
        other->seed = seed * 0x9E3779B97F4A7C15U;
        open_secret(other, APP);
        clock_advance_ms(other, 260 * 1000);
        assert_int_not_equal(net_time(other, RENEW, 1), at);
        world_free(other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIVES(a_thousand_are_spread),
        LIVES(ten_thousand_are_spread),
        LIVES(none_is_lost_in_an_outage_of_a_minute),
        LIVES(all_come_back_after_a_long_outage),
        LIVES(a_crowd_is_checked_after_a_leap_of_the_clock),
        LIVES(chance_decides_when),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
