/* Every allocation of a secret's whole life fails once: nothing crashes or leaks, the
 * last value serves on, and all is well again afterwards. */
#include "mem/arena.h"
#include "rig.h"
#include "unit/base/fail_alloc.h"

struct torture {
    int gone; /* the store knows nothing of the present lease */
    unsigned made;
};

static int torture_answer(struct world *w, const char *key,
                          const struct srt_request *request, struct world_reply *out)
{
    struct torture *t = w->data;

    (void)request;
    out->status = 200;
    if (strcmp(key, LOGIN_PATH) == 0) {
        snprintf(out->body, sizeof(out->body), LOGIN("CANARY-token", 1000));
    } else if (strcmp(key, CREDS) == 0) {
        t->made++;
        t->gone = 0;
        snprintf(out->body, sizeof(out->body), LEASE("l1", 300, "one"));
    } else if (strcmp(key, RENEW_SELF) == 0) {
        snprintf(out->body, sizeof(out->body), RENEWED_LOGIN(1000));
    } else if (strcmp(key, RENEW) == 0) {
        snprintf(out->body, sizeof(out->body), RENEWED("l1", 300));
    } else if (strcmp(key, LOOKUP) == 0) {
        out->status = t->gone ? 400 : 200;
        snprintf(out->body, sizeof(out->body), "%s",
                 t->gone ? ERRORS("invalid lease") : FOUND(200));
    } else if (strcmp(key, LOOKUP_SELF) == 0) {
        snprintf(out->body, sizeof(out->body), FOUND(900));
    } else {
        out->status = 204;
    }
    return 1;
}

static void look(const struct srt_status *status, void *data)
{
    *(int64_t *)data += status->left_ms > 0;
}

/* Second by second: what was there stays there. */
static void stays(struct world *w, struct world_secret *s, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        clock_advance_ms(w, 1000);
        assert_non_null(field(s, "username"));
    }
}

static void comes(struct world *w, struct world_secret *s)
{
    for (int i = 0; i < 200 && field(s, "username") == NULL; i++)
        clock_advance_ms(w, 1000);
    if (field(s, "username") == NULL)
        fail_msg("%s for ever\n%s%s", world_state(w, s), w->trace, w->reasons);
}

static struct world_secret *torture_open(struct world *w)
{
    struct world_secret *s = &w->secret[w->secrets++];
    int rc = SECRETRT_ERR_NOMEM;

    s->world = w;
    for (int tries = 0; s->spec == NULL && tries < 20; tries++)
        rc = srt_spec_new(&s->spec, w->config, APP, NULL, NULL);
    assert_int_equal(rc, 0);
    rc = SECRETRT_ERR_NOMEM;
    for (int tries = 0; rc == SECRETRT_ERR_NOMEM && tries < 20; tries++)
        rc = srt_secret_open(&s->secret, w->engine, s->spec, &s->cell, s, NULL);
    assert_int_equal(rc, 0);
    return s;
}

static void a_whole_life(struct world *w)
{
    struct torture t = {0, 0};
    struct world_secret *s;
    int64_t looks = 0;
    unsigned left = 0;

    w->server = torture_answer;
    w->data = &t;
    s = torture_open(w);
    comes(w, s);
    stays(w, s, 250); /* renewed */
    srt_secret_refresh(w->engine, s->secret);
    stays(w, s, 10);
    (void)srt_secret_drained(w->engine, s->secret, 1);
    srt_secret_reject(w->engine, s->secret, generation(s), 401); /* alive: replaced */
    stays(w, s, 40);
    t.gone = 1;
    srt_secret_reject(w->engine, s->secret, generation(s), 401);
    world_turn(w);
    comes(w, s);
    srt_engine_survey(w->engine, look, &looks);
    assert_int_equal(looks, 1);
    stays(w, s, 700); /* the login is renewed */
    close_secret(w, s);
    clock_advance_ms(w, 60 * 1000);
    srt_engine_close(w->engine);
    clock_advance_ms(w, 60 * 1000);
    assert_int_equal(srt_engine_closed(w->engine, &left), 1);
}

/* One pass; the cell is made before, since it belongs to the opener. */
static void pass(size_t heap_at, size_t heap_too, size_t arena_at)
{
    struct world *w = world_new(NULL);

    assert_int_equal(srt_cell_init(&w->secret[0].cell), 0);
    fail_alloc.fail_too = heap_too;
    fail_alloc_at(heap_at);
    if (arena_at != 0)
        srt_arena_fail_after(arena_at);
    a_whole_life(w);
    fail_alloc.fail_at = 0;
    srt_arena_fail_after(0);
    while (srt_epoch_collect() > 0)
        ;
    assert_int_equal(w->flying, 0);
    world_free(w);
}

static void each_allocation_fails_once(size_t too)
{
    size_t live, calls, used;
    struct srt_arena_stats stats;

    pass(0, 0, 0); /* what lives for ever is made */
    live = fail_alloc.live;
    srt_arena_stats_get(&stats);
    used = stats.used;
    pass(0, 0, 0);
    calls = fail_alloc.calls;
    assert_int_equal(fail_alloc.live, live);
    for (size_t n = 1; n <= calls; n++) {
        pass(n, too, 0);
        if (fail_alloc.live != live)
            fail_msg("%zu blocks are left after %zu failed", fail_alloc.live - live, n);
        srt_arena_stats_get(&stats);
        assert_int_equal(stats.used, used);
    }
    assert_int_equal(fail_alloc.canaries, 0); /* no secret was ever on the heap */
}

static void any_one_allocation_may_fail(void **state)
{
    (void)state;
    each_allocation_fails_once(0);
}

static void any_seven_in_a_row_may_fail(void **state)
{
    (void)state;
    each_allocation_fails_once(6);
}

static void any_one_of_the_arena_may_fail(void **state)
{
    size_t live, used;
    struct srt_arena_stats stats;

    (void)state;
    pass(0, 0, 0);
    live = fail_alloc.live;
    srt_arena_stats_get(&stats);
    used = stats.used;
    for (size_t n = 1; n <= 300; n++) {
        pass(0, 0, n);
        assert_int_equal(fail_alloc.live, live);
        srt_arena_stats_get(&stats);
        assert_int_equal(stats.used, used);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWNS(any_one_allocation_may_fail),
        OWNS(any_seven_in_a_row_may_fail),
        OWNS(any_one_of_the_arena_may_fail),
    };

    fail_alloc_begin(0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
